package fixture

import (
	"context"
	"net/http"
)

const (
	Exported   Kind = "exported"
	unexported Kind = "unexported"
	Untyped         = 1 << 10
)

var ErrExported error

type (
	Kind       string
	Alias      = Kind
	unseen     struct{ Field int }
	Layer      func(next http.Handler) http.Handler
	Set[T any] struct{ Values map[string][]T }
)

type Options struct {
	Kind, Other Kind
	Func        func(ctx context.Context, n int, rest ...any) (ok bool, err error)
	*Reader
	hidden int
}

type Reader struct{ unseen }

type Source interface {
	Read(ctx context.Context, events []*Options) error
	hidden()
}

func New(source Source, o *Options) (*Reader, error) { return nil, nil }

func As[T Source, U comparable](s Source, u U) (found T, ok bool) { return found, false }

func (r *Reader) Exported(http.Handler) Layer { return nil }

func (k Kind) String() string { return "" }

func (s *Set[T]) Add(value T) {}

func (u unseen) Method() {}

func (r *Reader) unexported() {}

func hidden() {}
