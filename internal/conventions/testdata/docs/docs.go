// Package fixture has names with and without comments.
package fixture

// ErrAlone is documented by the comment of its declaration.
var ErrAlone error

// The kinds of events.
const (
	KindTrack = "track"
	KindPage  = "page"
)

const Bare = 1

// A Code is seen by clients, so that each needs a comment of its own.
type Code string

// Why something was refused.
const (
	// CodeDocumented is documented.
	CodeDocumented Code = "documented"
	CodeLine       Code = "line" // at the end of the line
	CodeBare       Code = "bare"
)

// A Sink has one method: Write stores events.
type Sink interface {
	Write() error
}

// A Flusher has one method, which its comment does not name.
type Flusher interface {
	Flush() error
}

// A Pair has two methods, Read and Close, each of which needs a comment.
type Pair interface {
	// Read reads.
	Read()
	Close()
}

// A Source has limits.
type Source struct {
	// Rate and Burst are documented together, and so is Other, but not here.
	Rate  float64
	Burst int
	Size  int

	Other int
	Name  string // at the end of the line

	hidden int
}

type Bared struct{}

// Documented begins with its name.
func Documented() {}

// Begins with something else.
func Wrong() {}

// Method is documented.
func (s *Source) Method() {}

// Returns the name.
func (s *Source) String() string { return "" }

func (s *Source) Bare() {}

type unexported struct{ Field int }

func (unexported) Exported() {}
