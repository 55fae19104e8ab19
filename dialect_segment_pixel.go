package inlet

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/inlet-go/inlet/internal/wire"
)

// longestQuery bounds the query of a pixel. Browsers and proxies give up long
// before it.
const longestQuery = 64 << 10

// mostLevels bounds the levels of all names in such a query together: each costs
// hundreds of bytes, for one that was sent.
const mostLevels = 1000

// segmentPixel makes the payload of a pixel of its query: the JSON in "data", in
// base64 or plain, or an object of the other parameters, of which dots separate
// the levels.
func segmentPixel(r *http.Request) ([]byte, error) {
	if len(r.URL.RawQuery) > longestQuery {
		return nil, tooLarge(longestQuery)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &Error{Code: CodeInvalidRequest, Message: "the query cannot be read", Err: err}
	}
	data := strings.ReplaceAll(query.Get("data"), " ", "+") // a "+" that was not escaped
	switch {
	case data == "":
		return flatObject(query)
	case strings.HasPrefix(strings.TrimSpace(query.Get("data")), "{"):
		return []byte(query.Get("data")), nil
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(data, "-_") {
		encoding = base64.RawURLEncoding
	}
	body, err := encoding.DecodeString(strings.TrimRight(data, "="))
	if err != nil {
		return nil, &Error{Code: CodeInvalidEncoding, Message: "data is not base64", Field: "data", Err: err}
	}
	return body, nil
}

// flatObject makes an object of parameters whose names say where they belong:
// "properties.subject=x" is {"properties":{"subject":"x"}}. All values are
// strings. A name that is both a value and a level is a level.
func flatObject(query url.Values) ([]byte, error) {
	var root queryNode
	levels := 0
	for name, values := range query {
		if levels += strings.Count(name, ".") + 1; levels > mostLevels {
			return nil, &Error{Code: CodeTooManyMembers}
		}
		root.at(strings.Split(name, ".")).value = first(values)
	}
	return root.appendJSON(nil), nil
}

// queryNode is a value, or a level if it has children.
type queryNode struct {
	value    string
	children map[string]*queryNode
}

func (n *queryNode) at(path []string) *queryNode {
	for _, name := range path {
		if n.children == nil {
			n.children = map[string]*queryNode{}
		}
		child := n.children[name]
		if child == nil {
			child = new(queryNode)
			n.children[name] = child
		}
		n = child
	}
	return n
}

func (n *queryNode) appendJSON(dst []byte) []byte {
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
