package wire

import "unicode/utf8"

// Limits bound what one event may hold and how many a batch may. They act while
// the document is read, so that what breaks them costs nothing more.
type Limits struct {
	// Depth is how deep values may be nested, the event itself being 1.
	Depth int
	// Members is how many names an event may have, at all depths together.
	Members int
	// Bytes is how long an event may be, as received.
	Bytes int
	// Items is how many elements the list may have.
	Items int
}

// A Document is the structure of a request's body: the members of its root
// object and, where one of them is the list of events, the members of each of
// those. Its memory is reused by the next [Document.Read]; what it returns are
// slices of the body and of itself, and good until then.
type Document struct {
	limits   Limits
	list     string // quoted name of the root member that lists events
	root     Object
	items    []Item
	listed   bool // the root has such a member, and it is an array
	repaired int  // repairs of text outside of the list

	rootPlaces, itemPlaces []place
	index                  indexer
	mend                   mending
}

// An Item is one element of the list of events.
type Item struct {
	// Object is the event. Empty if Fault is set.
	Object
	// Size is its length as received.
	Size int
	// Fault is why it cannot be used, or None.
	Fault Fault
	// Repaired says that broken text in it was replaced by U+FFFD.
	Repaired bool
}

// A Fault is what the grammar allows in an event and we do not.
type Fault struct {
	Kind FaultKind
	// Name is the member that stands twice, with [Duplicate].
	Name string
}

// A FaultKind names a [Fault].
type FaultKind uint8

// The kinds of faults.
const (
	None FaultKind = iota
	NotObject
	Duplicate
	TooDeep
	TooManyMembers
	TooLarge
)

// An Object is a JSON object whose members have been found. Its zero value has
// none.
type Object struct {
	text   []byte // what the places point into
	names  []byte // what those of names with escapes point into
	places []place
}

// place is where a member stands. A name that was written with escapes has its
// place among the rewritten names, which rewritten marks.
type place struct {
	nameStart, nameEnd, start, end uint32
}

const rewritten = 1 << 31

// Len returns the number of members.
func (o Object) Len() int { return len(o.places) }

// Name returns the i-th name, quoted and without needless escapes.
func (o Object) Name(i int) []byte {
	p := &o.places[i]
	if p.nameStart&rewritten != 0 {
		return o.names[p.nameStart&^rewritten : p.nameEnd]
	}
	return o.text[p.nameStart:p.nameEnd]
}

// Value returns the i-th value, without white space around it.
func (o Object) Value(i int) []byte {
	p := &o.places[i]
	return o.text[p.start:p.end:p.end]
}

// Get returns the value of the member with the given quoted name, or nil.
func (o Object) Get(quoted string) []byte {
	for i := range o.places {
		if string(o.Name(i)) == quoted {
			return o.Value(i)
		}
	}
	return nil
}

// Read takes in a body whose root is an object. The list is the quoted name of
// the root member that holds events if it is an array.
//
// The error is a [*SyntaxError] if the body is not JSON, [ErrNotObject] if its
// root is no object, [ErrTooManyItems] if the list is longer than the limit, or
// a [*FaultError] for a fault in the root outside of the list. Faults of items
// are theirs alone. After an error the document is empty.
//
// Broken text does not make a body invalid: it is repaired, and the items that
// held it say so.
func (d *Document) Read(body []byte, list string, limits Limits) error {
	d.Reset()
	d.limits, d.list = limits, list
	d.mend.received = len(body)
	d.index.reset(body, limits)
	err := d.readRoot()
	if err == nil && (d.index.broken || !utf8.Valid(body)) {
		err = d.readMended(body)
	}
	if err != nil {
		d.Reset()
	}
	return err
}

// readMended reads a valid body with broken text once more, repaired.
func (d *Document) readMended(body []byte) error {
	d.clear()
	d.index.reset(d.mend.text(body), d.limits)
	return d.readRoot()
}

// Reset empties the document and lets go of the body.
func (d *Document) Reset() {
	d.clear()
	d.limits = Limits{}
	d.index.reset(nil, Limits{})
	d.mend.reset()
}

func (d *Document) clear() {
	clear(d.items)
	d.items, d.rootPlaces, d.itemPlaces = d.items[:0], d.rootPlaces[:0], d.itemPlaces[:0]
	d.root, d.listed, d.repaired = Object{}, false, 0
}

// Limits returns what the document was read with; zero if it is empty.
func (d *Document) Limits() Limits { return d.limits }

// Root returns the root object.
func (d *Document) Root() Object { return d.root }

// Repaired reports whether broken text outside of the list was repaired.
func (d *Document) Repaired() bool { return d.repaired > 0 }

// Items returns the elements of the list, and whether there is one.
func (d *Document) Items() ([]Item, bool) { return d.items, d.listed }

// AsItem returns the root as if it were the only element of a list, but for the
// limit of its length. What it lists is part of it then, with its faults, but may
// be anything.
func (d *Document) AsItem() Item {
	it := Item{Object: d.root, Size: d.mend.received, Repaired: d.Repaired()}
	for i := range d.items {
		it.Repaired = it.Repaired || d.items[i].Repaired
		if f := d.items[i].Fault; it.Fault.Kind == None && f.Kind != NotObject {
			it.Fault = f
		}
	}
	return it
}

func (d *Document) readRoot() error {
	x := &d.index
	start := x.space(0)
	if x.at(start) != '{' {
		return x.notAnObject(start)
	}
	end, err := d.readObject(start, &d.rootPlaces, d.list)
	if err != nil {
		return err
	}
	if rest := x.space(end); !x.failed && rest < len(x.src) {
		end = x.fail(rest)
	}
	if x.failed {
		return explain(x.src, int64(end))
	}
	if x.fault.Kind != None {
		return &FaultError{x.fault}
	}
	d.root = Object{text: x.src, names: x.rewritten, places: d.rootPlaces}
	repairs, _ := d.mend.within(start, end)
	d.repaired += repairs
	return nil
}

// notAnObject is the error for a root that begins at start and is no object.
func (x *indexer) notAnObject(start int) error {
	end := x.space(x.value(start))
	if x.failed || end < len(x.src) {
		return explain(x.src, int64(end))
	}
	return ErrNotObject
}

// readObject notes the members of the object at start and returns its end. It
// descends into the member called list, if that is an array.
func (d *Document) readObject(start int, places *[]place, list string) (end int, err error) {
	x := &d.index
	i := x.open(start)
	for more := x.at(i) != '}'; more; {
		var p place
		if p, i = x.name(i); x.failed {
			return i, nil
		}
		p.start = uint32(i)
		if list != "" && x.at(i) == '[' && string(x.text(p.nameStart, p.nameEnd)) == list {
			i, err = d.readItems(i)
		} else {
			i = x.value(i)
		}
		if err != nil || x.failed {
			return i, err
		}
		p.end = uint32(i)
		if x.fault.Kind == None {
			*places = append(*places, p)
		}
		if i, more = x.next(i); x.failed {
			return i, nil
		}
	}
	return x.close(i), nil
}

// readItems reads the list at start and returns its end.
func (d *Document) readItems(start int) (end int, err error) {
	x := &d.index
	d.listed = true
	i := x.open(start)
	for more := x.at(i) != ']'; more; {
		if d.limits.Items > 0 && len(d.items) == d.limits.Items {
			return i, ErrTooManyItems
		}
		outer := x.begin()
		if i, err = d.readItem(i); x.failed || err != nil {
			return i, err
		}
		x.end(outer)
		if i, more = x.next(i); x.failed {
			return i, nil
		}
	}
	return x.close(i), nil
}

// readItem reads the element at start, whose faults stay its own, and returns
// its end.
func (d *Document) readItem(start int) (end int, err error) {
	x := &d.index
	first := len(d.itemPlaces)
	var it Item
	if x.at(start) == '{' {
		end, err = d.readObject(start, &d.itemPlaces, "")
		it.Fault = x.fault
	} else {
		end = x.value(start)
		it.Fault.Kind = NotObject
	}
	if err != nil || x.failed {
		return end, err
	}
	repairs, grown := d.mend.within(start, end)
	d.repaired -= repairs
	it.Repaired = repairs > 0
	it.Size = end - start - grown
	d.addItem(it, first)
	return end, nil
}

// addItem adds an item of a known size, the places of whose members begin at first.
func (d *Document) addItem(it Item, first int) {
	if it.Fault.Kind == None && d.limits.Bytes > 0 && it.Size > d.limits.Bytes {
		it.Fault.Kind = TooLarge
	}
	if it.Fault.Kind == None {
		places := d.itemPlaces[first:len(d.itemPlaces):len(d.itemPlaces)]
		it.Object = Object{text: d.index.src, names: d.index.rewritten, places: places}
	} else {
		d.itemPlaces = d.itemPlaces[:first]
	}
	d.items = append(d.items, it)
}
