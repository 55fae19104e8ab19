package inlet

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// An Input is one request as its dialect sees it. The dialect reads the payload
// from it and adds the events to it. It belongs to one call of [Route.Decode].
type Input struct {
	// Request is the request. Its body has been read already.
	Request *http.Request
	// ReceivedAt is when the request arrived, in UTC.
	ReceivedAt time.Time

	doc    *wire.Document
	limits *Limits
	room   int64 // the limit of the request, in bytes
	batchOf
}

// batchOf is the memory for the events of a request. It is used for one request
// after another.
type batchOf struct {
	structs []Event
	events  []*Event
	places  []int // of the events in the request
	rejects []Reject
	checked bool            // the faults of the items have been refused
	text    strings.Builder // all strings of the events, in one allocation
	raw     []byte          // raw JSON that had to be put together
	scratch []byte

	// Of the Segment dialect, for which an allocation each would be too many.
	slots    []segmentSlots
	envelope segmentEnvelope

	record RequestRecord
}

var inputs = sync.Pool{New: func() any { return new(Input) }}

// keptEvents is how many events an Input may leave room for.
const keptEvents = 4096

// release gives the memory to the next request. It must not be called while a
// sink may still look at the events.
func (in *Input) release() {
	if cap(in.structs) > keptEvents || cap(in.raw) > keptMemory {
		return
	}
	clear(in.structs)
	clear(in.events)
	clear(in.rejects)
	in.structs, in.events, in.places, in.rejects = in.structs[:0], in.events[:0], in.places[:0], in.rejects[:0]
	in.checked = false
	in.text.Reset()
	in.raw, in.scratch, in.slots = in.raw[:0], in.scratch[:0], in.slots[:0]
	in.envelope, in.record = segmentEnvelope{}, RequestRecord{}
	in.Request, in.doc, in.limits = nil, nil, nil
	inputs.Put(in)
}

// Root returns the root object of the payload.
func (in *Input) Root() Object { return Object{in.doc.Root()} }

// Items returns the events listed in the root member "batch", and whether there
// is such a list. Those that are no usable objects are refused by the first call,
// and are empty.
func (in *Input) Items() ([]Object, bool) {
	items, listed := in.doc.Items()
	objects := make([]Object, len(items))
	for i, it := range items {
		objects[i] = Object{it.Object}
		if p := problemOf(it.Fault); p != nil && !in.checked {
			in.Refuse(i, "", p)
		}
	}
	in.checked = true
	return objects, listed
}

// Add adds an event, to be filled in by the caller. The place is that of the
// event in the request, from 0. Properties, Traits, Context, Integrations and
// Extra may be slices of what the input gave out.
func (in *Input) Add(place int) *Event {
	in.structs = append(in.structs, Event{})
	e := &in.structs[len(in.structs)-1]
	in.events = append(in.events, e)
	in.places = append(in.places, place)
	return e
}

// Refuse refuses the event at a place in the request. Its id, if it has one, is
// told to the client. A code that is no refusal of an event, with status 400,
// becomes [CodeInvalidEvent]: the client must not send the event again.
func (in *Input) Refuse(place int, messageID string, p *Problem) {
	if in.limits.tooLong(messageID) {
		messageID = ""
	}
	reject := Reject{Index: place, MessageID: messageID, Problem: *p}
	if reject.Code.Status() != http.StatusBadRequest {
		reject.Code = CodeInvalidEvent
	}
	reject.Message = cmp.Or(reject.Message, reject.Code.text())
	in.rejects = append(in.rejects, reject)
}

// refuseLast takes the event that was added last out again, and refuses it.
func (in *Input) refuseLast(p *Problem) {
	last := len(in.events) - 1
	in.Refuse(in.places[last], in.events[last].MessageID, p)
	*in.events[last] = Event{}
	in.structs, in.events, in.places = in.structs[:len(in.structs)-1], in.events[:last], in.places[:last]
}

// Text returns what a JSON string says, and "" for a value that is no string.
// The result may be kept.
func (in *Input) Text(raw json.RawMessage) string {
	if wire.Kind(raw) != '"' {
		return ""
	}
	start := in.text.Len()
	if plain, ok := wire.Plain(raw); ok {
		in.text.Write(plain)
	} else {
		in.scratch = wire.AppendText(in.scratch[:0], raw)
		in.text.Write(in.scratch)
	}
	return in.text.String()[start:]
}

// ID returns the id that a value holds: a string, or a number, whose digits are
// kept with a warning. Null, white space and nothing are no id, "". The problem
// is nil, or that the value can be no id.
func (in *Input) ID(raw json.RawMessage, field string) (string, Warnings, *Problem) {
	switch kind := wire.Kind(raw); {
	case kind == 0, kind == 'n':
		return "", 0, nil
	case kind == '"':
		return strings.TrimSpace(in.Text(raw)), 0, nil
	case kind == '-', '0' <= kind && kind <= '9':
		start := in.text.Len()
		in.text.Write(raw)
		return in.text.String()[start:], WarnIDNotString, nil
	}
	return "", 0, problem(CodeIDNotString, field)
}

// Time returns the time that a value holds, in any form of ISO 8601 that clients
// write, or as a Unix time. Null and nothing are no time, the zero Time; the
// warning says that a value could not be read, or that its zone or unit had to
// be guessed.
func (in *Input) Time(raw json.RawMessage) (time.Time, Warnings) {
	var t time.Time
	guessed, ok := true, false
	switch kind := wire.Kind(raw); {
	case kind == 0, kind == 'n':
		return t, 0
	case kind == '"':
		text, plain := wire.Plain(raw)
		if !plain {
			in.scratch = wire.AppendText(in.scratch[:0], raw)
			text = in.scratch
		}
		if len(text) == 0 {
			return t, 0
		}
		if t, guessed, ok = parseTime(text); !ok {
			t, ok = parseUnix(text)
			guessed = true
		}
	default:
		t, ok = parseUnix(raw)
	}
	switch {
	case !ok:
		return time.Time{}, WarnTimestampInvalid
	case guessed:
		return t, WarnTimestampGuessed
	}
	return t, 0
}

// Object returns a value that must be an object: nil for null and nothing, {}
// for the empty list that PHP writes for an empty map. The problem is nil, or
// the given code for the field.
func (in *Input) Object(raw json.RawMessage, code Code, field string) (json.RawMessage, Warnings, *Problem) {
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

// An Object is a JSON object of a payload. What it returns are slices of the
// payload, read-only, and lent until the event's Write has returned.
type Object struct{ members wire.Object }

// Len returns the number of members.
func (o Object) Len() int { return o.members.Len() }

// Name returns the i-th member's name in quotes, without needless escapes: names
// that say the same are the same bytes.
func (o Object) Name(i int) json.RawMessage { return o.members.Name(i) }

// Value returns the i-th member's value.
func (o Object) Value(i int) json.RawMessage { return o.members.Value(i) }

// Get returns the value of the member with a name, or nil.
func (o Object) Get(name string) json.RawMessage {
	for i := range o.Len() {
		if quoted := o.members.Name(i); len(quoted) == len(name)+2 && string(quoted[1:len(quoted)-1]) == name {
			return o.Value(i)
		}
	}
	return nil
}
