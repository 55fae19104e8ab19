package wire

import "bytes"

// A Composer writes a body from parts of another one and notes, while it writes,
// where the members stand: the result is a [Document] that nobody has to read.
//
// Between [Composer.Begin] and [Composer.End] it makes either one object, the
// root, or a copy of a root that lists items, some of them made anew. Values and
// names that it is given must be valid JSON, names those of one object must
// differ, and be as [Object.Name] has them.
type Composer struct {
	// Text is what has been written. A value that is made in place is appended to
	// it between [Composer.Name] and [Composer.EndValue].
	Text []byte

	from, into *Document
	base       int      // where the result begins in Text
	places     *[]place // of the object that is being written
	open       int      // where its members begin in Text
	first      int      // where its places begin
	reread     bool     // the root has got a list, which must be indexed

	// Of a copy.
	list   int // which member of the root lists the items
	next   int // where the next item begins in the source, or space before it
	copied int // up to where the source has been copied
}

// Begin starts a body that is appended to dst. The document from is that of the
// source; into, which must be another, becomes that of the result.
func (c *Composer) Begin(dst []byte, from, into *Document) {
	into.Reset()
	*c = Composer{Text: dst, base: len(dst), from: from, into: into, places: &into.rootPlaces}
}

// BeginList starts a body that is a copy of the source, which must list items.
// Each of them is then kept or made anew, in order.
func (c *Composer) BeginList(dst []byte, from, into *Document) {
	c.Begin(dst, from, into)
	c.places = &into.itemPlaces
	for i := range from.rootPlaces {
		if string(from.root.Name(i)) == from.list {
			c.list = i
		}
	}
	c.next = skipSpace(from.root.text, int(from.rootPlaces[c.list].start)+1)
}

// Keep takes the next item over as it is.
func (c *Composer) Keep() {
	it := c.item()
	end := c.itemEnd()
	first, by := len(c.into.itemPlaces), c.shift()
	for _, p := range it.places {
		c.into.itemPlaces = append(c.into.itemPlaces, p.moved(by))
	}
	c.add(it, first)
	c.next = skipComma(c.from.root.text, end)
}

// shift is how much further back the source stands in the result, behind what
// has been copied.
func (c *Composer) shift() int { return len(c.Text) - c.base - c.copied }

func (p place) moved(by int) place {
	if p.nameStart&rewritten == 0 {
		p.nameStart, p.nameEnd = uint32(int(p.nameStart)+by), uint32(int(p.nameEnd)+by)
	}
	p.start, p.end = uint32(int(p.start)+by), uint32(int(p.end)+by)
	return p
}

// item is the next item of the source.
func (c *Composer) item() *Item { return &c.from.items[len(c.into.items)] }

// itemEnd is where the next item of the source ends: behind its last member, as
// far as that is known.
func (c *Composer) itemEnd() int {
	it := c.item()
	if n := len(it.places); n > 0 {
		return skipSpace(c.from.root.text, int(it.places[n-1].end)) + 1
	}
	return skipValue(c.from.root.text, c.next)
}

// add takes over what there is to know of an item whose places begin at first.
// Its text is filled in at the end, when it has its place.
func (c *Composer) add(it *Item, first int) {
	made := *it
	made.Object = Object{places: c.into.itemPlaces[first:len(c.into.itemPlaces):len(c.into.itemPlaces)]}
	c.into.items = append(c.into.items, made)
}

// Open starts the root, or the next item, which is then made anew.
func (c *Composer) Open() {
	if c.places == &c.into.itemPlaces {
		c.Text = append(c.Text, c.from.root.text[c.copied:c.next]...)
		c.copied = c.itemEnd()
	}
	c.Text = append(c.Text, '{')
	c.open, c.first = len(c.Text), len(*c.places)
}

// Close ends what Open has started.
func (c *Composer) Close() {
	c.Text = append(c.Text, '}')
	if c.places == &c.into.itemPlaces {
		c.add(c.item(), c.first)
		c.next = skipComma(c.from.root.text, c.copied)
	}
}

// Name starts a member, whose value is to be appended to Text.
func (c *Composer) Name(name []byte) {
	if len(c.Text) > c.open {
		c.Text = append(c.Text, ',')
	}
	start := len(c.Text) - c.base
	c.Text = append(append(c.Text, name...), ':')
	end := start + len(name)
	*c.places = append(*c.places, place{uint32(start), uint32(end), uint32(end + 1), 0})
}

// EndValue ends the member that Name has started.
func (c *Composer) EndValue() {
	p := &(*c.places)[len(*c.places)-1]
	p.end = uint32(len(c.Text) - c.base)
	if c.places == &c.into.rootPlaces && c.Text[c.base+int(p.start)] == '[' {
		name := c.Text[c.base+int(p.nameStart) : c.base+int(p.nameEnd)]
		c.reread = c.reread || string(name) == c.from.list
	}
}

// Member writes a member.
func (c *Composer) Member(name, value []byte) {
	c.Name(name)
	c.Text = append(c.Text, value...)
	c.EndValue()
}

// Copy writes the members of an object of the source from the i-th up to the j-th,
// with the white space between them, in one piece.
func (c *Composer) Copy(o Object, i, j int) {
	if i == j {
		return
	}
	if len(c.Text) > c.open {
		c.Text = append(c.Text, ',')
	}
	start := int(o.places[i].textStart(o.text))
	by := len(c.Text) - c.base - start
	c.Text = append(c.Text, o.text[start:o.places[j-1].end]...)
	for _, p := range o.places[i:j] {
		*c.places = append(*c.places, p.moved(by))
	}
	for k := i; k < j && c.places == &c.into.rootPlaces; k++ {
		c.reread = c.reread || o.text[o.places[k].start] == '[' && string(o.Name(k)) == c.from.list
	}
}

// textStart is where a member begins in the text. That of a name that was rewritten
// is looked for backwards from its value.
func (p place) textStart(text []byte) uint32 {
	if p.nameStart&rewritten == 0 {
		return p.nameStart
	}
	i := int(p.start) - 1
	for text[i] != '"' {
		i--
	}
	for i--; text[i] != '"' || escaped(text[:i]); i-- {
	}
	return uint32(i)
}

// End returns dst with the body behind it. The document of it says the same as if
// the body had been read within the limits of the source's, but that lengths are
// those of the source: what was received. It is empty where that cannot be said
// without reading.
func (c *Composer) End() []byte {
	if c.places == &c.into.itemPlaces {
		c.endList()
	}
	d := c.into
	text := c.Text[c.base:]
	d.index.rewritten = append(d.index.rewritten[:0], c.from.index.rewritten...)
	d.limits, d.list, d.repaired, d.mend.received = c.from.limits, c.from.list, c.from.repaired, c.from.mend.received
	d.root = Object{text: text, names: d.index.rewritten, places: d.rootPlaces}
	for i := range d.items {
		d.items[i].text, d.items[i].names = text, d.index.rewritten
	}
	if c.reread {
		d.Reset()
	}
	out := c.Text
	*c = Composer{}
	return out
}

// endList copies what stands behind the items, and notes the root.
func (c *Composer) endList() {
	c.into.listed = true
	for i, p := range c.from.rootPlaces {
		switch by := c.shift(); {
		case i < c.list:
		case i == c.list:
			p.end = uint32(int(p.end) + by)
		default:
			p = p.moved(by)
		}
		c.into.rootPlaces = append(c.into.rootPlaces, p)
	}
	c.Text = append(c.Text, c.from.root.text[c.copied:]...)
}

// A Walker steps through the members of a valid object.
type Walker struct {
	// Name is the quoted name of the member, as [Object.Name] has it.
	Name []byte
	// Value is its value, object[Start:End].
	Value      []byte
	Start, End int

	object []byte
	at     int
}

// Walk returns a walker that stands before the first member.
func Walk(object []byte) Walker { return Walker{object: object, at: skipSpace(object, 1)} }

// Next moves to the next member, and returns false behind the last one.
func (w *Walker) Next() bool {
	i := w.at
	if w.object[i] == '}' {
		return false
	}
	end := stringEnd(w.object, i)
	w.Name = plainName(w.object[i:end:end])
	w.Start = skipSpace(w.object, skipSpace(w.object, end)+1)
	w.End = skipValue(w.object, w.Start)
	w.Value = w.object[w.Start:w.End:w.End]
	w.at = skipComma(w.object, w.End)
	return true
}

// plainName returns a quoted name without needless escapes.
func plainName(quoted []byte) []byte {
	if !hasEscape(quoted) {
		return quoted
	}
	return AppendString(nil, Text(quoted))
}

func hasEscape(quoted []byte) bool { return bytes.IndexByte(quoted, '\\') >= 0 }

// AppendStringList appends a valid list in which every number has become a string
// of the same digits.
func AppendStringList(dst, list []byte) []byte {
	for i := 0; i < len(list); {
		switch c := list[i]; {
		case i == 0, c == ']', c == ',', isSpace(c):
			dst = append(dst, c)
			i++
		default:
			end := skipValue(list, i)
			dst = appendStringOf(dst, list[i:end])
			i = end
		}
	}
	return dst
}

// HasNumber reports whether a valid list has an element that is a number.
func HasNumber(list []byte) bool {
	for i := 1; i < len(list); i++ {
		switch c := list[i]; {
		case c == ']', c == ',', isSpace(c):
		case IsNumber(list[i:]):
			return true
		default:
			i = skipValue(list, i) - 1
		}
	}
	return false
}

// appendStringOf appends a value, a number as a string.
func appendStringOf(dst, value []byte) []byte {
	if !IsNumber(value) {
		return append(dst, value...)
	}
	return append(append(append(dst, '"'), value...), '"')
}

// IsNumber reports whether a value is a number.
func IsNumber(value []byte) bool {
	c := Kind(value)
	return c == '-' || '0' <= c && c <= '9'
}
