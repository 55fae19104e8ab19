package schema

import (
	"math/bits"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/inlet-go/inlet/internal/wire"
)

// A Checker checks values against schemas and collects what is wrong. It is used by one goroutine
// at once, and its memory is reused.
type Checker struct {
	// Buffer is for values that its user puts together.
	Buffer []byte
	// Faults are what was found.
	Faults []Fault

	most    int // faults
	r       wire.Reader
	path    []part
	seen    []uint64 // bits of the required members of all open objects
	scratch []byte   // a text without escapes, or the key of a number
}

var checkers = sync.Pool{New: func() any { return new(Checker) }}

// NewChecker returns a checker that stops when it has found a number of faults.
func NewChecker(most int) *Checker {
	c := checkers.Get().(*Checker)
	c.most = most
	return c
}

// maxKept is how large the memory of a checker may be that is kept for later, in bytes.
const maxKept = 64 << 10

// memory returns about how many bytes the parts have that may be of any size.
func (c *Checker) memory() int {
	const word, step = 8, 32
	return cap(c.Buffer) + cap(c.scratch) + step*cap(c.path) + word*cap(c.seen)
}

// Release ends the use of a checker. It may not be used after that, nor its Faults.
func (c *Checker) Release() {
	clear(c.Faults)
	c.Faults, c.r = c.Faults[:0], wire.Reader{}
	clear(c.path[:cap(c.path)])
	c.path, c.seen = c.path[:0], c.seen[:0]
	if c.memory() <= maxKept {
		checkers.Put(c)
	}
}

// Check checks a value, which is JSON.
func (c *Checker) Check(s *Schema, value []byte) {
	c.r = wire.NewReader(value)
	c.value(s.root)
}

// A Member is a place in the objects that a schema is for.
type Member struct {
	name []byte // as it is in JSON
	rule *rule  // nil if the schema does not name it
	node *node
}

// Member returns the place of a member of the root. planned is false if nothing is demanded of it.
func (s *Schema) Member(name string) (m Member, planned bool) {
	if s.root == nil || s.root.object == nil {
		return m, false
	}
	o := s.root.object
	m = Member{quoted(name), nil, o.others}
	if i := o.index.find(o.members, []byte(name)); i >= 0 {
		m.rule, m.node = &o.members[i], o.members[i].node
	}
	return m, m.rule != nil || m.node != nil
}

// Named reports whether the schema names the member.
func (m *Member) Named() bool { return m.rule != nil }

// Begin begins to check an object that is not in one piece. It returns false if no demand is made
// of its members. End must follow then.
func (c *Checker) Begin(s *Schema) bool {
	n := s.root
	switch {
	case n == nil:
		return false
	case n.never:
		c.add(Unplanned, "", "", "an object")
		return false
	case n.types&object == 0:
		c.add(Type, "type", n.expected, "an object")
		return false
	case n.object == nil:
		return false
	}
	c.begin(n.object)
	return true
}

// Member checks a member of the object.
func (c *Checker) Member(m *Member, value []byte) {
	if m.rule != nil {
		c.see(m.rule, 0)
	}
	if m.node == nil || c.full() {
		return
	}
	c.r = wire.NewReader(value)
	c.path = append(c.path, part{name: m.name})
	c.value(m.node)
	c.path = c.path[:0]
}

// Members checks members that are in an object of their own.
func (c *Checker) Members(s *Schema, object []byte) {
	c.r = wire.NewReader(object)
	for more := c.r.Enter(); more && !c.full(); more = c.r.More() {
		c.member(s.root.object, 0)
	}
}

// End records which required members are missing.
func (c *Checker) End(s *Schema) { c.end(s.root.object, 0) }

// full reports whether there are enough faults.
func (c *Checker) full() bool { return len(c.Faults) >= c.most }

// add records a fault at the path.
func (c *Checker) add(kind Kind, keyword, expected, found string) {
	if !c.full() {
		path := string(appendPath(nil, c.path))
		c.Faults = append(c.Faults, Fault{kind, clip(path, maxPath), keyword, expected, found})
	}
}

// maxNesting is how deep values are that are checked: as deep as any that is read.
const maxNesting = 10_000

// value checks the value that follows, and moves behind it.
func (c *Checker) value(n *node) {
	if n == nil {
		c.r.Skip()
		return
	}
	if n.never {
		c.skipAnd(Unplanned, "", "")
		return
	}
	switch c.r.Kind() {
	case '"':
		c.text(n)
	case '{':
		c.object(n)
	case '[':
		c.array(n)
	case 't', 'f':
		c.literal(n, boolean)
	case 'n':
		c.literal(n, null)
	default:
		c.number(n)
	}
}

// skipAnd moves behind the value that follows and records a fault about it.
func (c *Checker) skipAnd(kind Kind, keyword, expected string) {
	start := c.r.Offset()
	c.r.Skip()
	c.add(kind, keyword, expected, describe(c.r.Since(start)))
}

func (c *Checker) literal(n *node, t types) {
	if n.types&t == 0 {
		c.skipAnd(Type, "type", n.expected)
		return
	}
	raw := c.r.Scalar()
	c.enums(n, raw, nil)
}

// enums checks a value that is neither an object nor a list against the lists of values.
func (c *Checker) enums(n *node, raw, text []byte) {
	for _, e := range n.enums {
		if !e.has(raw, text, &c.scratch) {
			c.add(Other, e.keyword, e.expected, describe(raw))
		}
	}
}

func (c *Checker) number(n *node) {
	raw := c.r.Scalar()
	if n.types&number == number && n.number == nil && n.enums == nil {
		return
	}
	d := parseDecimal(raw)
	if t := kindOf(&d); n.types&t == 0 {
		c.add(Type, "type", n.expected, describe(raw))
		return
	}
	c.enums(n, raw, nil)
	if n.number == nil {
		return
	}
	for i := range n.number.bounds {
		if b := &n.number.bounds[i]; !b.has(&d) {
			c.add(Other, b.keyword, b.expected, describe(raw))
		}
	}
	for i := range n.number.divisors {
		if m := &n.number.divisors[i]; !m.divisor.divides(&d) {
			c.add(Other, "multipleOf", m.expected, describe(raw))
		}
	}
}

func kindOf(d *decimal) types {
	if d.isInteger() {
		return integer
	}
	return fraction
}

// has reports whether a number is within a bound.
func (b *bound) has(d *decimal) bool {
	order := compare(d, &b.decimal)
	if b.most {
		order = -order
	}
	return order > 0 || order == 0 && !b.exclusive
}

func (c *Checker) text(n *node) {
	if n.types&text == 0 {
		c.skipAnd(Type, "type", n.expected)
		return
	}
	start := c.r.Offset()
	inner, escaped := c.r.Text()
	if n.text == nil && n.enums == nil {
		return
	}
	raw := c.r.Since(start)
	if escaped {
		c.scratch = wire.AppendUnescaped(c.scratch[:0], inner)
		inner = c.scratch
	}
	c.enums(n, raw, inner)
	if t := n.text; t != nil {
		c.textRules(t, raw, inner)
	}
}

func (c *Checker) textRules(t *textRules, raw, inner []byte) {
	if t.least > 0 || t.most < maxCount {
		switch n := utf8.RuneCount(inner); {
		case n < t.least:
			c.add(Other, "minLength", "a text of at least "+counted(t.least, "character"), describe(raw))
			return
		case n > t.most:
			c.add(Other, "maxLength", "a text of at most "+counted(t.most, "character"), describe(raw))
			return
		}
	}
	for _, p := range t.patterns {
		if !p.matches(inner) {
			c.add(Other, "pattern", p.expected, describe(raw))
		}
	}
	for _, f := range t.formats {
		if !f.matches(inner) {
			c.add(Other, "format", f.expected, describe(raw))
		}
	}
}

// composite checks what is common to objects and lists. It returns false if the value has been
// dealt with.
func (c *Checker) composite(n *node, t types, rules bool) bool {
	if n.types&t == 0 {
		c.skipAnd(Type, "type", n.expected)
		return false
	}
	for _, e := range n.enums {
		if !e.hasOther(c.r, &c.scratch) {
			c.skipAnd(Other, e.keyword, e.expected)
			return false
		}
	}
	if !rules || c.full() {
		c.r.Skip()
		return false
	}
	if len(c.path) >= maxNesting {
		c.skipAnd(Other, "", "nested less deeply")
		return false
	}
	return true
}

func (c *Checker) array(n *node) {
	if !c.composite(n, array, n.array != nil) {
		return
	}
	a, count := n.array, 0
	depth := len(c.path)
	for more := c.r.Enter(); more && !c.full(); more = c.r.More() {
		c.path = append(c.path, part{index: count})
		c.value(a.items)
		c.path = c.path[:depth]
		count++
	}
	switch {
	case count < a.least:
		c.add(Other, "minItems", "a list of at least "+counted(a.least, "element"), "a list of "+strconv.Itoa(count))
	case count > a.most:
		c.add(Other, "maxItems", "a list of at most "+counted(a.most, "element"), "a list of "+strconv.Itoa(count))
	}
}

func (c *Checker) object(n *node) {
	if !c.composite(n, object, n.object != nil) {
		return
	}
	o, count := n.object, 0
	seen := c.begin(o)
	for more := c.r.Enter(); more && !c.full(); more = c.r.More() {
		c.member(o, seen)
		count++
	}
	c.end(o, seen)
	switch {
	case count < o.least:
		c.add(Other, "minProperties", "an object of at least "+counted(o.least, "member"), "an object of "+strconv.Itoa(count))
	case count > o.most:
		c.add(Other, "maxProperties", "an object of at most "+counted(o.most, "member"), "an object of "+strconv.Itoa(count))
	}
}

// begin makes room for the bits of the required members of an object, and returns where they are.
func (c *Checker) begin(o *objectRules) (seen int) {
	seen = len(c.seen)
	for range (len(o.required) + 63) / 64 {
		c.seen = append(c.seen, 0)
	}
	return seen
}

// member checks the member of an object that follows.
func (c *Checker) member(o *objectRules, seen int) {
	name, escaped := c.r.Name()
	plain := name
	if escaped {
		c.scratch = wire.AppendUnescaped(c.scratch[:0], name)
		plain = c.scratch
	}
	n := o.others
	if i := o.index.find(o.members, plain); i >= 0 {
		r := &o.members[i]
		c.see(r, seen)
		n = r.node
	}
	if n == nil {
		c.r.Skip()
		return
	}
	c.path = append(c.path, part{name: name})
	c.value(n)
	c.path = c.path[:len(c.path)-1]
}

// see notes that a member is there.
func (c *Checker) see(r *rule, seen int) {
	if r.required >= 0 {
		c.seen[seen+r.required/64] |= 1 << (r.required % 64)
	}
}

// end records which required members of an object are missing.
func (c *Checker) end(o *objectRules, seen int) {
	if found := c.seen[seen:]; ones(found) < len(o.required) {
		for i, r := range o.required {
			if found[i/64]&(1<<(i%64)) == 0 {
				c.path = append(c.path, part{name: r.quoted})
				c.add(Required, "required", r.expected(), "")
				c.path = c.path[:len(c.path)-1]
			}
			if c.full() {
				break
			}
		}
	}
	c.seen = c.seen[:seen]
}

func ones(words []uint64) (n int) {
	for _, w := range words {
		n += bits.OnesCount64(w)
	}
	return n
}

// expected returns what a member must be, in words, "" for anything.
func (r *rule) expected() string {
	if r.node == nil || r.node.types == allTypes {
		return ""
	}
	return r.node.expected
}

// counted returns a number of things in words.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
