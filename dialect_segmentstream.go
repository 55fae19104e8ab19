package inlet

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// This file uses only exported names of the package, as a dialect outside of it would, and
// is an example of one. A test holds that.

// SegmentStream returns the dialect of SegmentStream's HTTP tracking API, whose call is a
// hit: one event, in the member "event". It shares the path "/track" with [Segment], whose
// "event" is a name, and must precede it in a list of dialects.
func SegmentStream() Dialect { return segmentStream{} }

type segmentStream struct{}

// Name returns "segmentstream".
func (segmentStream) Name() string { return "segmentstream" }

// KeyPlaces returns the id of the project, which is the key where the vendor's own browser
// sender sends it. The documents know only Basic credentials.
func (segmentStream) KeyPlaces() (query, members []string) { return nil, []string{"projectId"} }

// maxHitBytes bounds a hit, as documented.
const maxHitBytes = 64 << 10

// Routes returns the documented one, and that of the vendor's own browser sender, which has
// no header for a key and sends its project's id in the body.
func (segmentStream) Routes() []Route {
	return []Route{
		{Method: http.MethodPost, Path: "/track", Shape: isHit, Key: noKey, MaxBytes: maxHitBytes, Form: FormEmpty, Decode: decodeHit},
		{Method: http.MethodPost, Path: "/collect", MaxBytes: maxHitBytes, Form: FormEmpty, Decode: decodeHit},
	}
}

// isHit distinguishes a hit from a track call of the Segment dialect.
func isHit(root Object) bool { return hitKind(root.Get("event")) == '{' }

// noKey is for a route whose payload has no place for the key: a project's id there is data.
func noKey(*http.Request, Object) string { return "" }

// hitKind returns the first byte of a value, which identifies its kind, 0 for an absent one.
func hitKind(value json.RawMessage) byte {
	if len(value) == 0 {
		return 0
	}
	return value[0]
}

// decodeHit reads a body that is one hit.
func decodeHit(in *Input) error {
	root, ok := in.Single()
	if !ok {
		return nil
	}
	h := hit{in: in, root: root}
	h.locate()
	h.Event = in.Add(0)
	if root.Repaired() {
		h.Warnings |= WarnTextRepaired
	}
	if p := h.setFields(); p != nil {
		in.Withdraw(p)
		return nil
	}
	h.setTimestamp()
	if h.extra {
		h.setExtra()
	}
	return nil
}

// hitSlot is a member of a hit.
type hitSlot int

const (
	hitID hitSlot = iota
	hitSentAt
	hitEvent
	hitContext
	hitIntegrations
	hitUserID      // where the browser sender has it
	hitAnonymousID // as above
	hitSlotCount

	hitType  // is "event" in every hit of the browser sender
	hitExtra // any other
)

func hitSlotOf(quoted []byte) hitSlot {
	switch string(quoted) {
	case `"hitId"`:
		return hitID
	case `"sentAt"`:
		return hitSentAt
	case `"event"`:
		return hitEvent
	case `"context"`:
		return hitContext
	case `"integrations"`:
		return hitIntegrations
	case `"userId"`:
		return hitUserID
	case `"anonymousId"`:
		return hitAnonymousID
	case `"type"`:
		return hitType
	}
	return hitExtra
}

// Names of members that fields are set from, inside of the event and of its user.
var (
	hitEventNames = []string{"name", "user"}
	hitUserNames  = []string{"userId", "anonymousId"}
)

// hit is an event on its way from a payload.
type hit struct {
	*Event
	in    *Input
	root  Object
	at    [hitSlotCount]json.RawMessage
	event [2]json.RawMessage // as hitEventNames
	user  [2]json.RawMessage // as hitUserNames
	extra bool               // there are members that go to Extra
	aside uint32             // slots, as bits, whose values go to Extra after all
}

// locate finds the members that fields are set from.
func (h *hit) locate() {
	for i := range h.root.Len() {
		switch slot := hitSlotOf(h.root.Name(i)); slot {
		case hitType, hitExtra:
			h.extra = true
		default:
			h.at[slot] = h.root.Value(i)
		}
	}
	h.in.Find(h.at[hitEvent], hitEventNames, h.event[:])
	h.in.Find(h.event[1], hitUserNames, h.user[:])
}

// setAside keeps a member that did not become a field.
func (h *hit) setAside(slot hitSlot) {
	h.extra = true
	h.aside |= 1 << slot
}

// setFields sets the fields for which a hit can be refused.
func (h *hit) setFields() *Problem {
	h.Type = TypeTrack
	if p := h.in.SetID(h.Event, &h.MessageID, h.at[hitID], "hitId"); p != nil {
		return p
	}
	if hitKind(h.at[hitEvent]) != '{' {
		return &Problem{Code: CodePropertiesNotObject, Message: "event must be an object", Field: "event"}
	}
	h.Properties = h.at[hitEvent]
	if p := h.setUser(); p != nil {
		return p
	}
	if p := h.setName(); p != nil {
		return p
	}
	if p := h.in.SetObject(h.Event, &h.Context, h.at[hitContext], CodeContextNotObject, "context"); p != nil {
		return p
	}
	return h.in.SetObject(h.Event, &h.Integrations, h.at[hitIntegrations], CodeIntegrationsNotObject, "integrations")
}

// setUser sets the ids of the user in the event, where the documents have them, or else
// those in the root.
func (h *hit) setUser() *Problem {
	if p := h.setUserID(&h.UserID, h.user[0], hitUserID, "event.user.userId", "userId"); p != nil {
		return p
	}
	if p := h.setUserID(&h.AnonymousID, h.user[1], hitAnonymousID, "event.user.anonymousId", "anonymousId"); p != nil {
		return p
	}
	if h.UserID == "" && h.AnonymousID == "" {
		return &Problem{Code: CodeNoUserAnonID, Message: "userId or anonymousId is required in event.user", Field: "event.user.userId"}
	}
	return nil
}

// setUserID sets an id. One in the root that differs from the one that counts is set aside.
func (h *hit) setUserID(dst *string, inEvent json.RawMessage, slot hitSlot, field, rootField string) *Problem {
	p := h.in.SetID(h.Event, dst, inEvent, field)
	inRoot := h.at[slot]
	switch {
	case p != nil:
		return p
	case *dst == "":
		return h.in.SetID(h.Event, dst, inRoot, rootField)
	case inRoot != nil && hitKind(inRoot) != 'n' && !bytes.Equal(inRoot, inEvent):
		h.setAside(slot)
	}
	return nil
}

func (h *hit) setName() *Problem {
	const field = "event.name"
	switch raw := h.event[0]; hitKind(raw) {
	case '"':
		h.Name = h.in.Text(raw)
	case 0, 'n':
	default:
		return &Problem{Code: CodeEventNotString, Field: field}
	}
	if h.Name == "" {
		return &Problem{Code: CodeEventNotDefined, Field: field}
	}
	return nil
}

// setTimestamp sets when the event happened, which this dialect calls sentAt: it says
// nothing about the client's clock, so the event has no SentAt and its time is not
// corrected. A time that cannot be read is set aside.
func (h *hit) setTimestamp() {
	if !h.in.SetTime(h.Event, &h.Timestamp, h.at[hitSentAt]) {
		h.setAside(hitSentAt)
	}
}

// setExtra keeps the members that no field holds.
func (h *hit) setExtra() {
	h.in.SetExtra(h.Event, h.root, func(i int) (extra, client bool) {
		switch slot := hitSlotOf(h.root.Name(i)); slot {
		case hitExtra:
			return true, false
		case hitType:
			return true, true
		default:
			return false, slot < hitSlotCount && h.aside>>slot&1 != 0
		}
	})
}
