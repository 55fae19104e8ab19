// Package pixel makes JSON objects of the queries of tracking pixels, in the two forms in
// which vendors nest parameters: dots (dotted.go) and brackets (bracket.go). All values
// are strings.
package pixel

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

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

// Query reads a query whose names have a dot between levels. The error is
// [ErrTooManyLevels], before anything is made, or that of an invalid escape.
func Query(query string) (url.Values, error) {
	if checkLevels(query, '.') != nil {
		return nil, ErrTooManyLevels
	}
	return url.ParseQuery(query)
}

// Dotted makes an object of parameters whose names have a dot between levels:
// "properties.subject=x" is {"properties":{"subject":"x"}}. A name that is both a value
// and a level is a level. Of a parameter that is sent twice the first value counts.
func Dotted(query url.Values) ([]byte, error) {
	var root dottedNode
	levels := 0
	for name, values := range query {
		if levels += strings.Count(name, ".") + 1; levels > maxLevels {
			return nil, ErrTooManyLevels
		}
		node := root.at(strings.Split(name, "."))
		if len(values) > 0 {
			node.value = values[0]
		}
	}
	return root.appendJSON(nil), nil
}

// dottedNode is a value, or a level if it has children.
type dottedNode struct {
	value    string
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
			dst = wire.AppendString(dst, child.value)
		}
	}
	return append(dst, '}')
}
