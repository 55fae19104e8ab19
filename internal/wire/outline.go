package wire

import (
	"slices"
	"unicode/utf8"
)

// An Outline finds the members of objects inside of a document's events. It notes
// them while the document is read, in the same pass, or looks for them in one that
// has been read without it. Its memory is reused.
type Outline struct {
	// Watch are the names that [InnerObject.Has] tells of. Required to Read.
	Watch *Watch

	doc     *Document
	objects []inner    // by where they begin
	places  [2][]place // of objects in events, and of the users in those
	base    int        // the first of the objects that may be in the event at hand
}

// inner is an object whose members are noted.
type inner struct {
	start       uint32
	level       int
	first, last int  // in places[level]
	names       Mark // of all of its members
	user        int  // which member is a user whose members are noted, or -1
}

// A Mark stands for some of the names of a [Watch].
type Mark uint64

// unmarked is the mark of an object whose names nobody has looked at.
const unmarked = ^Mark(0)

// A Watch is a set of names, at most 60, that an outline notices while it reads. It
// is not changed once it is made.
type Watch struct {
	prints [watchSize]uint64 // open addressing
	marks  [watchSize]Mark
	names  []string
}

const watchSize = 256

// NewWatch returns the set of the given names, quoted and without escapes.
func NewWatch(quoted ...string) *Watch {
	w := &Watch{names: quoted}
	for i, name := range quoted {
		print := printOf([]byte(name))
		slot := print * mix >> 32 % watchSize
		for w.prints[slot] != 0 {
			slot = (slot + 1) % watchSize
		}
		w.prints[slot], w.marks[slot] = print, 1<<i
	}
	return w
}

// Mark returns the mark of some of the names.
func (w *Watch) Mark(quoted ...string) (m Mark) {
	for _, name := range quoted {
		m |= 1 << slices.Index(w.names, name)
	}
	return m
}

// mark returns the mark of a name by its print, 0 if it is none of the set. Another
// name of the same print does no harm: names are compared before they count.
func (w *Watch) mark(print uint64) Mark {
	for slot := print * mix >> 32 % watchSize; w.prints[slot] != 0; slot = (slot + 1) % watchSize {
		if w.prints[slot] == print {
			return w.marks[slot]
		}
	}
	return 0
}

// Use takes a document that has been read already.
func (o *Outline) Use(d *Document) {
	o.doc, o.objects, o.base = d, o.objects[:0], 0
	o.places[0], o.places[1] = o.places[0][:0], o.places[1][:0]
}

// Reset lets go of the document.
func (o *Outline) Reset() { o.Use(nil) }

// Read is [Document.Read] that notes the members of the objects in each event, and
// of the users in those.
func (o *Outline) Read(d *Document, body []byte, list string, limits Limits) error {
	o.Use(d)
	d.Reset()
	d.limits, d.list = limits, list
	d.mend.received = len(body)
	d.index.reset(body, limits)
	if !o.readRoot() || d.index.broken || !utf8.Valid(body) {
		o.Use(d)
		return d.Read(body, list, limits) // which says what is wrong, and mends
	}
	return nil
}

// readRoot is [Document.readRoot] for bodies that nothing is wrong with; it returns
// false for others.
func (o *Outline) readRoot() bool {
	d, x := o.doc, &o.doc.index
	start := x.space(0)
	if x.at(start) != '{' {
		return false
	}
	end, ok := o.readEvent(start, &d.rootPlaces, d.list)
	if !ok || x.space(end) < len(x.src) || x.fault.Kind != None {
		return false
	}
	d.root = Object{text: x.src, names: x.rewritten, places: d.rootPlaces}
	return true
}

// readEvent notes the members of the object at start and of the objects in it.
func (o *Outline) readEvent(start int, places *[]place, list string) (end int, ok bool) {
	x := &o.doc.index
	i := x.open(start)
	for more := x.at(i) != '}'; more; {
		var p place
		if p, i = x.name(i); x.failed {
			return i, false
		}
		p.start = uint32(i)
		switch c := x.at(i); {
		case c == '{':
			i = o.readInner(i, 0)
		case c == '[' && list != "" && string(x.text(p.nameStart, p.nameEnd)) == list:
			if i, ok = o.readItems(i); !ok {
				return i, false
			}
		default:
			i = x.value(i)
		}
		p.end = uint32(i)
		if x.fault.Kind == None {
			*places = append(*places, p)
		}
		if x.failed {
			return i, false
		}
		i, more = x.next(i)
	}
	return x.close(i), !x.failed
}

// readInner notes the members of the object at start, and of the user in it.
func (o *Outline) readInner(start, level int) (end int) {
	x := &o.doc.index
	object, first := len(o.objects), len(o.places[level])
	o.objects = append(o.objects, inner{start: uint32(start), level: level, user: -1})
	var names Mark
	i := x.open(start)
	for more := x.at(i) != '}'; more && !x.failed; {
		var p place
		if p, i = x.name(i); x.failed {
			return i
		}
		if k := len(x.names) - 1; k >= 0 { // with a fault it may be another one, but then the event is of no use
			names |= o.Watch.mark(x.names[k].print)
		}
		p.start = uint32(i)
		if level == 0 && x.at(i) == '{' && string(x.text(p.nameStart, p.nameEnd)) == `"user"` {
			o.objects[object].user = len(o.places[0]) - first
			i = o.readInner(i, 1)
		} else {
			i = x.value(i)
		}
		p.end = uint32(i)
		o.places[level] = append(o.places[level], p)
		if !x.failed {
			i, more = x.next(i)
		}
	}
	in := &o.objects[object]
	in.first, in.last, in.names = first, len(o.places[level]), names
	return x.close(i)
}

// readItems is [Document.readItems].
func (o *Outline) readItems(start int) (end int, ok bool) {
	d, x := o.doc, &o.doc.index
	d.listed = true
	i := x.open(start)
	for more := x.at(i) != ']'; more && !x.failed; {
		if d.limits.Items > 0 && len(d.items) == d.limits.Items {
			return i, false
		}
		outer := x.begin()
		i = o.readItem(i)
		x.end(outer)
		if !x.failed {
			i, more = x.next(i)
		}
	}
	return x.close(i), !x.failed
}

// readItem is [Document.readItem] for an element without broken text.
func (o *Outline) readItem(start int) (end int) {
	d, x := o.doc, &o.doc.index
	first := len(d.itemPlaces)
	var it Item
	if x.at(start) == '{' {
		end, _ = o.readEvent(start, &d.itemPlaces, "")
		it.Fault = x.fault
	} else {
		end = x.value(start)
		it.Fault.Kind = NotObject
	}
	it.Size = end - start
	d.addItem(it, first)
	return end
}

// Event moves on to an event, which is the root or an item of the document. Events
// come in order.
func (o *Outline) Event(event Object) {
	if event.Len() == 0 {
		return
	}
	for start := event.places[0].start; o.base < len(o.objects) && o.objects[o.base].start < start; {
		o.base++
	}
}

// Inner returns the object that is the i-th value of an object in the event, or of
// the event itself.
func (o *Outline) Inner(of Object, i int) InnerObject {
	start := of.places[i].start
	for k := o.base; k < len(o.objects) && o.objects[k].start <= start; k++ {
		if in := &o.objects[k]; in.start == start {
			return InnerObject{o.object(o.places[in.level][in.first:in.last:in.last]), in.names, in.user}
		}
	}
	return InnerObject{o.search(int(start)), unmarked, -1}
}

// An InnerObject is an object inside of an event.
type InnerObject struct {
	Object
	names Mark
	user  int
}

// Has reports whether there may be a member with one of the names. It is exact but
// for documents that were read without the outline, where it is always true.
func (o *InnerObject) Has(names Mark) bool { return o.names&names != 0 }

// User returns the place of the member "user", if that is an object whose members
// are noted, else -1.
func (o *InnerObject) User() int { return o.user }

func (o *Outline) object(places []place) Object {
	return Object{text: o.doc.root.text, names: o.doc.index.rewritten, places: places}
}

// search finds the members of an object in text that is known to be valid.
func (o *Outline) search(start int) Object {
	x, first := &o.doc.index, len(o.places[0])
	text := o.doc.root.text
	for i := skipSpace(text, start+1); text[i] != '}'; {
		p := place{nameStart: uint32(i)}
		i = stringEnd(text, i)
		if p.nameEnd = uint32(i); hasEscape(text[p.nameStart:p.nameEnd]) {
			p.nameStart, p.nameEnd, _ = x.rewrite(text[p.nameStart:p.nameEnd])
		}
		i = skipSpace(text, skipSpace(text, i)+1)
		p.start = uint32(i)
		i = skipValue(text, i)
		p.end = uint32(i)
		o.places[0] = append(o.places[0], p)
		i = skipComma(text, i)
	}
	return o.object(o.places[0][first:len(o.places[0]):len(o.places[0])])
}
