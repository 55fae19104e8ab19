// Package pixel makes JSON objects of the queries of tracking pixels: of one parameter that
// has the whole event (data.go), or of all of them, in the two forms in which vendors nest
// them: dots (dotted.go) and brackets (bracket.go). What makes no sense in a parameter loses
// nothing but that parameter.
package pixel

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/inlet-go/inlet/internal/form"
	"github.com/inlet-go/inlet/internal/wire"
)

// Errors for a query whose names have too many levels.
var (
	// ErrTooManyLevels is returned if the names have too many together.
	ErrTooManyLevels = errors.New("pixel: the names have too many levels")
	// ErrTooDeep is returned if one of them has too many alone.
	ErrTooDeep = errors.New("pixel: a name has too many levels")
)

// maxLevels bounds the levels of all names in a query together: each costs hundreds of
// bytes for the one that was sent.
const maxLevels = 1000

// checkLevels counts the levels of the names of a query, or more: one for each parameter, and
// one for each separator in a name, escaped or not. It allocates nothing.
func checkLevels(query string, separator byte) error {
	all, own, inName := 0, 1, true
	for i := range len(query) {
		switch c := query[i]; {
		case c == '&':
			all, own, inName = all+own, 1, true
		case c == '=':
			inName = false
		case inName && (c == separator || c == '%' && isEscapeOf(query[i:], separator)):
			own++
		}
		if own > maxLevels {
			return ErrTooDeep
		}
	}
	if all+own > maxLevels {
		return ErrTooManyLevels
	}
	return nil
}

// isEscapeOf reports whether text begins with the escape of a byte.
func isEscapeOf(text string, b byte) bool {
	const upper, lower = "0123456789ABCDEF", "0123456789abcdef"
	return len(text) >= 3 && text[1] == upper[b>>4] && (text[2] == upper[b&15] || text[2] == lower[b&15])
}

// A Use is what becomes of a parameter.
type Use uint8

const (
	// First uses the first value of those that are sent.
	First Use = iota
	// List makes a list of the values, if several are sent.
	List
	// Nothing leaves the parameter out.
	Nothing
)

// Dotted makes an object of the parameters of a query. Dots in their names nest them:
// "properties.subject=x" is {"properties":{"subject":"x"}}. A name that is both a value and a
// level is a level. The function is asked about each parameter, by the names of its levels.
// All values are strings. The error is [ErrTooManyLevels], before anything is made.
func Dotted(query string, use func(path []string) Use) ([]byte, error) {
	if checkLevels(query, '.') != nil {
		return nil, ErrTooManyLevels
	}
	var root dottedNode
	for escaped, value := range form.Pairs(query) {
		path := strings.Split(form.Text(escaped), ".")
		use := use(path)
		if use == Nothing {
			continue
		}
		if node := root.at(path); len(node.values) == 0 || use == List {
			node.values = append(node.values, form.Text(value))
		}
	}
	return root.appendJSON(nil), nil
}

// dottedNode is a value or a list of them, or a level if it has children.
type dottedNode struct {
	values   []string
	children map[string]*dottedNode
}

// at returns the node at a path, and creates what is missing.
func (n *dottedNode) at(path []string) *dottedNode {
	for _, name := range path {
		if n.children == nil {
			n.children = map[string]*dottedNode{}
		}
		child := n.children[name]
		if child == nil {
			child = new(dottedNode)
			n.children[name] = child
		}
		n = child
	}
	return n
}

func (n *dottedNode) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, name := range slices.Sorted(maps.Keys(n.children)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(wire.AppendString(dst, name), ':')
		if child := n.children[name]; child.children != nil {
			dst = child.appendJSON(dst)
		} else {
			dst = child.appendValues(dst)
		}
	}
	return append(dst, '}')
}

func (n *dottedNode) appendValues(dst []byte) []byte {
	if len(n.values) == 1 {
		return wire.AppendString(dst, n.values[0])
	}
	dst = append(dst, '[')
	for i, value := range n.values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = wire.AppendString(dst, value)
	}
	return append(dst, ']')
}
