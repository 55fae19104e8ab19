package wire

// This file writes a changed body and its spans together. A migration copies most of a
// body unchanged; since the spans of what is copied only move, and those of what is
// written are known, the result does not have to be read again.
//
// All spans are relative to the beginning of the body, which need not be the beginning of
// the buffer. A span moves by a constant as long as text is copied in one piece, so for
// each piece only the difference between its position in the result and in the source is
// needed. Spans of rewritten names point into a buffer of names, which the result takes
// over from the source, and so do not move.

// A Composer writes a body from parts of another one and records, while it writes, where
// the members are: the result is a [Document] that was never read.
//
// Between [Composer.Begin] or [Composer.BeginList] and [Composer.End] it makes either one
// object, the root, or a copy of a root that lists items, some of which are made anew.
// Values and names must be valid JSON; the names of an object must differ and be in the
// form of [Object.Name]. None of this is checked.
//
// Memory is asked for, from the meter of the document of the result, before something is written:
// methods that return false were refused it. Then nothing more may be called but End.
type Composer struct {
	// Text is what has been written. A value that is made in place is appended to it
	// between [Composer.Name] and [Composer.EndValue].
	Text []byte

	from, into *Document
	base       int     // where the result begins in Text
	spans      *[]span // of the object that is being written: of the root or of the items
	open       int     // where its members begin in Text
	reread     bool    // the root has a list that is not indexed

	// For a copy of a list.
	list   int // the index of the root member that lists the items
	next   int // where the next item begins in the source
	copied int // the end of what has been copied from the source
}

// Begin starts a body that is appended to dst. The document from is that of the source;
// into, which must be another one, becomes that of the result.
func (c *Composer) Begin(dst []byte, from, into *Document) {
	into.Reset()
	*c = Composer{Text: dst, base: len(dst), from: from, into: into, spans: &into.rootSpans}
}

// BeginList starts a body that is a copy of the source, which must list items. Then each
// item, in order, is either kept by [Composer.Keep] or made anew between [Composer.Open]
// and [Composer.Close].
func (c *Composer) BeginList(dst []byte, from, into *Document) {
	c.Begin(dst, from, into)
	c.spans = &into.itemSpans
	for i := range from.rootSpans {
		if string(from.root.Name(i)) == from.list {
			c.list = i
		}
	}
	c.next = skipSpace(from.source.text, int(from.rootSpans[c.list].start)+1)
	x := &into.index
	into.items = roomFor(x, into.items, len(from.items))
	into.twice = roomFor(x, into.twice, len(from.twice))
	into.rootSpans = roomFor(x, into.rootSpans, len(from.rootSpans))
	into.itemSpans = roomFor(x, into.itemSpans, len(from.itemSpans)+len(from.items))
}

// isList reports whether the composer copies a list.
func (c *Composer) isList() bool { return c.spans == &c.into.itemSpans }

// Keep keeps the next item unchanged. Its text is not copied yet: it is copied together
// with that of its neighbours, when an item is made anew or at the end.
func (c *Composer) Keep() bool {
	it, x := c.item(), &c.into.index
	if c.into.itemSpans = roomFor(x, c.into.itemSpans, len(it.spans)); x.failed {
		return false
	}
	end := c.itemEnd()
	by := c.shift()
	count(len(it.spans))
	for _, s := range it.spans {
		c.into.itemSpans = append(c.into.itemSpans, s.moved(by))
	}
	c.addItem()
	c.next = skipComma(c.from.source.text, end)
	return true
}

// shift returns by how much text of the source moves that follows what has been copied.
func (c *Composer) shift() int { return len(c.Text) - c.base - c.copied }

// moved returns a span that is by bytes further back.
func (s span) moved(by int) span {
	if s.nameStart&rewritten == 0 {
		s.nameStart, s.nameEnd = uint32(int(s.nameStart)+by), uint32(int(s.nameEnd)+by)
	}
	s.start, s.end = uint32(int(s.start)+by), uint32(int(s.end)+by)
	return s
}

// item returns the next item of the source.
func (c *Composer) item() Item { return Items{c.from}.At(len(c.into.items)) }

// itemEnd returns where the next item of the source ends. If its members are known that
// is after the last one; only an item without spans is walked over.
func (c *Composer) itemEnd() int {
	it := c.item()
	if n := len(it.spans); n > 0 {
		return skipSpace(c.from.source.text, int(it.spans[n-1].end)) + 1
	}
	return skipValue(c.from.source.text, c.next)
}

// addItem adds an item with the properties of the next one of the source, and the spans that
// were added since the last one.
func (c *Composer) addItem() {
	it := c.from.items[len(c.into.items)]
	it.spans = it.spans&^(1<<faultShift-1) | uint32(len(c.into.itemSpans))
	c.into.items = append(c.into.items, it)
}

// Open starts the root, or the next item, which is made anew, with at most so many members and
// bytes of their text.
func (c *Composer) Open(members, bytes int) bool {
	bytes += len("{}")
	if c.isList() {
		bytes += c.next - c.copied
	}
	x := &c.into.index
	if *c.spans, c.Text = roomFor(x, *c.spans, members), roomFor(x, c.Text, bytes); x.failed {
		return false
	}
	if c.isList() {
		c.Text = append(c.Text, c.from.source.text[c.copied:c.next]...)
		c.copied = c.itemEnd() // skips the old text of the item
	}
	c.Text = append(c.Text, '{')
	c.open = len(c.Text)
	return true
}

// Close ends what Open has started.
func (c *Composer) Close() {
	c.Text = append(c.Text, '}')
	if c.isList() {
		c.addItem()
		c.next = skipComma(c.from.source.text, c.copied)
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
	*c.spans = append(*c.spans, span{uint32(start), uint32(end), uint32(end + 1), 0})
}

// EndValue ends the member that Name has started.
func (c *Composer) EndValue() {
	s := &(*c.spans)[len(*c.spans)-1]
	count(1 + (len(c.Text)-c.base-int(s.start))/copied)
	s.end = uint32(len(c.Text) - c.base)
	if c.spans == &c.into.rootSpans && c.Text[c.base+int(s.start)] == '[' {
		name := c.Text[c.base+int(s.nameStart) : c.base+int(s.nameEnd)]
		c.reread = c.reread || string(name) == c.from.list
	}
}

// Member writes a member.
func (c *Composer) Member(name, value []byte) {
	c.Name(name)
	c.Text = append(c.Text, value...)
	c.EndValue()
}

// Copy writes the members i to j-1 of an object of the source, with the white space
// between them, in one piece.
func (c *Composer) Copy(o Object, i, j int) {
	if i == j {
		return
	}
	if len(c.Text) > c.open {
		c.Text = append(c.Text, ',')
	}
	start := int(o.spans[i].textStart(o.in.text))
	count(j - i + (int(o.spans[j-1].end)-start)/copied)
	by := len(c.Text) - c.base - start
	c.Text = append(c.Text, o.in.text[start:o.spans[j-1].end]...)
	for _, s := range o.spans[i:j] {
		*c.spans = append(*c.spans, s.moved(by))
	}
	for k := i; k < j && c.spans == &c.into.rootSpans; k++ {
		c.reread = c.reread || o.in.text[o.spans[k].start] == '[' && string(o.Name(k)) == c.from.list
	}
}

// textStart returns where a member begins in the text. The span of a rewritten name does
// not say so: then it is found backwards from the value, over the colon to the closing
// quote of the name, and from there to the opening one.
func (s span) textStart(text []byte) uint32 {
	if s.nameStart&rewritten == 0 {
		return s.nameStart
	}
	i := int(s.start) - 1
	for text[i] != '"' {
		i--
	}
	for i--; text[i] != '"' || isEscaped(text[:i]); i-- {
	}
	return uint32(i)
}

// End returns dst with the body appended. The document of the result has the same content
// as if the body had been read with the limits of the source, except that lengths, faults
// and repairs are those of the source: what was received. The document is empty if it
// cannot be known without reading the body: if a new root has a list of events.
//
// The error is that of the meter. Then dst is returned as it was, and the document is empty.
func (c *Composer) End() ([]byte, error) {
	d := c.into
	d.index.rewritten = roomFor(&d.index, d.index.rewritten[:0], len(c.from.index.rewritten))
	if !d.index.failed && c.isList() {
		c.endList()
	}
	if refused := d.index.refused; refused != nil {
		out := c.Text[:c.base]
		d.Reset()
		*c = Composer{}
		return out, refused
	}
	text := c.Text[c.base:]
	d.index.rewritten = append(d.index.rewritten, c.from.index.rewritten...)
	d.limits, d.list, d.repaired, d.inner = c.from.limits, c.from.list, c.from.repaired, c.from.inner
	d.index.tooDeep = c.from.index.tooDeep
	d.source = source{text, d.index.rewritten}
	d.root = Object{&d.source, d.rootSpans}
	if c.reread {
		d.Reset()
	}
	out := c.Text
	*c = Composer{}
	return out, nil
}

// endList copies what follows the last item that was made anew, and moves the spans of the
// root: members before the list stay, the list's value becomes longer or shorter, and
// members after it move.
func (c *Composer) endList() {
	rest := c.from.source.text[c.copied:]
	if c.Text = roomFor(&c.into.index, c.Text, len(rest)); c.into.index.failed {
		return
	}
	c.into.listed, c.into.twice = true, append(c.into.twice[:0], c.from.twice...)
	for i, s := range c.from.rootSpans {
		switch by := c.shift(); {
		case i < c.list:
		case i == c.list:
			s.end = uint32(int(s.end) + by)
		default:
			s = s.moved(by)
		}
		c.into.rootSpans = append(c.into.rootSpans, s)
	}
	c.Text = append(c.Text, rest...)
}
