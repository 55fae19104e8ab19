package inlet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/inlet-go/inlet/internal/account"
	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/form"
	"github.com/inlet-go/inlet/internal/timestamp"
	"github.com/inlet-go/inlet/internal/verified"
	"github.com/inlet-go/inlet/internal/wire"
)

// An Input is one request as its dialect sees it. The dialect reads the payload from it and
// adds the events to it. It belongs to one call of [Route.Decode], and must not be used
// concurrently.
type Input struct {
	// Request is the request. Its body has been read already.
	Request *http.Request
	// ReceivedAt is when the request arrived, before its body did, at the outermost layer of
	// this module. In UTC.
	ReceivedAt time.Time

	doc      *wire.Document
	limits   *Limits
	maxBytes int64     // of the payload
	key      *knownKey // of the request, or nil
	payload  *payload
	// forwarded is set if another Inlet sent the events: they keep the times, the dialect and
	// the warnings that they got there, and need no user.
	forwarded bool
	batch
}

// batch is the memory for the events of a request. It is used for one request after
// another.
type batch struct {
	structs []Event
	events  []*Event
	places  []int // of the events in the request
	rejects []Reject
	letters []*Event        // of the rejects, nil where there is no event, if recording
	checked bool            // the faults of the items have been refused
	text    strings.Builder // all strings of the events, in one allocation
	raw     []byte          // raw JSON that had to be put together, in chunks: this is the last
	scratch []byte

	account  *account.Account // where all of this is reserved before it is made
	reserved int64            // there
	credit   int              // of that: for nothing yet
	refused  error            // by the account: the request fails
	large    bool             // it is kept for requests with many events

	recording bool // refused events are kept for Options.Rejects

	verified *verified.List // of the events as they were decoded; nil before there is one
}

var (
	smallInputs = sync.Pool{New: func() any { return new(Input) }}
	largeInputs = sync.Pool{New: func() any { return &Input{batch: batch{large: true}} }}
)

// takeInput returns an empty Input for a number of events, at the charge of a.
func takeInput(events int, a *account.Account) (*Input, error) {
	pool := &smallInputs
	if events*(eventSize+2*pointerSize) > smallPooled/2 {
		pool = &largeInputs
	}
	in := pool.Get().(*Input)
	in.account = a
	if !in.reserve(in.made() + smallCredit) {
		err := accountError(in.refused)
		in.recycle()
		return nil, err
	}
	in.credit = smallCredit
	return in, nil
}

// smallCredit is what is reserved for what a single event needs, with the line that a sink
// encodes: most requests ask their account once.
const smallCredit = 4 << 10

// made returns how much memory in may leave to the next request.
func (in *Input) made() int {
	return cap(in.structs)*eventSize + cap(in.events)*pointerSize + cap(in.places)*pointerSize +
		cap(in.raw) + cap(in.scratch) + in.listed()
}

// Sizes in memory, in bytes.
const (
	eventSize   = int(unsafe.Sizeof(Event{}))
	objectSize  = int(unsafe.Sizeof(Object{}))
	rejectSize  = int(unsafe.Sizeof(Reject{}))
	pointerSize = int(unsafe.Sizeof(uintptr(0)))
)

// recycle gives the memory to the next request. It must not be called while a sink may
// still read the events. Rejects are not reused: an outcome keeps them.
func (in *Input) recycle() {
	in.account, in.reserved, in.credit, in.refused, in.maxBytes = nil, 0, 0, nil, 0
	clear(in.structs)
	clear(in.events)
	in.structs, in.events, in.places, in.rejects = in.structs[:0], in.events[:0], in.places[:0], nil
	in.checked, in.letters, in.recording = false, nil, false
	in.text.Reset()
	if in.verified != nil && !in.verified.Reset() {
		in.verified = nil // a write goes on, and reads it
	}
	in.raw, in.scratch = in.raw[:0], in.scratch[:0]
	in.Request, in.doc, in.limits, in.key, in.payload, in.forwarded = nil, nil, nil, nil, nil, false
	switch made := in.made(); {
	case made <= smallPooled && !in.large:
		smallInputs.Put(in)
	case made <= maxPooled:
		in.large = true
		largeInputs.Put(in)
	}
}

// reserve reserves what is about to be made. After a refusal nothing more is made: the
// request fails as soon as its dialect returns.
func (in *Input) reserve(n int) bool {
	if 0 <= n && n <= in.credit && in.refused == nil {
		in.credit -= n
		return true
	}
	if in.refused == nil && in.account != nil && n > 0 {
		if in.refused = in.account.Reserve(int64(n)); in.refused == nil {
			in.reserved += int64(n)
		}
	}
	return in.refused == nil
}

// giveBack gives back what was reserved for memory that is used no more.
func (in *Input) giveBack(n int64) {
	if n > 0 && in.account != nil {
		in.account.Return(n)
		in.reserved -= n
	}
}

// wholeLines is how many pointers or numbers there is memory for at least, so that what two
// processors write is not in the same lines of a cache.
const wholeLines = 16

// growEvents makes room for n more events.
func (in *Input) growEvents(n int) bool {
	if cap(in.structs)-len(in.structs) >= n {
		return in.refused == nil
	}
	// Events in what is outgrown stay where they are.
	n = max(n, cap(in.structs))
	if !in.reserve(n*(eventSize+verified.EventBytes) + 2*max(len(in.events)+n, wholeLines)*pointerSize) {
		return false
	}
	in.structs = make([]Event, 0, n)
	n = max(len(in.events)+n, wholeLines)
	in.events = append(make([]*Event, 0, n), in.events...)
	in.places = append(make([]int, 0, n), in.places...)
	return true
}

// growText makes room for n more bytes of the events' strings.
func (in *Input) growText(n int) bool {
	if in.text.Cap()-in.text.Len() >= n {
		return in.refused == nil
	}
	if !in.reserve(2*in.text.Cap() + n) { // as a Builder grows
		return false
	}
	in.text.Grow(n)
	return true
}

// rawChunk is how many bytes raw JSON is put together in at least, once there is some.
const rawChunk = 512

// growRaw makes room for n more bytes of raw JSON. What was put together before stays where
// it is.
func (in *Input) growRaw(n int) bool {
	if cap(in.raw)-len(in.raw) >= n {
		return in.refused == nil
	}
	n = max(n, min(2*cap(in.raw), smallPooled), rawChunk)
	if !in.reserve(n) {
		return false
	}
	in.raw = make([]byte, 0, n)
	return true
}

// growScratch makes room for n bytes of text.
func (in *Input) growScratch(n int) bool {
	if cap(in.scratch) < n {
		if !in.reserve(n) {
			return false
		}
		in.scratch = make([]byte, 0, n)
	}
	return in.refused == nil
}

// listed returns how much memory the list of what was verified has.
func (in *Input) listed() int {
	if in.verified == nil {
		return 0
	}
	return in.verified.Bytes()
}

// list returns the list of what was verified, which the context of a write has.
func (in *Input) list() *verified.List {
	if in.verified == nil {
		in.verified = new(verified.List)
	}
	return in.verified
}

// verify tells the sink that the raw fields of the events were read and are valid.
func (in *Input) verify() {
	list := in.list()
	if !list.Begin(len(in.events)) {
		return
	}
	for _, e := range in.events {
		marks := list.Add(&e.Properties)
		marks.Set(0, e.Properties)
		marks.Set(1, e.Traits)
		marks.Set(2, e.Context)
		marks.Set(3, e.Integrations)
		marks.Set(4, e.Extra)
	}
	list.End()
}

// Root returns the root object of the payload.
func (in *Input) Root() Object { return rootObject(in.doc) }

// Single returns the payload as the only event of the request, and whether it is usable. If
// it is not, because of its structure, it has been refused.
func (in *Input) Single() (Object, bool) {
	in.growText(typicalText + idLength)
	return in.single()
}

// typicalText is how many bytes the strings of an event typically need: a name, two ids of
// the user and one of the event.
const typicalText = 128

func (in *Input) single() (Object, bool) {
	item := in.doc.AsItem()
	if p := problemOf(item.Fault); p != nil {
		in.Refuse(0, "", p)
		return Object{}, false
	}
	return Object{item.Object, item.Repaired}, true
}

// singleOfQuery is single for a payload that was made of the query, where invalid text was
// repaired already.
func (in *Input) singleOfQuery() (Object, bool) {
	object, ok := in.single()
	object.repaired = object.repaired || !form.Valid(in.Request.URL.RawQuery)
	return object, ok
}

// Items returns the events listed in the root member "batch", and whether there is such a
// list. Those that are not usable objects are refused by the first call, and are empty.
func (in *Input) Items() ([]Object, bool) {
	items, listed := in.doc.Items()
	if !in.reserve(items.Len() * objectSize) {
		return nil, listed
	}
	objects := make([]Object, items.Len())
	for i := range objects {
		it := items.At(i)
		objects[i] = Object{it.Object, it.Repaired}
		if p := problemOf(it.Fault); p != nil && !in.checked {
			in.Refuse(i, "", p)
		}
	}
	in.checked = true
	return objects, listed
}

// Add adds an event, for the caller to fill in. The place is that of the event in the
// request, from 0. Properties, Traits, Context, Integrations and Extra may be slices of
// what the input returned.
func (in *Input) Add(place int) *Event {
	if !in.growEvents(1) {
		return new(Event) // of a request that fails
	}
	in.structs = append(in.structs, Event{})
	e := &in.structs[len(in.structs)-1]
	in.events = append(in.events, e)
	in.places = append(in.places, place)
	return e
}

// Refuse refuses the event at a place in the request. Its id, if it has one, is sent to the
// client. A code that is neither the refusal of an event, with status 400, nor one of the host's
// own, becomes [CodeInvalidEvent]: the client must not send the event again. A Problem without a
// Message gets the fixed text of its code.
func (in *Input) Refuse(place int, messageID string, p *Problem) {
	in.refuse(place, messageID, nil, p)
}

// refuse is Refuse for an event, or nil for what could not be read as one.
func (in *Input) refuse(place int, messageID string, e *Event, p *Problem) {
	if in.limits.tooLong(messageID) {
		messageID = ""
	}
	reject := Reject{Index: place, MessageID: messageID, Problem: *p}
	if !reject.Code.isOwn() && reject.Code.Status() != http.StatusBadRequest {
		reject.Code = CodeInvalidEvent
	}
	reject.Message = cmp.Or(reject.Message, reject.Code.text())
	if !in.growRejects(1) || !in.reserve(len(p.Message)) {
		return
	}
	if in.recording {
		if !in.reserve(2 * pointerSize) {
			return
		}
		in.letters = append(in.letters, e)
	}
	if e != nil {
		reject.Type, reject.Name = e.Type, e.Name
	}
	in.rejects = append(in.rejects, reject)
}

// growRejects makes room for n more rejects.
func (in *Input) growRejects(n int) bool {
	had := cap(in.rejects)
	if had-len(in.rejects) >= n {
		return in.refused == nil
	}
	n = max(len(in.rejects)+n, 2*had)
	if !in.reserve(n * rejectSize) {
		return false
	}
	in.rejects = append(make([]Reject, 0, n), in.rejects...)
	in.giveBack(int64(had * rejectSize))
	return true
}

// Withdraw takes back the event that was added last, and refuses it.
func (in *Input) Withdraw(p *Problem) {
	if in.refused != nil {
		return
	}
	last := len(in.events) - 1
	e, n := in.events[last], len(in.rejects)
	in.Refuse(in.places[last], e.MessageID, p)
	if len(in.rejects) > n {
		in.rejects[n].Type, in.rejects[n].Name = e.Type, e.Name
	}
	*in.events[last] = Event{}
	in.structs, in.events, in.places = in.structs[:len(in.structs)-1], in.events[:last], in.places[:last]
}

// Text returns the text of a JSON string, and "" for a value that is not a string. The
// result may be kept.
func (in *Input) Text(raw json.RawMessage) string {
	if wire.Kind(raw) != '"' {
		return ""
	}
	plain, ok := wire.Plain(raw)
	if !ok {
		if !in.growScratch(len(raw)) {
			return ""
		}
		in.scratch = wire.AppendText(in.scratch[:0], raw)
		plain = in.scratch
	}
	return in.keep(plain)
}

// keep returns text as a string that may be kept.
func (in *Input) keep(text []byte) string {
	if !in.growText(len(text)) {
		return ""
	}
	start := in.text.Len()
	in.text.Write(text)
	return in.text.String()[start:]
}

// SetID sets a field of e to the id that a value holds: a string, without the white space
// around it, or a number, whose digits are kept. An id that changes gets a warning. Null, white
// space alone and an absent value set "". It returns a problem for a value that cannot be an id,
// and nil otherwise.
func (in *Input) SetID(e *Event, dst *string, raw json.RawMessage, field string) *Problem {
	*dst = ""
	switch kind := wire.Kind(raw); {
	case kind == 0, kind == 'n':
	case kind == '"':
		id, warnings := trimID(in.Text(raw))
		*dst = id
		e.Warnings |= warnings
	case kind == '-', '0' <= kind && kind <= '9':
		*dst = in.keep(raw)
		e.Warnings |= WarnIDNotString
	default:
		return problem(CodeIDNotString, field)
	}
	return nil
}

// trimID returns an id without the white space around it, as Unicode defines it, and the warning
// for one that has changed. All else is part of the id: characters of no width, control
// characters and letters that could be composed differently.
func trimID(text string) (id string, w Warnings) {
	id = strings.TrimSpace(text)
	if id != "" && len(id) != len(text) {
		w = WarnIDTrimmed
	}
	return id, w
}

// SetTime sets a field of e to the time that a value holds, in any form of ISO 8601 that
// clients write, or as a Unix time in seconds, milliseconds, microseconds or nanoseconds, as a
// number or as text. Null, white space, the first moment of the year 1, which libraries send for
// a time that was never set, and an absent value set the zero Time. It returns false, with a
// warning, for a value that cannot be read. If it had to guess the zone or the unit, it sets a
// warning, too.
func (in *Input) SetTime(e *Event, dst *time.Time, raw json.RawMessage) (ok bool) {
	t, warnings := in.time(raw)
	*dst = t
	e.Warnings |= warnings
	return !warnings.Has(WarnTimestampInvalid)
}

// time returns the time that a value holds, and the warnings for it.
func (in *Input) time(raw json.RawMessage) (time.Time, Warnings) {
	var t time.Time
	guessed, ok := true, false
	switch kind := wire.Kind(raw); {
	case kind == 0, kind == 'n':
		return t, 0
	case kind == '"':
		if t, ok = timestamp.ParseUsual(raw[1 : len(raw)-1]); ok { // has no escapes
			return t, 0
		}
		text, plain := wire.Plain(raw)
		if !plain {
			if !in.growScratch(len(raw)) {
				return t, 0
			}
			in.scratch = wire.AppendText(in.scratch[:0], raw)
			text = in.scratch
		}
		if text = bytes.TrimSpace(text); len(text) == 0 {
			return t, 0
		}
		if t, guessed, ok = timestamp.Parse(text); !ok {
			t, _, ok = timestamp.ParseUnix(text)
			guessed = true
		}
	default:
		t, _, ok = timestamp.ParseUnix(raw)
	}
	switch {
	case !ok:
		return time.Time{}, WarnTimestampInvalid
	case t.IsZero():
		return t, 0
	case guessed:
		return t, WarnTimestampGuessed
	}
	return t, 0
}

// SetObject sets a field of e to a value that must be an object: nil for null and an absent
// value, {} with a warning for the empty list that PHP writes for an empty map. For any
// other value it returns a problem with the given code and field, and nil otherwise.
func (in *Input) SetObject(e *Event, dst *json.RawMessage, raw json.RawMessage, code Code, field string) *Problem {
	object, warnings, p := objectOf(raw, code, field)
	*dst = object
	e.Warnings |= warnings
	return p
}

func objectOf(raw json.RawMessage, code Code, field string) (json.RawMessage, Warnings, *Problem) {
	switch wire.Kind(raw) {
	case '{':
		return raw, 0, nil
	case 0, 'n':
		return nil, 0, nil
	case '[':
		if wire.EmptyList(raw) {
			return emptyObject, WarnEmptyList, nil
		}
	}
	return nil, 0, problem(code, field)
}

var emptyObject = json.RawMessage(`{}`)

// SetExtra sets the Extra of e to an object of the members of o that no field holds, without
// the one that holds the write key, if a member or parameter of its name may. For the i-th
// member place returns whether it belongs there, and whether below the member "_client",
// which is for values that are not of the type that their name requires. A member whose name
// is reserved in the canonical form always goes there, with
// [WarnReservedMember]. The type of e must be set.
func (in *Input) SetExtra(e *Event, o Object, place func(i int) (extra, client bool)) {
	if !in.growExtra(o.members) {
		return
	}
	start := len(in.raw)
	in.raw = append(in.raw, '{')
	anyClient := false
	for i := range o.Len() {
		extra, client := place(i)
		if !extra && !client || in.key.isIn(o.Name(i), o.Value(i)) {
			continue
		}
		if extra && !client && isReserved(o.Name(i), e.Type) {
			e.Warnings |= WarnReservedMember
			client = true
		}
		anyClient = anyClient || client
		if extra && !client {
			in.raw = wire.AppendMember(in.raw, start+1, o.Name(i), o.Value(i))
		}
	}
	if anyClient {
		in.raw = wire.AppendMember(in.raw, start+1, []byte(`"`+canonical.Client+`"`), []byte{'{'})
		first := len(in.raw)
		for i := range o.Len() {
			if extra, client := place(i); (client || extra && isReserved(o.Name(i), e.Type)) && !in.key.isIn(o.Name(i), o.Value(i)) {
				in.raw = wire.AppendMember(in.raw, first, o.Name(i), o.Value(i))
			}
		}
		in.raw = append(in.raw, '}')
	}
	in.raw = append(in.raw, '}')
	if len(in.raw) > start+len(`{}`) {
		e.Extra = in.raw[start:len(in.raw):len(in.raw)]
	}
}

// growExtra makes room for an object of any members of o, with those that belong below
// "_client" there.
func (in *Input) growExtra(o wire.Object) bool {
	return in.growRaw(len(`{"":{},}`) + len(canonical.Client) + o.Extent())
}

// isReserved reports whether a quoted name is reserved in the canonical form.
func isReserved(quoted []byte, t Type) bool {
	switch kind := canonical.KindOfQuoted(quoted); kind {
	case canonical.KindExtra:
		return false
	case canonical.KindName:
		return string(quoted[1:len(quoted)-1]) == canonical.NameMember(string(t))
	}
	return true
}

// AppendRaw returns JSON that f appends to a buffer, in memory of the request. f must
// append valid JSON to dst and return the extended slice.
//
// While f works, the request is charged for three times the bytes of its payload and its query,
// which is what append takes to write as much as the client has sent; after that, for what f has
// made. f should not append more than that in one call. It is not called, and the result is nil,
// once the request has needed more memory than it may have.
func (in *Input) AppendRaw(f func(dst []byte) []byte) json.RawMessage {
	most := 3*in.sent() + rawChunk
	if !in.reserve(most) {
		return nil
	}
	start, before, made := len(in.raw), in.raw, 0
	in.raw = f(in.raw)
	if !haveSameArray(before, in.raw) { // the buffer was outgrown, and is not used any more
		made = cap(in.raw)
	}
	in.giveBack(int64(most - made))
	if made > most && !in.reserve(made-most) {
		return nil
	}
	return in.raw[start:len(in.raw):len(in.raw)]
}

// haveSameArray reports whether two slices begin with the same byte of memory.
func haveSameArray(a, b []byte) bool {
	return cap(a) > 0 && cap(b) > 0 && &a[:1][0] == &b[:1][0]
}

// sent returns how many bytes the client has sent that a dialect may use.
func (in *Input) sent() (bytes int) {
	if in.payload != nil && in.payload.memory != nil {
		bytes = len(in.payload.bytes())
	}
	if in.Request != nil {
		bytes += len(in.Request.URL.RawQuery)
	}
	return bytes
}

// Find looks up members of an object inside of the payload, in one pass: values[i] is set
// to the value of the member names[i], nil if there is none. If object is not an object,
// all are nil.
func (in *Input) Find(object json.RawMessage, names []string, values []json.RawMessage) {
	clear(values)
	if wire.Kind(object) != '{' {
		return
	}
	for w := wire.Walk(object); w.Next(); {
		for i, name := range names {
			if isQuoted(w.Name, name) {
				values[i] = w.Value
			}
		}
	}
}

// isQuoted reports whether quoted is a name in quotes.
func isQuoted(quoted []byte, name string) bool {
	return len(quoted) == len(name)+2 && string(quoted[1:len(quoted)-1]) == name
}

// fillAnonymousID gives events that name no user an anonymous id.
func (in *Input) fillAnonymousID(text string) {
	id, warnings := trimID(text)
	for _, e := range in.events {
		if e.UserID == "" && e.AnonymousID == "" {
			e.AnonymousID = id
			e.Warnings |= warnings
		}
	}
}

// An Object is a JSON object of a payload. What it returns are slices of the payload,
// read-only, and lent until the event's Write has returned.
type Object struct {
	members  wire.Object
	repaired bool
}

// rootObject returns the root of a document.
func rootObject(doc *wire.Document) Object { return Object{doc.Root(), doc.Repaired()} }

// Len returns the number of members.
func (o Object) Len() int { return o.members.Len() }

// Name returns the i-th member's name in quotes, without needless escapes: equal names are
// equal bytes.
func (o Object) Name(i int) json.RawMessage { return o.members.Name(i) }

// Value returns the i-th member's value.
func (o Object) Value(i int) json.RawMessage { return o.members.Value(i) }

// Get returns the value of the member with a name, or nil.
func (o Object) Get(name string) json.RawMessage {
	for i := range o.Len() {
		if isQuoted(o.members.Name(i), name) {
			return o.Value(i)
		}
	}
	return nil
}

// Repaired reports whether text in the object was repaired: invalid UTF-8 or unpaired
// surrogates were replaced by U+FFFD. The dialect sets [WarnTextRepaired] on the event that
// it makes of the object.
func (o Object) Repaired() bool { return o.repaired }
