// Package schema checks JSON against a subset of JSON Schema, without making values of it.
//
// # How it works
//
// A schema is compiled once. For each place that a value can be at, there is a node that says all
// that is demanded of it: what "allOf" and "$ref" bring together is one node, so that each value
// of an event is looked at once, whatever the schema is. A check moves over the text from its
// first byte to its last and takes the nodes with it. It allocates nothing as long as it finds no
// fault.
//
//	tree.go     the JSON of a schema
//	compile.go  nodes of schemas: references, "allOf", which keywords there are
//	keywords.go what each keyword demands
//	check.go    the pass over a value
//	names.go    finds the members of objects
//	decimal.go  numbers, by their digits
//	enum.go     "enum" and "const"
//	pattern.go  patterns, as tables
//	format.go   formats
//	fault.go    what was found, in words
//
// # What holds
//
// A keyword that is not supported is an error when the schema is compiled, never ignored. Only
// annotations are ignored, which demand nothing by definition.
//
// A check takes time linear in the length of the value, whatever the value is. The factor depends
// on the schema alone, and its parts are bounded when that is compiled.
package schema

import "fmt"

// Options are what a schema does not say itself. The zero value means all defaults.
type Options struct {
	// Formats makes "format" a demand, for date-time, email and uuid; other formats are refused
	// then. Otherwise it is an annotation.
	Formats bool
	// InPieces is set for schemas of objects that are checked by Begin, Member and End. Keywords
	// that need such an object as a whole are not supported at the root then.
	InPieces bool
}

// An Error is what is wrong with a schema.
type Error struct {
	// At is the place, a JSON pointer, "" for the schema as a whole.
	At string
	// Keyword is the keyword that cannot be used, or the last token of the place.
	Keyword string
	// Reason says what is wrong, without the place.
	Reason string
	// Unsupported is set if the schema may be right, and is beyond the subset.
	Unsupported bool
}

// Error returns the place and the reason.
func (e *Error) Error() string {
	if e.At == "" {
		return "the schema " + e.Reason
	}
	return e.At + " " + e.Reason
}

// unsupported returns the error that a keyword is beyond the subset.
func unsupported(keyword *value, format string, args ...any) error {
	return &Error{At: keyword.at(), Keyword: keyword.token, Reason: fmt.Sprintf(format, args...), Unsupported: true}
}

// A Schema is compiled. It is immutable, and safe for concurrent use.
type Schema struct{ root *node }

// A Compiler compiles schemas. Those that have the same patterns share the tables of these. It is
// used by one goroutine at once.
type Compiler struct {
	options  Options
	patterns map[string]*pattern
	formats  map[string]*format
	entries  int // of the tables of all patterns
}

// NewCompiler returns a compiler.
func NewCompiler(o Options) *Compiler {
	return &Compiler{options: o, patterns: map[string]*pattern{}, formats: map[string]*format{}}
}

// Compile compiles schemas into one, which a value satisfies if it satisfies all of them.
func (c *Compiler) Compile(texts ...[]byte) (*Schema, error) {
	b := &builder{Compiler: c, nodes: map[string]*node{}}
	var roots []*value
	for _, text := range texts {
		d, err := b.parser.parse(text)
		if err != nil {
			return nil, err
		}
		if d.draft, err = draftOf(d.root); err != nil {
			return nil, err
		}
		roots = append(roots, d.root)
	}
	root, err := b.compile(roots)
	if err != nil {
		return nil, err
	}
	return &Schema{root}, nil
}
