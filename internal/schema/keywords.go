package schema

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/inlet-go/inlet/internal/wire"
)

// types is a set of the types of values.
type types uint8

const (
	null types = 1 << iota
	boolean
	integer  // a number that is whole
	fraction // a number that is not
	text
	array
	object

	number   = integer | fraction
	allTypes = null | boolean | number | text | array | object
)

// A typeName is the name that schemas have for types, with what it is in words.
type typeName struct {
	name, words string
	types       types
}

var typeNames = []typeName{
	{"string", "a text", text},
	{"number", "a number", number},
	{"integer", "a whole number", integer},
	{"boolean", "true or false", boolean},
	{"object", "an object", object},
	{"array", "a list", array},
	{"null", "null", null},
}

// words returns a set of types in words.
func (t types) words() string {
	var all []string
	for _, k := range typeNames {
		if t&k.types == k.types && (k.types != integer || t&number != number) {
			all = append(all, k.words)
		}
	}
	return either(all)
}

// either joins words by commas and a last "or".
func either(all []string) string {
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

// annotations are keywords that demand nothing. "id" is one from draft 06 on; plans are full of it,
// and of "labels", which are Segment's.
var annotations = []string{
	"$schema", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
	"contentEncoding", "contentMediaType", "definitions", "$defs", "id", "labels", "$ref", "allOf",
}

// A numberRules is what is demanded of numbers.
type numberRules struct {
	bounds   []bound
	divisors []multiple
}

type bound struct {
	keyword   string
	decimal   decimal
	most      bool // the number is an upper bound
	exclusive bool
	expected  string
}

type multiple struct {
	divisor  divisor
	expected string
}

// A textRules is what is demanded of texts.
type textRules struct {
	least, most int // code points
	patterns    []*pattern
	formats     []*format
}

// An arrayRules is what is demanded of arrays.
type arrayRules struct {
	least, most int
	items       *node
}

// An objectRules is what is demanded of objects.
type objectRules struct {
	least, most int
	members     []rule
	index       nameIndex
	required    []*rule // those of the members that are required
	others      *node   // of members that are not in the index
}

// A rule is what is demanded of a member of an object.
type rule struct {
	name     string
	quoted   []byte // as it is in JSON, without the quotes
	node     *node
	required int // the number of the member among those that are required, or -1
}

// maxRequired is how many members an object may require.
const maxRequired = 4096

// maxCount is what counts in a schema are cut to: no text is longer.
const maxCount = math.MaxInt32

// checkKeywords returns an error for a keyword that is not supported.
func (b *builder) checkKeywords(s *value) error {
	if s.checked {
		return nil
	}
	for _, m := range s.members {
		if s.document.draft == draft7 && m.name != "$ref" && s.get("$ref") != nil {
			continue // draft 07 ignores what is next to a reference
		}
		if err := b.checkKeyword(s, m); err != nil {
			return err
		}
	}
	s.checked = true
	return nil
}

func (b *builder) checkKeyword(s *value, m member) error {
	switch m.name {
	case "type", "enum", "const", "properties", "required", "additionalProperties", "items",
		"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
		"minLength", "maxLength", "pattern", "minItems", "maxItems", "minProperties", "maxProperties":
		s.demands = true
		return nil
	case "$id":
		if s.parent != nil {
			return unsupported(m.value, "changes what references mean: it is supported at the root only")
		}
		return nil
	case "format":
		s.demands = s.demands || b.options.Formats
		return b.checkFormat(m.value)
	case "uniqueItems":
		if m.value.kind == 't' {
			return unsupported(m.value, "is not supported")
		}
		return nil
	}
	if slices.Contains(annotations, m.name) || strings.HasPrefix(m.name, "x-") {
		return nil
	}
	return unsupported(m.value, "is not supported: %q is a keyword beyond the ones that a plan may use", m.name)
}

// fill reads the keywords of the schemas that a node is made of.
func (b *builder) fill(n *node, schemas []*value) error {
	n.types = allTypes
	for _, s := range schemas {
		for _, m := range s.members {
			if err := b.read(n, m.name, m.value); err != nil {
				return err
			}
		}
	}
	n.expected = n.types.words()
	if err := b.fillArray(n, schemas); err != nil {
		return err
	}
	return b.fillObject(n, schemas)
}

// read adds what a keyword demands to a node.
func (b *builder) read(n *node, keyword string, v *value) error {
	switch keyword {
	case "type":
		return n.addTypes(v)
	case "enum", "const":
		return n.addEnum(keyword, v)
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
		return n.addBound(keyword, v)
	case "multipleOf":
		return n.addDivisor(v)
	case "minLength":
		return atLeast(&n.texts().least, v)
	case "maxLength":
		return atMost(&n.texts().most, v)
	case "pattern":
		return b.addPattern(n, v)
	case "format":
		return b.addFormat(n, v)
	case "minItems":
		return atLeast(&n.arrays().least, v)
	case "maxItems":
		return atMost(&n.arrays().most, v)
	case "minProperties":
		return atLeast(&n.objects().least, v)
	case "maxProperties":
		return atMost(&n.objects().most, v)
	}
	return nil
}

func (n *node) numbers() *numberRules {
	if n.number == nil {
		n.number = new(numberRules)
	}
	return n.number
}

func (n *node) texts() *textRules {
	if n.text == nil {
		n.text = &textRules{most: maxCount}
	}
	return n.text
}

func (n *node) arrays() *arrayRules {
	if n.array == nil {
		n.array = &arrayRules{most: maxCount}
	}
	return n.array
}

func (n *node) objects() *objectRules {
	if n.object == nil {
		n.object = &objectRules{most: maxCount}
	}
	return n.object
}

func (n *node) addTypes(v *value) error {
	list := v.list
	if v.kind == '"' {
		list = []*value{v}
	}
	if len(list) == 0 {
		return v.fail("must be the name of a type, or a list of names")
	}
	var allowed types
	for _, name := range list {
		i := slices.IndexFunc(typeNames, func(k typeName) bool { return name.kind == '"' && k.name == name.text })
		if i < 0 {
			return v.fail("has an unknown type: %s", name.raw)
		}
		allowed |= typeNames[i].types
	}
	n.types &= allowed
	return nil
}

// maxSchemaExponent is how large or small a number of a schema may be.
const maxSchemaExponent = 10_000

// decimalOf returns a number of a schema.
func decimalOf(v *value) (decimal, error) {
	if v.kind != '0' {
		return decimal{}, v.fail("must be a number")
	}
	d := parseDecimal(v.raw)
	if d.lead > maxSchemaExponent || d.lead < -maxSchemaExponent {
		return d, v.fail("is too large or too small: %s", wire.Trim(v.raw))
	}
	return d, nil
}

// count returns a count of a schema, which may be written with zeros behind a point.
func count(v *value) (int, error) {
	d, err := decimalOf(v)
	if err != nil {
		return 0, err
	}
	if d.negative || !d.isInteger() {
		return 0, v.fail("must be a whole number, and not negative")
	}
	if d.lead > 9 {
		return maxCount, nil
	}
	n, digits := 0, bytes.ReplaceAll(d.digits, []byte("."), nil)
	for i := range int(max(d.lead, 0)) {
		n *= 10
		if i < len(digits) {
			n += int(digits[i] - '0')
		}
	}
	return n, nil
}

func atLeast(least *int, v *value) error {
	n, err := count(v)
	*least = max(*least, n)
	return err
}

func atMost(most *int, v *value) error {
	n, err := count(v)
	*most = min(*most, n)
	return err
}

func (n *node) addBound(keyword string, v *value) error {
	if v.kind == 't' || v.kind == 'f' {
		return v.fail("must be a number: true and false are of draft 04")
	}
	d, err := decimalOf(v)
	if err != nil {
		return err
	}
	b := bound{keyword: keyword, decimal: d}
	switch keyword {
	case "minimum":
		b.expected = "at least "
	case "maximum":
		b.most, b.expected = true, "at most "
	case "exclusiveMinimum":
		b.exclusive, b.expected = true, "more than "
	case "exclusiveMaximum":
		b.most, b.exclusive, b.expected = true, true, "less than "
	}
	b.expected += short(string(v.raw))
	n.numbers().bounds = append(n.number.bounds, b)
	return nil
}

func (n *node) addDivisor(v *value) error {
	d, err := decimalOf(v)
	if err != nil {
		return err
	}
	if d.count == 0 || d.negative {
		return v.fail("must be more than 0")
	}
	by, ok := newDivisor(&d)
	if !ok {
		return unsupported(v, "has more than %d digits", maxDivisorDigits)
	}
	n.numbers().divisors = append(n.number.divisors, multiple{by, "a multiple of " + short(string(v.raw))})
	return nil
}

// fillArray reads the keywords about elements, and makes the node of those.
func (b *builder) fillArray(n *node, schemas []*value) error {
	var items []*value
	for _, s := range schemas {
		if v := s.get("items"); v != nil {
			if v.kind == '[' {
				return unsupported(v, "is a list: only one schema for all elements is supported")
			}
			items = append(items, v)
		}
	}
	node, err := b.node(items)
	if err == nil && node != nil {
		n.arrays().items = node
	}
	return err
}

// fillObject reads the keywords about members, and makes the nodes of those.
func (b *builder) fillObject(n *node, schemas []*value) error {
	names, err := readNames(schemas)
	if err != nil {
		return err
	}
	others, err := b.node(childrenOf(schemas, nil))
	if err != nil {
		return err
	}
	if len(names.rules) == 0 && others == nil {
		return nil
	}
	o := n.objects()
	o.others, o.members, o.index = others, names.rules, newNameIndex(names.rules, names.index)
	o.required = make([]*rule, names.required)
	for i := range o.members {
		r := &o.members[i]
		if r.node, err = b.node(childrenOf(schemas, &r.name)); err != nil {
			return err
		}
		if r.required >= 0 {
			o.required[r.required] = r
		}
	}
	return nil
}

// A nameList is the rules for the names that schemas have or require, without nodes.
type nameList struct {
	rules    []rule
	index    map[string]int
	required int // how many are required
}

// add returns the rule for a name, a new one if there is none.
func (l *nameList) add(name string) *rule {
	i, ok := l.index[name]
	if !ok {
		i = len(l.rules)
		l.index[name] = i
		l.rules = append(l.rules, rule{name: name, quoted: quoted(name), required: -1})
	}
	return &l.rules[i]
}

// readNames returns the rules for all names in some schemas.
func readNames(schemas []*value) (*nameList, error) {
	l := &nameList{index: map[string]int{}}
	for _, s := range schemas {
		v := s.get("properties")
		if v == nil {
			continue
		}
		if v.kind != '{' {
			return nil, v.fail("must be an object of schemas")
		}
		for _, m := range v.members {
			l.add(m.name)
		}
	}
	for _, s := range schemas {
		if v := s.get("required"); v != nil {
			if err := l.require(v); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

// require adds the names of a list of required ones.
func (l *nameList) require(v *value) error {
	if v.kind != '[' {
		return v.fail("must be a list of names")
	}
	for _, name := range v.list {
		if name.kind != '"' {
			return v.fail("must be a list of names")
		}
		if r := l.add(name.text); r.required < 0 {
			r.required = l.required
			l.required++
		}
	}
	if l.required > maxRequired {
		return v.fail("has more than %d names", maxRequired)
	}
	return nil
}

// quoted returns a name as it is in JSON, without the quotes.
func quoted(name string) []byte {
	raw := wire.AppendString(nil, name)
	return raw[1 : len(raw)-1]
}

// childrenOf returns the schemas that apply to the member with a name, or to those that have no
// name in any of the schemas.
func childrenOf(schemas []*value, name *string) (children []*value) {
	for _, s := range schemas {
		if properties := s.get("properties"); properties != nil && name != nil {
			if child := properties.get(*name); child != nil {
				children = append(children, child)
				continue
			}
		}
		if v := s.get("additionalProperties"); v != nil {
			children = append(children, v)
		}
	}
	return children
}

// short returns a text of a schema that is fit for a sentence.
func short(s string) string {
	const most = 100
	if r := []rune(s); len(r) > most {
		return fmt.Sprintf("%s…", string(r[:most]))
	}
	return s
}
