package schema

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/inlet-go/inlet/internal/wire"
)

// Limits of a schema's text. It is the host's; these bound what one that a tool has made may cost
// to compile.
const (
	maxBytes = 4 << 20
	maxDepth = 256
)

// A value is a JSON value of a schema. Values are made when a schema is compiled, and not of
// events.
type value struct {
	kind    byte // as wire.Kind has it; '0' for a number
	raw     []byte
	text    string // of a string
	members []member
	byName  map[string]*value // of many members
	list    []*value

	document *document
	id       int    // in the order of the text, in all documents of a compiler
	parent   *value // nil at the root
	token    string // the name or index of the value in its parent
	checked  bool   // the keywords are known and supported
	demands  bool   // one of them demands something
}

type member struct {
	name  string
	value *value
}

// A document is a schema as a whole, in which references are resolved.
type document struct {
	root  *value
	draft draft
}

// get returns the member with a name, or nil.
func (v *value) get(name string) *value {
	if v.byName != nil {
		return v.byName[name]
	}
	for i := range v.members {
		if v.members[i].name == name {
			return v.members[i].value
		}
	}
	return nil
}

// at returns the JSON pointer of a value in its document.
func (v *value) at() string {
	var tokens []string
	for ; v.parent != nil; v = v.parent {
		tokens = append(tokens, "/"+strings.ReplaceAll(strings.ReplaceAll(v.token, "~", "~0"), "/", "~1"))
	}
	slices.Reverse(tokens)
	return strings.Join(tokens, "")
}

// fail returns the error that something is wrong with a value.
func (v *value) fail(format string, args ...any) error {
	return &Error{At: v.at(), Keyword: v.token, Reason: fmt.Sprintf(format, args...)}
}

// A parser reads documents.
type parser struct {
	document *document
	values   int
}

// parse reads a JSON text strictly: a name that occurs twice is an error.
func (p *parser) parse(text []byte) (*document, error) {
	if len(text) > maxBytes {
		return nil, &Error{Reason: fmt.Sprintf("is longer than %d bytes", maxBytes)}
	}
	members, err := wire.Members(slices.Concat([]byte(`{"":`), text, []byte(`}`))) // it may be any value
	if err == nil && len(members) != 1 {
		err = errors.New("more than one value")
	}
	if err != nil {
		return nil, &Error{Reason: "is not valid JSON: " + err.Error()}
	}
	p.document = new(document)
	r := wire.NewReader(members[0].Value)
	p.document.root, err = p.read(&r, nil, "", 0)
	return p.document, err
}

// read reads the value that follows, which is valid.
func (p *parser) read(r *wire.Reader, parent *value, token string, depth int) (v *value, err error) {
	v = &value{kind: r.Kind(), document: p.document, id: p.values, parent: parent, token: token}
	p.values++
	if depth > maxDepth {
		return nil, v.fail("is nested more than %d levels deep", maxDepth)
	}
	start := r.Offset()
	switch v.kind {
	case '{':
		err = p.readMembers(r, v, depth)
	case '[':
		for more := r.Enter(); more && err == nil; more = r.More() {
			var element *value
			element, err = p.read(r, v, strconv.Itoa(len(v.list)), depth+1)
			v.list = append(v.list, element)
		}
	case '"':
		r.Skip()
		v.text = wire.Text(r.Since(start))
	case 't', 'f', 'n':
		r.Skip()
	default:
		v.kind = '0'
		r.Skip()
	}
	v.raw = r.Since(start)
	return v, err
}

// manyMembers is from how many members on an object is indexed by name.
const manyMembers = 16

func (p *parser) readMembers(r *wire.Reader, v *value, depth int) error {
	for more := r.Enter(); more; more = r.More() {
		inner, _ := r.Name()
		name := wire.Text(slices.Concat([]byte{'"'}, inner, []byte{'"'}))
		child, err := p.read(r, v, name, depth+1)
		if err != nil {
			return err
		}
		v.members = append(v.members, member{name, child})
	}
	if len(v.members) >= manyMembers {
		v.byName = make(map[string]*value, len(v.members))
		for _, m := range v.members {
			v.byName[m.name] = m.value
		}
	}
	return nil
}

// resolve returns the value at a JSON pointer below v, or nil.
func (v *value) resolve(pointer string) *value {
	if pointer == "" {
		return v
	}
	if pointer[0] != '/' {
		return nil
	}
	for token := range strings.SplitSeq(pointer[1:], "/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch v.kind {
		case '{':
			v = v.get(token)
		case '[':
			n, err := strconv.Atoi(token)
			if err != nil || n < 0 || n >= len(v.list) || strconv.Itoa(n) != token {
				return nil
			}
			v = v.list[n]
		default:
			return nil
		}
		if v == nil {
			return nil
		}
	}
	return v
}
