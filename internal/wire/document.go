package wire

import "slices"

// This file reads a body into spans. The root object and each event of the list get one
// span per member, in two slices that are shared by all events of the body: an [Object]
// is a part of such a slice. Below the members of an event, values are only checked, by
// [indexer.value].
//
// An error of the body ends the pass. A fault of an event does not: the text after it
// must be JSON too, or else the whole body is refused and it does not matter what was
// wrong with the event. The faults of an event are its own; those outside of the list,
// and those of a list that has no events ([Document.AsItem]), are the root's.

// Limits restrict what an event may hold and how many events a list may have. They act
// during the pass, so that exceeding them does not cost more. A limit of 0 does not
// restrict.
type Limits struct {
	// Depth is how deep values may be nested; the event itself is 1.
	Depth int
	// Members is how many members an event may have, at all depths together.
	Members int
	// Bytes is how long an event may be, as received.
	Bytes int
	// Items is how many elements the list may have.
	Items int
}

// A Document is the structure of a request's body: the members of its root object and, if
// one of them is the list of events, the members of each event. The zero value is an
// empty document.
//
// Its memory is reused by the next [Document.Read]. What its methods return are slices of
// the body and of the document's memory, and valid until then.
type Document struct {
	limits   Limits
	list     string // quoted name of the root member that lists events
	source   source
	root     Object
	items    []item
	twice    []twice // the faults of items that have a name
	listed   bool    // the root has this member, and it is an array
	repaired int     // how many repairs of the text are outside of the list
	inner    data    // the list, if it is not one of events

	rootSpans, itemSpans []span // of the root, and of all items, in order
	index                indexer
	repair               repairer
	outline              *Outline // keeps the spans of inner objects, or is nil
}

// data is what is known of the list if its elements are data of the root.
type data struct {
	fault    Fault // the first one in an element, whether that is an object or not
	members  int   // of the root and of all elements, at all depths
	received int   // the length of the root
}

// An item is what is kept of an element of the list. Many fit into a short body, so it is small.
type item struct {
	spans uint32 // where its own end among those of all items, and from faultShift on its kind of fault
	size  uint32 // as received, and whether it was repaired, in the highest bit
}

// A list has fewer members than a quarter of the bytes of a body, so a number of spans leaves room
// for a kind of fault.
const (
	faultShift  = 29
	repairedBit = 1 << 31
)

func (it item) fault() FaultKind { return FaultKind(it.spans >> faultShift) }

// end returns where its spans end. They begin where those of the item before end.
func (it item) end() int { return int(it.spans & (1<<faultShift - 1)) }

// A twice is the name that occurs twice in an item.
type twice struct {
	item int
	name string
}

// Items are the elements of the list of a document, until that is read again.
type Items struct{ d *Document }

// Len returns how many there are.
func (s Items) Len() int {
	if s.d == nil {
		return 0
	}
	return len(s.d.items)
}

// Usable returns how many have no fault.
func (s Items) Usable() (n int) {
	for i := range s.Len() {
		if s.d.items[i].fault() == None {
			n++
		}
	}
	return n
}

// Exceeds reports whether one exceeds a limit.
func (s Items) Exceeds() bool {
	return slices.ContainsFunc(s.d.items, func(it item) bool { return it.fault() >= TooDeep })
}

// At returns the i-th one.
func (s Items) At(i int) Item {
	d, it := s.d, s.d.items[i]
	if it.fault() != None {
		return Item{Fault: d.faultOf(i), Size: int(it.size &^ repairedBit), Repaired: it.size&repairedBit != 0}
	}
	first := 0
	if i > 0 {
		first = d.items[i-1].end()
	}
	return Item{
		Object: Object{&d.source, d.itemSpans[first:it.end():it.end()]},
		Size:   int(it.size &^ repairedBit), Repaired: it.size&repairedBit != 0,
	}
}

// faultOf returns the fault of the i-th item.
func (d *Document) faultOf(i int) Fault {
	f := Fault{Kind: d.items[i].fault()}
	if f.Kind == Duplicate {
		k, _ := slices.BinarySearchFunc(d.twice, i, func(t twice, i int) int { return t.item - i })
		f.Name = d.twice[k].name
	}
	return f
}

// An Item is an element of the list of events.
type Item struct {
	// Object is the event. It is empty if there is a Fault.
	Object
	// Size is its length in bytes, as received.
	Size int
	// Fault is why it cannot be used, or None.
	Fault Fault
	// Repaired reports whether invalid text in it was replaced by U+FFFD.
	Repaired bool
}

// A Fault is a property of an event that the grammar permits and this package does not.
type Fault struct {
	Kind FaultKind
	// Name is the member that occurs twice, for [Duplicate].
	Name string
}

// A FaultKind is the kind of a [Fault].
type FaultKind uint8

// The kinds of faults.
const (
	// None means that there is no fault.
	None FaultKind = iota
	// NotObject is an element of the list that is not an object.
	NotObject
	// Duplicate is an object in which a name occurs twice.
	Duplicate
	// TooDeep is an event that exceeds Limits.Depth.
	TooDeep
	// TooManyMembers is an event that exceeds Limits.Members.
	TooManyMembers
	// TooLarge is an event that exceeds Limits.Bytes.
	TooLarge
)

// An Object is a JSON object whose members are known by their positions. The zero value
// has no members. It is small, because it is passed on for each event: four words are passed in
// registers.
type Object struct {
	in    *source
	spans []span
}

// A source is what the spans of a document point into.
type source struct {
	text  []byte
	names []byte // for those of rewritten names
}

// A span is where a member is: its name, with its quotes, and its value, both from start
// to end in the text.
//
// A name with escapes is unquoted and quoted again, so that equal names have equal bytes.
// Its span then points into a buffer of rewritten names, which the highest bit of
// nameStart marks. So bodies must be shorter than 2 GiB; the limits on a request's size
// are far below.
type span struct {
	nameStart, nameEnd, start, end uint32
}

const rewritten = 1 << 31

// Len returns the number of members.
func (o Object) Len() int { return len(o.spans) }

// Extent returns how long the text from the first member to the last is: all names and
// values, and at least what is between them.
func (o Object) Extent() int {
	n := len(o.spans)
	if n == 0 {
		return 0
	}
	return int(o.spans[n-1].end - o.spans[0].textStart(o.in.text))
}

// Name returns the i-th name, quoted and without needless escapes.
func (o Object) Name(i int) []byte {
	s := &o.spans[i]
	if s.nameStart&rewritten != 0 {
		return o.in.names[s.nameStart&^rewritten : s.nameEnd]
	}
	return o.in.text[s.nameStart:s.nameEnd]
}

// Value returns the i-th value, without white space around it.
func (o Object) Value(i int) []byte {
	s := &o.spans[i]
	return o.in.text[s.start:s.end:s.end]
}

// Get returns the value of the member with the given quoted name, or nil.
func (o Object) Get(quoted string) []byte {
	count(len(o.spans))
	for i := range o.spans {
		if string(o.Name(i)) == quoted {
			return o.Value(i)
		}
	}
	return nil
}

// Read reads a body whose root is an object. The list is the quoted name of the root
// member that holds the events if it is an array.
//
// The error is a [*SyntaxError] if the body is not JSON, [ErrNotObject] if its root is not
// an object, [ErrTooManyItems] if the list exceeds the limit, or a [*FaultError] for a
// fault in the root outside of the list. Faults of items are in [Item.Fault]. After an
// error the document is empty.
//
// Invalid text, which is invalid UTF-8 and unpaired surrogates, is not an error: it is
// repaired in a copy of the body, and the items that had it are marked as repaired.
func (d *Document) Read(body []byte, list string, limits Limits) error {
	d.Reset()
	d.limits, d.list = limits, list
	d.repair.reset(body)
	d.index.reset(body, limits)
	if err := d.read(); err != nil {
		d.Reset()
		return err
	}
	d.inner.received = len(body)
	return nil
}

// read reads the body, and repairs its text.
func (d *Document) read() error {
	x := &d.index
	if x.src = d.repair.utf8(x); x.refused != nil {
		return x.refused
	}
	if err := d.readRoot(); err != nil {
		return err
	}
	if len(x.unpaired) > 0 {
		text := d.repair.surrogates(x)
		if x.refused != nil {
			return x.refused
		}
		d.setText(text)
	}
	return nil
}

// setText sets the text that all spans point into.
func (d *Document) setText(text []byte) { d.index.src, d.source.text = text, text }

// Reset empties the document and releases the body: items and spans are numbers.
func (d *Document) Reset() {
	clear(d.twice)
	d.items, d.twice, d.rootSpans, d.itemSpans = d.items[:0], d.twice[:0], d.rootSpans[:0], d.itemSpans[:0]
	d.source, d.root, d.listed, d.repaired, d.inner = source{}, Object{}, false, 0, data{}
	d.limits = Limits{}
	d.index.reset(nil, Limits{})
	d.repair.reset(nil)
}

// Limits returns the limits that the document was read with; the zero value if it is
// empty.
func (d *Document) Limits() Limits { return d.limits }

// Root returns the root object.
func (d *Document) Root() Object { return d.root }

// Repaired reports whether invalid text outside of the list was repaired.
func (d *Document) Repaired() bool { return d.repaired > 0 }

// Items returns the elements of the list, and whether there is one.
func (d *Document) Items() (Items, bool) { return Items{d}, d.listed }

// AsItem returns the root as if it were the only element of a list, without the limit on
// its length. The list is then data of it like any other, and its elements may be of any
// kind and length.
func (d *Document) AsItem() Item {
	it := Item{Object: d.root, Size: d.inner.received, Repaired: d.Repaired(), Fault: d.inner.fault}
	for i := range d.items {
		it.Repaired = it.Repaired || d.items[i].size&repairedBit != 0
	}
	switch {
	case it.Fault.Kind != None:
	case d.index.tooDeep:
		it.Fault.Kind = TooDeep
	case d.limits.Members > 0 && d.inner.members > d.limits.Members:
		it.Fault.Kind = TooManyMembers
	}
	return it
}

func (d *Document) readRoot() error {
	x := &d.index
	start := x.space(0)
	if x.at(start) != '{' {
		return d.notAnObject(start)
	}
	end, err := d.readObject(start, &d.rootSpans, d.list)
	if err != nil {
		return err
	}
	if rest := x.space(end); !x.failed && rest < len(x.src) {
		end = x.fail(rest) // text after the root
	}
	if x.refused != nil {
		return x.refused
	}
	if x.failed {
		return d.explain(end)
	}
	if x.fault.Kind != None {
		return &FaultError{x.fault}
	}
	d.source = source{x.src, x.rewritten}
	d.root = Object{&d.source, d.rootSpans}
	d.inner.members += x.members
	d.repaired += len(d.repair.positions) + len(x.unpaired) // minus those that readItem has subtracted
	return nil
}

// explain returns the error for a body that is not JSON from i on.
func (d *Document) explain(i int) error {
	return explain(d.repair.received, int64(d.repair.receivedAt(i)))
}

// notAnObject returns the error for a root that begins at start and is not an object: it
// may not be JSON at all.
func (d *Document) notAnObject(start int) error {
	x := &d.index
	end := x.space(x.value(start))
	if x.failed || end < len(x.src) {
		return d.explain(end)
	}
	return ErrNotObject
}

// readObject appends the spans of the members of the object at start and returns its end.
// It descends into the member called list, if that is an array. After a fault no more
// spans are kept, only the grammar is checked.
func (d *Document) readObject(start int, spans *[]span, list string) (end int, err error) {
	x := &d.index
	i := x.open(start)
	for more := x.at(i) != '}'; more; {
		var s span
		if s, i = x.name(i); x.failed {
			return i, nil
		}
		s.start = uint32(i)
		switch c := x.at(i); {
		case c == '[' && list != "" && string(x.text(s.nameStart, s.nameEnd)) == list:
			i, err = d.readItems(i)
		case c == '{' && d.outline != nil:
			i = d.outline.readInner(i, 0)
		default:
			i = x.value(i)
		}
		if err != nil || x.failed {
			return i, err
		}
		s.end = uint32(i)
		if x.fault.Kind == None {
			if len(*spans) == cap(*spans) && !x.growSpans(spans, i) {
				return i, nil
			}
			*spans = append(*spans, s)
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
		outer := x.beginEvent()
		if i, err = d.readItem(i); x.failed || err != nil {
			return i, err
		}
		x.endEvent(outer)
		if i, more = x.next(i); x.failed {
			return i, nil
		}
	}
	return x.close(i), nil
}

// readItem reads the element at start and returns its end.
func (d *Document) readItem(start int) (end int, err error) {
	x := &d.index
	x.itemStart = start
	first, unpaired := len(d.itemSpans), len(x.unpaired)
	fault := Fault{Kind: NotObject}
	if x.at(start) == '{' {
		end, err = d.readObject(start, &d.itemSpans, "")
		fault = x.fault
	} else {
		end = x.value(start)
	}
	if err != nil || x.failed {
		return end, err
	}
	replaced := d.repair.within(start, end)
	repairs := replaced + len(x.unpaired) - unpaired
	d.repaired -= repairs // readRoot adds all repairs, so that those outside remain
	if d.inner.fault.Kind == None {
		d.inner.fault = x.fault
	}
	d.inner.members += x.members
	d.addItem(first, end-start-replaced*growth, fault, repairs > 0)
	return end, nil
}

// addItem adds an item. The spans of its members begin at first, and are dropped if it has a
// fault.
func (d *Document) addItem(first, size int, fault Fault, wasRepaired bool) {
	if fault.Kind == None && d.limits.Bytes > 0 && size > d.limits.Bytes {
		fault.Kind = TooLarge
	}
	if fault.Kind != None {
		d.itemSpans = d.itemSpans[:first]
	}
	if len(d.items) == cap(d.items) && !d.growItems() || fault.Kind == Duplicate && !d.addTwice(fault.Name) {
		return
	}
	it := item{spans: uint32(len(d.itemSpans)) | uint32(fault.Kind)<<faultShift, size: uint32(size)}
	if wasRepaired {
		it.size |= repairedBit
	}
	d.items = append(d.items, it)
}

// addTwice keeps the name that occurs twice in the next item. It returns false if that was refused.
func (d *Document) addTwice(name string) bool {
	if len(d.twice) == cap(d.twice) {
		if d.twice = outgrown(&d.index, d.twice, d.index.itemStart, minTwice); d.index.failed {
			return false
		}
	}
	d.twice = append(d.twice, twice{len(d.items), name})
	return true
}

// growItems makes room for an item and more. It returns false if that was refused.
func (d *Document) growItems() bool {
	d.items = outgrown(&d.index, d.items, d.index.itemStart, minItem)
	return !d.index.failed
}

// growSpans makes room for the span of a member that ends at i, and more. It returns false if
// that was refused.
func (x *indexer) growSpans(spans *[]span, i int) bool {
	*spans = outgrown(x, *spans, i, minMember)
	return !x.failed
}
