package inlet

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/guard"
	"github.com/inlet-go/inlet/internal/wire"
)

// An Enricher changes an event that has passed its checks, before it is written.
//
// Ownership: it may set any field, but must not write into the bytes of a raw one: they are
// slices of the request, which other events may share. A raw field that it sets must be a JSON
// object, or nil, and must not be changed afterwards. [Event.Set] does all of that.
//
// Checks: what it changed is checked after it returns. An event without a valid Type, a
// MessageID, a Source, a Timestamp or a ReceivedAt, a track call without a Name, text that is not
// valid UTF-8, a raw field that is not an object within the limits: the request is answered 500,
// nothing of it is stored, and the log names the enricher. The same happens if the enricher panics.
//
// Ids of a person may be removed: the event is stored without them.
//
// Context: that of the write. It has the values of the request, such as
// [SourceFromContext] and [VisitorFromContext].
//
// Concurrency: it is called concurrently, for different events.
type Enricher func(ctx context.Context, e *Event)

// When the client's clock is trusted.
const (
	// minSkew is what latency and rounding amount to.
	minSkew = 5 * time.Second
	// maxSkew is beyond what a wrong clock explains: more likely the client kept the request
	// in a queue while it was offline.
	maxSkew = 24 * time.Hour
	// maxFuture is how far ahead of our clock a time may be.
	maxFuture = 5 * time.Second
)

// stamp sets the event's times. Timestamp is what the client sent; it is corrected by the
// skew between the two clocks, as Segment's specification describes, if the client said when
// it sent the request. What that moves before the year 1 is no time, since no text can express
// it, and what it moves beyond 9999 is in the future.
func (e *Event) stamp(receivedAt time.Time) {
	e.ReceivedAt = receivedAt
	if e.Timestamp.IsZero() {
		e.Timestamp = receivedAt
		return
	}
	e.OriginalTimestamp = e.Timestamp
	if !e.SentAt.IsZero() {
		e.correct(receivedAt.Sub(e.SentAt))
	}
	if !e.Timestamp.After(time.Time{}) { // that is zero, or before the year 1
		e.Timestamp = receivedAt
		e.Warnings |= WarnTimestampInvalid
	}
	if e.Timestamp.Sub(receivedAt) > maxFuture {
		e.Timestamp = receivedAt
		e.Warnings |= WarnTimestampClamped
	}
}

// stampForwarded sets what only the receiver of a forwarded event knows. Its times were
// corrected where it came from; only one that no clock there can have is not kept.
func (e *Event) stampForwarded(receivedAt time.Time, dialect string) {
	e.ReceivedAt = receivedAt
	e.Dialect = cmp.Or(e.Dialect, dialect)
	switch {
	case e.Timestamp.IsZero():
		e.Timestamp = receivedAt
	case e.Timestamp.Sub(receivedAt) > maxSkew:
		e.Timestamp = receivedAt
		e.Warnings |= WarnTimestampClamped
	}
}

func (e *Event) correct(skew time.Duration) {
	switch size := skew.Abs(); {
	case size > maxSkew:
		e.Warnings |= WarnSkewImplausible
	case size >= minSkew:
		e.Timestamp = e.Timestamp.Add(skew)
	}
}

// identify gives the event an id if the client sent none.
func (e *Event) identify(text *strings.Builder) {
	if e.MessageID == "" {
		e.MessageID = newID(text)
		e.Warnings |= WarnMessageIDGenerated
	}
}

// idLength is the length of an id that we generate.
const idLength = 36

// newID writes a random UUID to text and returns it.
func newID(text *strings.Builder) string {
	var id [16]byte
	rand.Read(id[:]) // never fails, as its documentation says
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	var out [idLength]byte
	hex.Encode(out[:8], id[:4])
	hex.Encode(out[9:13], id[4:6])
	hex.Encode(out[14:18], id[6:8])
	hex.Encode(out[19:23], id[8:10])
	hex.Encode(out[24:], id[10:])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	start := text.Len()
	text.Write(out[:])
	return text.String()[start:]
}

// Get returns the value at a path in the event as it is in JSON, and whether there is one. It
// decodes nothing, and looks at no more than what comes before the value.
//
// A path is names separated by dots, as in the canonical form: "properties.cart.items.0.sku".
// The first name is "properties", "traits", "context" or "integrations", or the name of a member
// of Extra. Each further one is the name of a member, compared exactly, or the index of an
// element of an array, from 0. A dot in a name is written `\.`, and a backslash `\\`. What has a
// field of type string or time has no path.
//
// Ownership: the value is a slice of the event's memory, read-only, and lent like that.
func (e *Event) Get(path string) (value json.RawMessage, ok bool) {
	raw, names, err := e.place(path)
	if err != nil {
		return nil, false
	}
	return wire.At(*raw, names)
}

// Set sets the value at a path, as [Event.Get] has it, to value in JSON: a [json.RawMessage] as
// it is, else what package json makes of it. A nil value removes the member or the element, if
// it is there; for null, pass json.RawMessage("null").
//
// Objects that are missing on the way are made, and null counts as missing. In an array, an
// index replaces that element, and the one after the last appends.
//
// The error names the path, and nothing has changed then: the path is not valid, what is on the
// way can have no members, an array is too short, the value cannot be encoded, or a whole field
// would not be an object.
//
// Ownership: the field gets new memory, which is the event's. The old one is not written to: other
// events may share it. What Get returned before is the old value.
func (e *Event) Set(path string, value any) error {
	if err := e.set(path, value); err != nil {
		return fmt.Errorf("inlet: Event.Set: path %q: %w", path, err)
	}
	return nil
}

func (e *Event) set(path string, value any) error {
	raw, names, err := e.place(path)
	if err != nil {
		return err
	}
	var encoded json.RawMessage
	if value != nil {
		if encoded, err = encode(value); err != nil {
			return err
		}
	}
	if len(names) == 0 && encoded != nil && wire.Kind(encoded) != '{' {
		return errors.New("the value is not an object")
	}
	if len(names) == 0 && encoded == nil {
		*raw = nil
		return nil
	}
	changed, err := wire.SetAt(*raw, names, encoded)
	if err != nil {
		return err
	}
	if raw == &e.Extra && wire.EmptyObject(wire.Trim(changed)) {
		changed = nil
	}
	*raw = changed
	return nil
}

// place returns the raw field that a path begins in, and the names in it.
func (e *Event) place(path string) (*json.RawMessage, []string, error) {
	names, err := canonical.SplitPath(path)
	if err != nil {
		return nil, nil, err
	}
	if raw := e.rawField(names[0]); raw != nil {
		return raw, names[1:], nil
	}
	if canonical.IsField(names[0], string(e.Type)) {
		return nil, nil, fmt.Errorf("%s is not a field of JSON", names[0])
	}
	return &e.Extra, names, nil
}

// encode returns a value in JSON, on one line, in memory of its own.
func encode(value any) (json.RawMessage, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	raw := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if !utf8.Valid(raw) {
		return nil, errors.New("the text is not valid UTF-8")
	}
	return raw, nil
}

// NewTrack returns an event that a user did something, for [Handler.Ingest]. The properties are
// a [json.RawMessage], or any value of which package json makes an object; nil for none. They
// are encoded now: value and event share no memory. If they cannot be encoded, Ingest refuses
// the event, with the reason.
//
// Fields that have no parameter can be set on the result: AnonymousID instead of a userID,
// Timestamp, MessageID, Context.
func NewTrack(userID, name string, properties any) *Event {
	return newEvent(Event{Type: TypeTrack, UserID: userID, Name: name}, canonical.Properties, properties)
}

// NewIdentify returns an event with traits of a user. See [NewTrack].
func NewIdentify(userID string, traits any) *Event {
	return newEvent(Event{Type: TypeIdentify, UserID: userID}, canonical.Traits, traits)
}

// NewPage returns an event that a user saw a page, whose name may be "". See [NewTrack].
func NewPage(userID, name string, properties any) *Event {
	return newEvent(Event{Type: TypePage, UserID: userID, Name: name}, canonical.Properties, properties)
}

// NewScreen returns an event that a user saw a screen of an app, whose name may be "". See
// [NewTrack].
func NewScreen(userID, name string, properties any) *Event {
	return newEvent(Event{Type: TypeScreen, UserID: userID, Name: name}, canonical.Properties, properties)
}

// NewGroup returns an event that a user belongs to a group, with traits of the group. See
// [NewTrack].
func NewGroup(userID, groupID string, traits any) *Event {
	return newEvent(Event{Type: TypeGroup, UserID: userID, GroupID: groupID}, canonical.Traits, traits)
}

// NewAlias returns an event that a user was known by another id before. See [NewTrack].
func NewAlias(userID, previousID string) *Event {
	return &Event{Type: TypeAlias, UserID: userID, PreviousID: previousID}
}

// newEvent returns an event with a value in one of its raw fields.
func newEvent(e Event, field string, value any) *Event {
	if value == nil {
		return &e
	}
	raw, err := encode(value)
	switch {
	case err != nil:
		e.fault = &Problem{Code: CodeInvalidEvent, Message: "the value cannot be encoded: " + err.Error(), Field: field}
	case string(raw) != "null":
		*e.rawField(field) = raw
	}
	return &e
}

// checkText refuses what the canonical form cannot represent.
func (e *Event) checkText() *Problem {
	for _, field := range [...]struct{ name, text string }{
		{"name", e.Name}, {"messageId", e.MessageID}, {"userId", e.UserID}, {"anonymousId", e.AnonymousID},
		{"previousId", e.PreviousID}, {"groupId", e.GroupID},
	} {
		if !utf8.ValidString(field.text) {
			return &Problem{Code: CodeInvalidEvent, Message: "the text is not valid UTF-8", Field: field.name}
		}
	}
	for _, field := range [...]struct {
		name string
		time time.Time
	}{
		{canonical.Timestamp, e.Timestamp}, {canonical.OriginalTimestamp, e.OriginalTimestamp}, {canonical.SentAt, e.SentAt},
	} {
		if y := field.time.UTC().Year(); y < 1 || y > 9999 {
			return &Problem{Code: CodeInvalidEvent, Message: "the time is not within the years 1 to 9999", Field: field.name}
		}
	}
	return nil
}

// rawNames are the names of rawFields.
var rawNames = [...]string{canonical.Properties, canonical.Traits, canonical.Context, canonical.Integrations, "extra"}

// checkObject refuses a raw field that is not an object within the limits, and members of Extra
// that have the name of another field. The index is that in rawFields.
func (e *Event) checkObject(doc *wire.Document, i int, limits wire.Limits) *Problem {
	raw := e.rawFields()[i]
	refuse := func(code Code, message string) *Problem {
		return &Problem{Code: code, Message: message, Field: rawNames[i]}
	}
	err := doc.Read(*raw, "", limits)
	var syntax *wire.SyntaxError
	var fault *wire.FaultError
	switch {
	case errors.As(err, &syntax):
		return refuse(CodeInvalidEvent, "the value is not valid JSON: "+syntax.Error())
	case errors.As(err, &fault):
		p := problemOf(fault.Fault)
		if p.Field != "" {
			p.Message += ": " + p.Field
		}
		return refuse(p.Code, p.Message)
	case err != nil:
		return refuse(CodeInvalidEvent, "the value is not a JSON object")
	case doc.Repaired():
		return refuse(CodeInvalidEvent, "the text is not valid UTF-8")
	}
	if p := problemOf(doc.AsItem().Fault); p != nil {
		return refuse(p.Code, p.Message)
	}
	if raw == &e.Extra {
		if name := canonicalName(doc.Root(), e.Type); name != "" {
			return &Problem{Code: CodeInvalidEvent, Message: "the member has the name of another field", Field: name}
		}
	}
	return nil
}

// canonicalName returns the first member of an Extra that has the name of another field in
// the canonical form of the type, or "".
func canonicalName(extra wire.Object, t Type) string {
	for i := range extra.Len() {
		if name := wire.Text(extra.Name(i)); canonical.IsField(name, string(t)) {
			return name
		}
	}
	return ""
}

// A hook is a function of the host's that is called for every event.
type hook struct {
	name   string
	stacks sampled
}

// hooksOf returns the hooks of an option that is a list of functions.
func hooksOf[F any](option string, functions []F) []hook {
	hooks := make([]hook, len(functions))
	for i, f := range functions {
		hooks[i].name = fmt.Sprintf("%s[%d]", option, i)
		if fn := runtime.FuncForPC(reflect.ValueOf(f).Pointer()); fn != nil {
			hooks[i].name += " (" + fn.Name() + ")"
		}
	}
	return hooks
}

// sampled decides which of the same lines are logged: one a minute.
type sampled struct {
	last    atomic.Int64 // when a line was logged, in nanoseconds since 1970
	waiting atomic.Int64 // what was not logged since
}

const sampleInterval = time.Minute

// next counts n more, and returns how many a line has to be about that is to be logged now.
func (s *sampled) next(now time.Time, n int) (count int64, ok bool) {
	s.waiting.Add(int64(n))
	last := s.last.Load()
	if now.UnixNano()-last < int64(sampleInterval) || !s.last.CompareAndSwap(last, now.UnixNano()) {
		return 0, false
	}
	return s.waiting.Swap(0), true
}

// call calls f, and returns a panic in it as an error. It is logged with its stack, unless one of
// the hook was logged a moment ago. [http.ErrAbortHandler] passes.
func (k *hook) call(ctx context.Context, logger *slog.Logger, f func()) (err error) {
	guard.Call(&err, func() error {
		f()
		return nil
	})
	p, panicked := guard.Panicked(err)
	if !panicked {
		return err
	}
	if p.Cause == http.ErrAbortHandler {
		panic(p.Cause)
	}
	if _, ok := k.stacks.next(time.Now(), 1); ok {
		logger.ErrorContext(ctx, "inlet: function panicked", "function", k.name, "panic", p.Cause, "stack", string(p.Stack))
	}
	return &hookError{k.name, fmt.Errorf("panicked: %v", p.Cause)}
}

// A hookError is why a hook failed.
type hookError struct {
	hook string
	err  error
}

// Error names the hook.
func (e *hookError) Error() string { return e.hook + " " + e.err.Error() }

// Unwrap returns what is wrong.
func (e *hookError) Unwrap() error { return e.err }

// checkChange returns what is wrong with what was changed of an event, or nil.
func (e *Event) checkChange(before *Event, l *Limits, raw wire.Limits) error {
	if missing := e.missing(); missing != "" && missing != before.missing() { // if it was refused for that
		return fmt.Errorf("left no %s", missing)
	}
	if p := e.checkType(); p != nil && e.Type != before.Type {
		return fmt.Errorf("left an invalid event: %w", p)
	}
	if e.MessageID != before.MessageID && l.tooLong(e.MessageID) {
		return fmt.Errorf("left an invalid event: %w", problem(CodeMessageIDTooLong, canonical.MessageID))
	}
	if p := e.checkText(); p != nil {
		return fmt.Errorf("left an invalid event: %w", p)
	}
	if p := e.checkChangedObjects(before, raw); p != nil {
		return fmt.Errorf("left an invalid event: %w", p)
	}
	return nil
}

// missing returns the field that sinks rely on and that is empty, or "".
func (e *Event) missing() string {
	switch {
	case e.MessageID == "":
		return "MessageID"
	case e.sourceID() == "":
		return "Source with an ID"
	case e.Timestamp.IsZero():
		return "Timestamp"
	case e.ReceivedAt.IsZero():
		return "ReceivedAt"
	case e.Type == TypeTrack && e.Name == "":
		return "Name of a track call"
	}
	return ""
}

var documents = sync.Pool{New: func() any { return new(wire.Document) }}

// checkChangedObjects checks the raw fields that are in other memory than before. Null is taken as
// absent.
func (e *Event) checkChangedObjects(before *Event, limits wire.Limits) *Problem {
	var doc *wire.Document
	old := before.rawFields()
	for i, raw := range e.rawFields() {
		if isSame(*raw, *old[i]) {
			continue
		}
		if string(*raw) == "null" || len(*raw) == 0 {
			*raw = nil
			continue
		}
		if doc == nil {
			doc = documents.Get().(*wire.Document)
		}
		if p := e.checkObject(doc, i, limits); p != nil {
			return p
		}
		if len(*raw) > maxPooled {
			doc = nil // not for other requests
		}
	}
	if doc != nil {
		doc.Reset()
		documents.Put(doc)
	}
	return nil
}

// isSame reports whether two slices are the same memory.
func isSame(a, b json.RawMessage) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }
