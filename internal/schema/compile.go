package schema

import (
	"encoding/binary"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// maxNodes is how many nodes a schema may have. Places that several schemas apply to have a node
// for each set of schemas, of which a strange schema could have as many as there are sets.
const maxNodes = 20_000

// A node is what is demanded of the values at a place. A nil node demands nothing.
type node struct {
	never    bool // no value is valid
	types    types
	expected string // the types in words
	enums    []*enum
	number   *numberRules
	text     *textRules
	array    *arrayRules
	object   *objectRules
}

// A builder makes the nodes of a schema.
type builder struct {
	*Compiler
	parser parser
	nodes  map[string]*node // by the schemas that they are made of
	queue  []pending        // nodes whose keywords have not been read
}

type pending struct {
	node    *node
	schemas []*value
}

// compile returns the node of the root, with all below it.
func (b *builder) compile(roots []*value) (*node, error) {
	root, err := b.node(roots)
	if err != nil {
		return nil, err
	}
	if b.options.InPieces && len(b.queue) > 0 {
		if err := checkInPieces(b.queue[0].schemas); err != nil {
			return nil, err
		}
	}
	for len(b.queue) > 0 {
		last := len(b.queue) - 1
		next := b.queue[last]
		b.queue = b.queue[:last]
		if err := b.fill(next.node, next.schemas); err != nil {
			return nil, err
		}
	}
	return root, nil
}

// checkInPieces returns an error if schemas of an object demand what is not seen in its pieces.
func checkInPieces(schemas []*value) error {
	for _, s := range schemas {
		for _, keyword := range []string{"enum", "const", "minProperties", "maxProperties"} {
			if v := s.get(keyword); v != nil {
				return unsupported(v, "is not supported at the root of the schema")
			}
		}
	}
	return nil
}

// node returns the node for values that must satisfy all of the schemas.
func (b *builder) node(schemas []*value) (*node, error) {
	var f flat
	for _, s := range schemas {
		if err := b.flatten(&f, s); err != nil {
			return nil, err
		}
	}
	if f.never {
		return never, nil
	}
	if len(f.schemas) == 0 {
		return nil, nil //nolint:nilnil // nothing is demanded
	}
	slices.SortFunc(f.schemas, func(a, b *value) int { return a.id - b.id })
	var key []byte
	for _, s := range f.schemas {
		key = binary.AppendUvarint(key, uint64(s.id))
	}
	if n := b.nodes[string(key)]; n != nil {
		return n, nil
	}
	if len(b.nodes) >= maxNodes {
		return nil, &Error{Reason: fmt.Sprintf("has more than %d places that values can be at", maxNodes)}
	}
	n := new(node)
	b.nodes[string(key)] = n
	b.queue = append(b.queue, pending{n, f.schemas})
	return n, nil
}

// never is the node of the schema false.
var never = &node{never: true}

// A flat is a list of schemas that all apply to a value, with what they refer to.
type flat struct {
	schemas []*value // objects that demand something, each once
	seen    []*value // all that were added, so that none is followed again
	never   bool     // one of them is false
	open    []*value // whose references are being followed
}

// maxOpen is how many references may lead from one schema to another without a value between
// them.
const maxOpen = 256

// flatten adds a schema and those that it refers to, which apply to the same value.
func (b *builder) flatten(f *flat, s *value) error {
	switch s.kind {
	case 't':
		return nil
	case 'f':
		f.never = true
		return nil
	case '{':
	default:
		return s.fail("must be a schema: an object, true or false")
	}
	if slices.Contains(f.open, s) {
		return s.fail("refers to itself")
	}
	if slices.Contains(f.seen, s) {
		return nil
	}
	if len(f.open) >= maxOpen || len(f.seen) >= maxOpen {
		return s.fail("refers to more than %d others that apply to the same value", maxOpen)
	}
	f.open = append(f.open, s)
	f.seen = append(f.seen, s)
	defer func() { f.open = f.open[:len(f.open)-1] }()
	if err := b.checkKeywords(s); err != nil {
		return err
	}
	if ref := s.get("$ref"); ref != nil {
		target, err := resolve(ref)
		if err != nil {
			return err
		}
		if err := b.flatten(f, target); err != nil || s.document.draft == draft7 {
			return err // draft 07 ignores what is next to a reference
		}
	}
	if all := s.get("allOf"); all != nil {
		if all.kind != '[' || len(all.list) == 0 {
			return all.fail("must be a list of schemas")
		}
		for _, part := range all.list {
			if err := b.flatten(f, part); err != nil {
				return err
			}
		}
	}
	if s.demands {
		f.schemas = append(f.schemas, s)
	}
	return nil
}

// resolve returns the schema that a reference leads to, which must be in the same document.
func resolve(ref *value) (*value, error) {
	if ref.kind != '"' {
		return nil, ref.fail("must be a text")
	}
	fragment, ok := strings.CutPrefix(ref.text, "#")
	if !ok {
		return nil, unsupported(ref, "refers to %q: only references within the schema are supported, which begin with #", ref.text)
	}
	pointer, err := url.PathUnescape(fragment)
	if err != nil {
		return nil, ref.fail("is not a valid reference: %q", ref.text)
	}
	if pointer != "" && pointer[0] != '/' {
		return nil, unsupported(ref, "refers to %q: only references by path are supported, which begin with #/", ref.text)
	}
	target := ref.document.root.resolve(pointer)
	if target == nil {
		return nil, ref.fail("refers to %q, which does not exist", ref.text)
	}
	return target, nil
}

// A draft is a version of JSON Schema.
type draft uint8

const (
	draft7 draft = iota // also what is common to it and the ones before it
	draft2020
)

// drafts are the values of "$schema" that are known, without the scheme and an empty fragment.
// What a draft has differently from the one that it is read as is refused: in draft 04, bounds
// are exclusive by a flag; in draft 2019-09, "items" may be a list.
var drafts = map[string]draft{
	"json-schema.org/draft-04/schema":       draft7,
	"json-schema.org/draft-06/schema":       draft7,
	"json-schema.org/draft-07/schema":       draft7,
	"json-schema.org/draft/2019-09/schema":  draft2020,
	"json-schema.org/draft/2020-12/schema":  draft2020,
	"json-schema.org/schema":                draft7,
	"json-schema.org/draft-07/hyper-schema": draft7,
}

// draftOf returns the draft that a schema is written in: 07 unless it says another one.
func draftOf(root *value) (draft, error) {
	says := root.get("$schema")
	if says == nil {
		return draft7, nil
	}
	name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(says.text, "http://"), "https://"), "#")
	d, ok := drafts[name]
	if says.kind != '"' || !ok {
		return 0, unsupported(says, "is %s: the drafts 07 and 2020-12 are supported", says.raw)
	}
	return d, nil
}
