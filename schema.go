package inlet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/inlet-go/inlet/internal/body"
	"github.com/inlet-go/inlet/internal/canonical"

	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/origin"
	"github.com/inlet-go/inlet/internal/wire"
)

// A Type is one of the six calls that every dialect is normalised to.
type Type string

// The types of events, as the Segment specification names them.
const (
	TypeIdentify Type = "identify"
	TypeTrack    Type = "track"
	TypePage     Type = "page"
	TypeScreen   Type = "screen"
	TypeGroup    Type = "group"
	TypeAlias    Type = "alias"
)

// An Event is one call of a client, normalised: what every sink needs is typed, the rest is
// raw JSON, exactly as it was sent. Numbers are never parsed, so integers beyond 2^53 pass
// unchanged.
//
// An event that is passed to a [Sink] is read-only and lent until Write returns: the raw
// fields are slices of the request's memory. The strings and the Source may be kept.
type Event struct {
	// Type is the call. Never empty in a sink.
	Type Type
	// Name is the event of a track call and the name of a page or screen.
	Name string

	// MessageID identifies the event for deduplication, within its source. Never empty in a
	// sink; see GeneratedID.
	MessageID string
	// UserID, AnonymousID, PreviousID and GroupID are "" if the client sent none.
	UserID, AnonymousID, PreviousID, GroupID string

	// Timestamp is when the event happened, in UTC, corrected for the skew of the client's
	// clock. Never zero in a sink.
	Timestamp time.Time
	// OriginalTimestamp is the timestamp as sent by the client, before correction. Zero if
	// the client sent none or it could not be read.
	OriginalTimestamp time.Time
	// SentAt is when the client sent the request, by its own clock. Zero if unknown.
	SentAt time.Time
	// ReceivedAt is when the request arrived here: when the outermost layer of this module, or
	// else the handler, was called, before the body was read. Never zero in a sink.
	ReceivedAt time.Time

	// Source is the owner of the write key. Shared and immutable; never nil in a sink.
	Source *Source
	// Dialect is the name of the dialect in which the event was sent.
	Dialect string

	// Properties, Traits, Context and Integrations are JSON objects, or nil if the client
	// sent none.
	Properties, Traits, Context, Integrations json.RawMessage
	// Extra is a JSON object of the members that no other field holds, or nil if there are
	// none. Nothing that a client sends is dropped, except its write key.
	Extra json.RawMessage

	// Warnings is what was repaired, clamped or guessed.
	Warnings Warnings

	fault *Problem // of an event of the host's, for Ingest
}

// GeneratedID reports whether the MessageID was generated here because the client sent
// none: a retry of such an event cannot be recognised.
func (e *Event) GeneratedID() bool { return e.Warnings.Has(WarnMessageIDGenerated) }

// Clone returns a copy of e that shares no memory with it except immutable strings and the
// Source.
func (e *Event) Clone() *Event { return CloneEvents([]*Event{e})[0] }

// CloneEvents returns copies of the events that share no memory with them except immutable
// strings and Sources. The raw JSON of all of them is copied into a single allocation.
func CloneEvents(events []*Event) []*Event {
	var size int
	for _, e := range events {
		raw, _ := e.contentSize()
		size += raw
	}
	arena := make([]byte, 0, size)
	structs := make([]Event, len(events))
	clones := make([]*Event, len(events))
	for i, e := range events {
		structs[i] = *e
		clones[i] = &structs[i]
		for _, raw := range clones[i].rawFields() {
			arena = cloneRaw(raw, arena)
		}
	}
	return clones
}

// cloneRaw copies *raw to the end of arena, which has the capacity for it. The capacity of
// the copy is clipped so that an append by the new owner cannot overwrite a neighbour.
func cloneRaw(raw *json.RawMessage, arena []byte) []byte {
	if *raw == nil {
		return arena
	}
	start := len(arena)
	arena = append(arena, *raw...)
	*raw = json.RawMessage(arena[start:len(arena):len(arena)])
	return arena
}

func (e *Event) rawFields() [5]*json.RawMessage {
	return [...]*json.RawMessage{&e.Properties, &e.Traits, &e.Context, &e.Integrations, &e.Extra}
}

// contentSize returns how long the raw fields of e are together, and how long the strings are
// that clients send.
func (e *Event) contentSize() (raw, text int) {
	raw = len(e.Properties) + len(e.Traits) + len(e.Context) + len(e.Integrations) + len(e.Extra)
	text = len(e.Name) + len(e.MessageID) + len(e.UserID) + len(e.AnonymousID) + len(e.PreviousID) + len(e.GroupID)
	return raw, text
}

// rawField returns the raw field that the canonical form calls name.
func (e *Event) rawField(name string) *json.RawMessage {
	switch name {
	case canonical.Properties:
		return &e.Properties
	case canonical.Traits:
		return &e.Traits
	case canonical.Context:
		return &e.Context
	case canonical.Integrations:
		return &e.Integrations
	}
	return nil
}

// Equal reports whether e and o have the same canonical form: the same fields, the same
// instants, the same source ID and the same raw JSON text.
func (e *Event) Equal(o *Event) bool {
	a, b := e.rawFields(), o.rawFields()
	for i := range a {
		if !bytes.Equal(*a[i], *b[i]) {
			return false
		}
	}
	return e.Type == o.Type && e.Name == o.Name && e.MessageID == o.MessageID &&
		e.UserID == o.UserID && e.AnonymousID == o.AnonymousID &&
		e.PreviousID == o.PreviousID && e.GroupID == o.GroupID &&
		e.Timestamp.Equal(o.Timestamp) && e.OriginalTimestamp.Equal(o.OriginalTimestamp) &&
		e.SentAt.Equal(o.SentAt) && e.ReceivedAt.Equal(o.ReceivedAt) &&
		e.sourceID() == o.sourceID() && e.Dialect == o.Dialect && e.Warnings == o.Warnings
}

func (e *Event) sourceID() string {
	if e.Source == nil {
		return ""
	}
	return e.Source.ID
}

// Warnings is the set of what was repaired, clamped or guessed in an event. Its canonical
// form is a list of codes.
type Warnings uint32

// The warnings. The comment of each has its code.
const (
	// WarnMessageIDGenerated: the client sent no id ("message_id_generated").
	WarnMessageIDGenerated Warnings = 1 << iota
	// WarnTimestampInvalid: a time that the client sent for the event could not be read, and
	// another one that it sent is used instead, or else ReceivedAt ("timestamp_invalid").
	WarnTimestampInvalid
	// WarnTimestampClamped: the time was in the future, and ReceivedAt is used instead
	// ("timestamp_clamped").
	WarnTimestampClamped
	// WarnTimestampGuessed: the time had no zone and was read as UTC, or was a number and
	// was read as a Unix time ("timestamp_guessed").
	WarnTimestampGuessed
	// WarnSkewImplausible: the clocks differ by more than a day, more likely because of an
	// offline queue; the time was not corrected ("skew_implausible").
	WarnSkewImplausible
	// WarnTextRepaired: invalid UTF-8 or an unpaired surrogate was replaced by U+FFFD
	// ("text_repaired").
	WarnTextRepaired
	// WarnIDNotString: an id was sent as a number; its digits are kept
	// ("id_not_string").
	WarnIDNotString
	// WarnEmptyList: an empty list was sent for an object, as PHP writes an empty map
	// ("empty_list").
	WarnEmptyList
	// WarnReservedMember: the client sent a member that only we set; it is kept below
	// "_client" ("reserved_member").
	WarnReservedMember
	// WarnTypeMismatch: the type in the body differs from that of the route, which wins, or
	// was not in lower case ("type_mismatch").
	WarnTypeMismatch
	// WarnIDTrimmed: an id had white space around it, which was removed ("id_trimmed").
	WarnIDTrimmed

	warningsEnd
)

// Has reports whether all of the given warnings are in w.
func (w Warnings) Has(warnings Warnings) bool { return w&warnings == warnings }

// Codes yields the code of each warning in w.
func (w Warnings) Codes() iter.Seq[string] {
	return func(yield func(string) bool) {
		for bit := Warnings(1); bit < warningsEnd; bit <<= 1 {
			if w&bit != 0 && !yield(bit.code()) {
				return
			}
		}
	}
}

// code returns the code of a single warning.
func (w Warnings) code() string {
	switch w {
	case WarnMessageIDGenerated:
		return "message_id_generated"
	case WarnTimestampInvalid:
		return "timestamp_invalid"
	case WarnTimestampClamped:
		return "timestamp_clamped"
	case WarnTimestampGuessed:
		return "timestamp_guessed"
	case WarnSkewImplausible:
		return "skew_implausible"
	case WarnTextRepaired:
		return "text_repaired"
	case WarnIDNotString:
		return "id_not_string"
	case WarnEmptyList:
		return "empty_list"
	case WarnReservedMember:
		return "reserved_member"
	case WarnTypeMismatch:
		return "type_mismatch"
	case WarnIDTrimmed:
		return "id_trimmed"
	}
	return ""
}

// warningOf is the inverse of code: 0 for an unknown code.
func warningOf(code string) Warnings {
	for bit := Warnings(1); bit < warningsEnd; bit <<= 1 {
		if bit.code() == code {
			return bit
		}
	}
	return 0
}

// A Problem is why an event was refused. It is public: its text reaches the client.
type Problem struct {
	// Code is the machine-readable reason: Segment's, if it publishes one for the same
	// fault.
	Code Code `json:"code"`
	// Message is the reason in words.
	Message string `json:"message"`
	// Field is the member at fault, such as "userId" or "context.page", or "".
	Field string `json:"field,omitempty"`
}

// Error returns the field, if there is one, and the message.
func (p *Problem) Error() string {
	if p.Field == "" {
		return p.Message
	}
	return p.Field + ": " + p.Message
}

// A Reject is an event of a request that was refused.
type Reject struct {
	// Index is the event's place in the request, from 0.
	Index int `json:"index"`
	// MessageID is the id that the client sent, or "".
	MessageID string `json:"messageId,omitempty"`
	// Type and Name are those of the event, for logs, or "" if they are not known. They are not in
	// answers.
	Type Type   `json:"-"`
	Name string `json:"-"`
	Problem
}

// A Validator checks an event after the built-in checks have passed. It returns nil to accept
// it. It must not change or keep the event, and may be called concurrently. If it panics, the
// event is refused with [CodeInvalidEvent], and the log has the stack; the others are not
// affected.
type Validator func(*Event) *Problem

// Limits bound what clients may send. Each is finite by default, and the zero value means all
// defaults. A "KB" of the vendors' documents is read as the larger of its meanings.
type Limits struct {
	// EventBytes bounds an event as it was sent, in bytes. With the defaults of its batch it
	// may have 4,128,768 bytes, or EventBytes if that is more: as much as another Inlet
	// accepts when it is forwarded there, for which EventBytes does not count. Defaults to
	// 32,768.
	EventBytes int
	// BatchBytes bounds a batch request after decompression, in bytes. Defaults to 512,000.
	BatchBytes int64
	// Events bounds the events of a request. Defaults to 2,500.
	Events int
	// Depth bounds the nesting of an event, the event itself being 1. Defaults to 200.
	Depth int
	// Members bounds the names in an event, at all levels together. Defaults to 10,000.
	Members int
	// MessageIDLength bounds a message id, and the id of a Commanders Act site, in characters
	// of Unicode, not in bytes. Defaults to 100.
	MessageIDLength int
}

func (l Limits) withDefaults() (Limits, error) {
	l.EventBytes = cmp.Or(l.EventBytes, 32_768)
	l.BatchBytes = cmp.Or(l.BatchBytes, 512_000)
	l.Events = cmp.Or(l.Events, 2_500)
	l.Depth = cmp.Or(l.Depth, 200)
	l.Members = cmp.Or(l.Members, 10_000)
	l.MessageIDLength = cmp.Or(l.MessageIDLength, 100)
	return l, errors.Join(
		check.AtLeast("Limits.EventBytes", l.EventBytes, 1),
		check.AtLeast("Limits.BatchBytes", l.BatchBytes, 1),
		check.AtMost("Limits.BatchBytes", l.BatchBytes, body.MaxBytes),
		check.AtLeast("Limits.Events", l.Events, 1),
		check.AtLeast("Limits.Depth", l.Depth, 1),
		check.AtMost("Limits.Depth", l.Depth, 1000),
		check.AtLeast("Limits.Members", l.Members, 1),
		check.AtMost("Limits.Members", l.Members, 1_000_000),
		check.AtLeast("Limits.MessageIDLength", l.MessageIDLength, 1),
	)
}

// wire returns the limits that apply while a body is indexed.
func (l Limits) wire() wire.Limits {
	return wire.Limits{Depth: l.Depth, Members: l.Members, Bytes: l.EventBytes, Items: l.Events}
}

// A Source is the owner of a write key: a website, an app, a server. It must not be changed
// after it was passed to this package. It is shared between requests, and may be kept.
type Source struct {
	// ID names the source in events, logs and metrics. It is not a secret, and never the
	// write key. Required.
	ID string
	// Disabled refuses everything that the source sends, with 403. Defaults to false.
	Disabled bool
	// Origins makes the source's keys browser keys: requests must come from one of these
	// origins ("https://shop.example", "https://*.shop.example" for its subdomains), else
	// they get 403. [NewKeys] refuses one that no page can have; one that another
	// [Authenticator] returns is logged. Defaults to none, for server keys, which need no
	// Origin.
	Origins []string
	// Rate limits the source's requests, in requests per second, if the rate limit is by
	// source. Defaults to that of the middleware.
	Rate float64
	// Burst is how many requests may come together. Defaults to that of the middleware.
	Burst int
	// EventRate limits the events of the source that are stored, in events per second, if
	// the rate limit is by source. After a pause, those of ten seconds may come together.
	// Defaults to that of the middleware, where it is off by default.
	EventRate float64
	// ByteRate limits the bodies of the source after decompression, in bytes per second,
	// as EventRate does events. Defaults to that of the middleware.
	ByteRate float64
}

// allows reports whether requests may come from an origin, which is "" for a client that is not
// a browser.
func (s *Source) allows(sent string) bool {
	same := func(listed string) bool { return origin.Matches(listed, sent) }
	return len(s.Origins) == 0 || slices.ContainsFunc(s.Origins, same)
}

// checkOrigins returns the faults of origins that no page can have.
func (s *Source) checkOrigins() error {
	var faults []error
	for i, listed := range s.Origins {
		faults = append(faults, origin.Check(fmt.Sprintf("Origins[%d]", i), listed))
	}
	return errors.Join(faults...)
}

// check checks what every event must have, whatever its dialect, except the user, which is
// optional in some dialects. The rules are those of Segment's specification; alias and group
// calls need their second id on a server, which cannot fill it in as a browser library does.
func (e *Event) check(l *Limits, userOptional bool) *Problem {
	if p := e.checkType(); p != nil {
		return p
	}
	switch {
	case l.tooLong(e.MessageID):
		return problem(CodeMessageIDTooLong, "messageId")
	case e.UserID == "" && e.AnonymousID == "" && !userOptional:
		return problem(CodeNoUserAnonID, "userId")
	case e.Type == TypeTrack && e.Name == "":
		return problem(CodeEventNotDefined, "event")
	case e.Type == TypeGroup && e.GroupID == "":
		return problem(CodeIDRequired, "groupId")
	case e.Type == TypeAlias && e.PreviousID == "":
		return problem(CodeIDRequired, "previousId")
	}
	return nil
}

func (e *Event) checkType() *Problem {
	switch {
	case e.Type == "":
		return problem(CodeTypeRequired, "type")
	case !canonical.IsType(string(e.Type)):
		return problem(CodeTypeUnknown, "type")
	}
	return nil
}

// tooLong reports whether an id is beyond the limit.
func (l *Limits) tooLong(id string) bool {
	return len(id) > l.MessageIDLength && utf8.RuneCountInString(id) > l.MessageIDLength
}
