package fixture

import "net/http"

type Sink struct{}

type Layer func(http.Handler) http.Handler

func New() *Sink { return nil }

func NewByType() *Sink { return nil }

func NewUnused() *Sink { return nil }

func OpenFile(string) error { return nil }

func Mustard() error { return nil }

func Sinks() []*Sink { return nil }

func Wrap(next http.Handler) http.Handler { return next }

func Recover() func(next http.Handler) http.Handler { return Wrap }

func Auth() Layer { return Wrap }

func Count() int { return 0 }

func unexported() *Sink { return nil }
