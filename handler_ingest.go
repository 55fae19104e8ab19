package inlet

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/inlet-go/inlet/internal/wire"
)

// ingestDialect is the Dialect of events that did not come by HTTP.
const ingestDialect = "inlet"

// Ingest takes events of the host's own program through the same checks,
// enrichers and sink as those of clients. It returns nil when every event is
// stored, as durably as the sink declares.
//
// Errors: a [*BatchError] names the events that are not stored by their index.
// One that fails its checks is a permanent failure and holds a [*Problem]; those
// of the sink are as it returned them. Any other error means that nothing may be
// assumed stored.
//
// Ownership: the events are read, and may be used again once Ingest has returned.
// What they lack is set on copies: MessageID, Timestamp, ReceivedAt, Source.
//
// Context: the write ends at ctx's end or after the handler's WriteTimeout.
func (h *Handler) Ingest(ctx context.Context, source *Source, events ...*Event) error {
	if source == nil || source.ID == "" {
		return errors.New("inlet: Ingest: the source is nil or has no ID")
	}
	if err := h.gate.enter(); err != nil {
		return err
	}
	defer h.gate.leave()
	state := &state{Context: ctx}
	state.source.Store(source)
	ctx, cancel := context.WithTimeout(state, h.options.WriteTimeout)
	defer cancel()
	return h.ingest(ctx, source, events)
}

func (h *Handler) ingest(ctx context.Context, source *Source, events []*Event) error {
	var failed []ItemError
	accepted, places := make([]*Event, 0, len(events)), make([]int, 0, len(events))
	in := &Input{ReceivedAt: time.Now().UTC()}
	for i, given := range events {
		e := new(Event)
		if p := h.prepare(e, given); p != nil {
			failed = append(failed, ItemError{i, Permanent(p)})
			continue
		}
		h.enrichEvent(ctx, e, in, source, ingestDialect)
		accepted, places = append(accepted, e), append(places, i)
	}
	if len(accepted) > 0 {
		_, err := h.store(ctx, accepted, in.ReceivedAt)
		for i, e := range ItemErrors(err, len(accepted)) {
			if e != nil {
				failed = append(failed, ItemError{places[i], e})
			}
		}
	}
	if len(failed) > 0 {
		return &BatchError{Items: failed}
	}
	return nil
}

// prepare copies a host's event and checks what a dialect has checked for a
// client's.
func (h *Handler) prepare(e, given *Event) *Problem {
	if given == nil {
		return problem(CodeNotObject, "")
	}
	*e = *given
	if p := e.checkText(); p != nil {
		return p
	}
	if p := e.checkRaw(h.options.Limits.wire()); p != nil {
		return p
	}
	return h.checkEvent(e, false)
}

// checkText refuses what the canonical form could not say again.
func (e *Event) checkText() *Problem {
	for _, field := range [...]struct{ name, text string }{
		{"name", e.Name}, {"messageId", e.MessageID}, {"userId", e.UserID}, {"anonymousId", e.AnonymousID},
		{"previousId", e.PreviousID}, {"groupId", e.GroupID},
	} {
		if !utf8.ValidString(field.text) {
			return &Problem{Code: CodeInvalidEvent, Message: "the text is not valid UTF-8", Field: field.name}
		}
	}
	for _, t := range [...]time.Time{e.Timestamp, e.OriginalTimestamp, e.SentAt} {
		if y := t.UTC().Year(); y < 1 || y > 9999 {
			return &Problem{Code: CodeInvalidEvent, Message: "a time is not within the years 1 to 9999", Field: "timestamp"}
		}
	}
	return nil
}

// checkRaw refuses raw fields that are not objects within the limits, and extra
// members that have a field of their own.
func (e *Event) checkRaw(limits wire.Limits) *Problem {
	names := [...]string{"properties", "traits", "context", "integrations", "extra"}
	var doc wire.Document
	size := 0
	for i, raw := range e.rawFields() {
		if *raw == nil {
			continue
		}
		size += len(*raw)
		if err := doc.Read(*raw, "", limits); err != nil || doc.Repaired() {
			return &Problem{Code: CodeInvalidEvent, Message: "it is not a valid JSON object, or beyond the limits", Field: names[i]}
		}
		if raw == &e.Extra {
			if name := canonicalName(doc.Root(), e.Type); name != "" {
				return &Problem{Code: CodeInvalidEvent, Message: "the name belongs to a field of its own", Field: name}
			}
		}
	}
	if size > limits.Bytes {
		return problem(CodeEventTooLarge, "")
	}
	return nil
}

// canonicalName returns the first member of an Extra that has a field of its own
// in the canonical form of the type, or "".
func canonicalName(extra wire.Object, t Type) string {
	e := Event{Type: t}
	for i := range extra.Len() {
		switch name := wire.Text(extra.Name(i)); name {
		case "type", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "sourceId", "warnings", "_seq", "_c":
			return name
		default:
			if e.textField(name) != nil || e.rawField(name) != nil {
				return name
			}
		}
	}
	return ""
}
