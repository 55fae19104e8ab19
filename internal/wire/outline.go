package wire

import "slices"

// This file reads a body into a document, and keeps the spans of objects inside of the
// events as well, such as those of "context" and "properties". A migration needs them, and
// it is cheaper to keep them in the one pass than to walk over the text again.
//
// Two levels are kept: the objects that are members of an event, and in those the members
// "user", "context" and "device" if they are objects. The objects are in the order in which
// they begin, and events are visited in order, so an object is found by moving forwards.
//
// The pass is that of document.go, which calls [Outline.readInner] for each object in an
// event. Inner objects of a document that was read without an outline are found by walking
// over the text.

// An Outline finds the members of objects inside of a document's events. Its memory is
// reused.
type Outline struct {
	// Watch are the names that [InnerObject.Has] knows about. Required by Read.
	Watch *Watch

	doc     *Document
	objects []inner   // by where they begin
	spans   [2][]span // by level: of objects in events, and of objects in those
	base    int       // the first of the objects that may be in the current event
}

// An inner is an object whose spans are kept.
type inner struct {
	start       uint32
	first, last uint32 // its spans are spans[level][first:last]
	user        int32  // the index of a member "user" whose spans are kept, or -1
	names       Mark   // the watched ones among its names
	level       uint8
}

// A Mark is a set of names of a [Watch], one bit each.
type Mark uint16

// allNames is the set for an object whose names are not known: it may have any.
const allNames = ^Mark(0)

// A Watch is a set of at most 16 names that an outline recognises while it reads, so that
// a caller can skip an object that has none of those it looks for. It is read-only once it
// is made.
type Watch struct {
	// An open-addressing hash table by fingerprint, in which 0 is a free slot. It is much
	// larger than the set, so that most other names hit a free slot immediately.
	fingerprints [watchSize]uint64
	marks        [watchSize]Mark
	names        []string
}

const watchSize = 256

// NewWatch returns the set of the given names, quoted and without escapes.
func NewWatch(quoted ...string) *Watch {
	w := &Watch{names: quoted}
	for i, name := range quoted {
		fingerprint := fingerprintOf([]byte(name))
		slot := fingerprint * mixer >> 32 % watchSize
		for w.fingerprints[slot] != 0 {
			slot = (slot + 1) % watchSize
		}
		w.fingerprints[slot], w.marks[slot] = fingerprint, 1<<i
	}
	return w
}

// Mark returns the set of the given names, which must be in the watch.
func (w *Watch) Mark(quoted ...string) (m Mark) {
	for _, name := range quoted {
		m |= 1 << slices.Index(w.names, name)
	}
	return m
}

// mark returns the mark of a name by its fingerprint, 0 if the name is not watched. A name
// that happens to have the fingerprint of a watched one is marked too; that costs a walk
// and no more, since [InnerObject.Has] does not promise that the member exists.
func (w *Watch) mark(fingerprint uint64) Mark {
	for slot := fingerprint * mixer >> 32 % watchSize; w.fingerprints[slot] != 0; slot = (slot + 1) % watchSize {
		if w.fingerprints[slot] == fingerprint {
			return w.marks[slot]
		}
	}
	return 0
}

// Use makes the outline one of a document that has been read already.
func (o *Outline) Use(d *Document) {
	o.doc, o.objects, o.base = d, o.objects[:0], 0
	o.spans[0], o.spans[1] = o.spans[0][:0], o.spans[1][:0]
}

// Refused returns the error of the meter of the document, if it has refused memory for objects
// that were looked for by [Outline.Inner]: those have no members then.
func (o *Outline) Refused() error { return o.doc.index.refused }

// Reset releases the document.
func (o *Outline) Reset() { o.Use(nil) }

// Read is [Document.Read] that also keeps the spans of the objects in each event, and of
// some objects in those.
func (o *Outline) Read(d *Document, body []byte, list string, limits Limits) error {
	o.Use(d)
	d.outline = o
	err := d.Read(body, list, limits)
	d.outline = nil
	if err != nil {
		o.Use(d)
	}
	return err
}

// readInner keeps the spans of the object at start, and of some objects in it.
func (o *Outline) readInner(start int, level uint8) (end int) {
	x := &o.doc.index
	if len(o.objects) == cap(o.objects) {
		if o.objects = outgrown(x, o.objects, start, len(`"":{},`)); x.failed {
			return start
		}
	}
	object, first := len(o.objects), len(o.spans[level])
	o.objects = append(o.objects, inner{start: uint32(start), level: level, user: -1})
	var names Mark
	i := x.open(start)
	for more := x.at(i) != '}'; more; {
		var s span
		if s, i = x.name(i); x.failed {
			return i
		}
		names |= o.Watch.mark(x.fingerprint)
		s.start = uint32(i)
		if level == 0 && x.at(i) == '{' {
			i = o.readInnermost(i, object, x.text(s.nameStart, s.nameEnd), len(o.spans[0])-first)
		} else {
			i = x.value(i)
		}
		if x.failed {
			return i
		}
		s.end = uint32(i)
		if len(o.spans[level]) == cap(o.spans[level]) && !x.growSpans(&o.spans[level], i) {
			return i
		}
		o.spans[level] = append(o.spans[level], s)
		i, more = x.next(i)
	}
	if x.failed {
		return i
	}
	in := &o.objects[object]
	in.first, in.last, in.names = uint32(first), uint32(len(o.spans[level])), names
	return x.close(i)
}

// readInnermost reads an object that is a member of an object in an event, the i-th one, and
// keeps its spans if its name is one of those that Outline is for.
func (o *Outline) readInnermost(start, object int, name []byte, i int) (end int) {
	switch string(name) {
	case `"user"`:
		o.objects[object].user = int32(i)
	case `"context"`, `"device"`:
	default:
		return o.doc.index.value(start)
	}
	return o.readInner(start, 1)
}

// Event moves to an event, which is the root or an item of the document. Events must be
// visited in order.
func (o *Outline) Event(event Object) {
	if event.Len() == 0 {
		return
	}
	for start := event.spans[0].start; o.base < len(o.objects) && o.objects[o.base].start < start; {
		o.base++
	}
}

// Inner returns the object that is the i-th value of the current event, or of an object
// in it.
func (o *Outline) Inner(of Object, i int) InnerObject {
	start := of.spans[i].start
	for k := o.base; k < len(o.objects) && o.objects[k].start <= start; k++ {
		count(1)
		if in := &o.objects[k]; in.start == start {
			return InnerObject{o.object(o.spans[in.level][in.first:in.last:in.last]), in.names, int(in.user)}
		}
	}
	return InnerObject{o.search(int(start)), allNames, -1}
}

// An InnerObject is an object inside of an event.
type InnerObject struct {
	Object
	names Mark
	user  int
}

// Has reports whether there may be a member with one of the names. If it returns false
// there is none. It always returns true for an object of a document that was not read by
// the outline.
func (o *InnerObject) Has(names Mark) bool { return o.names&names != 0 }

// User returns the index of the member "user" if that is an object whose spans are kept,
// else -1.
func (o *InnerObject) User() int { return o.user }

func (o *Outline) object(spans []span) Object {
	return Object{&o.doc.source, spans}
}

// search finds the members of the object at start by walking over its text, which is known
// to be valid.
func (o *Outline) search(start int) Object {
	x, first := &o.doc.index, len(o.spans[0])
	text := o.doc.source.text
	for i := skipSpace(text, start+1); text[i] != '}'; {
		s := span{nameStart: uint32(i)}
		i = skipString(text, i)
		if s.nameEnd = uint32(i); hasEscape(text[s.nameStart:s.nameEnd]) {
			s.nameStart, s.nameEnd, _ = x.rewrite(text[s.nameStart:s.nameEnd])
		}
		i = skipColon(text, i)
		s.start = uint32(i)
		i = skipValue(text, i)
		s.end = uint32(i)
		count(i - int(s.start))
		if o.spans[0] = roomFor(x, o.spans[0], 1); x.failed {
			return Object{}
		}
		o.spans[0] = append(o.spans[0], s)
		i = skipComma(text, i)
	}
	o.doc.source.names = x.rewritten
	return o.object(o.spans[0][first:len(o.spans[0]):len(o.spans[0])])
}
