package inlet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/wire"
)

// AppendJSON appends the canonical form of e to dst: one JSON object on one line, with
// Segment's common names for the fields, then the members of Extra. Empty fields are omitted.
// The raw fields must be valid JSON, as those of every event in a sink are; line breaks in
// them are removed.
func (e *Event) AppendJSON(dst []byte) []byte {
	dst = wire.AppendString(append(dst, `{"`+canonical.Type+`":`...), string(e.Type))
	if member := nameMember(e.Type); member != "" {
		dst = appendText(dst, member, e.Name)
	}
	dst = appendText(dst, `,"`+canonical.MessageID+`":`, e.MessageID)
	dst = appendText(dst, `,"`+canonical.UserID+`":`, e.UserID)
	dst = appendText(dst, `,"`+canonical.AnonymousID+`":`, e.AnonymousID)
	dst = appendText(dst, `,"`+canonical.PreviousID+`":`, e.PreviousID)
	dst = appendText(dst, `,"`+canonical.GroupID+`":`, e.GroupID)
	dst = appendTime(dst, `,"`+canonical.Timestamp+`":`, e.Timestamp)
	dst = appendTime(dst, `,"`+canonical.OriginalTimestamp+`":`, e.OriginalTimestamp)
	dst = appendTime(dst, `,"`+canonical.SentAt+`":`, e.SentAt)
	dst = appendTime(dst, `,"`+canonical.ReceivedAt+`":`, e.ReceivedAt)
	dst = appendText(dst, `,"`+canonical.SourceID+`":`, e.sourceID())
	dst = appendText(dst, `,"`+canonical.Dialect+`":`, e.Dialect)
	dst = appendWarnings(dst, e.Warnings)
	dst = appendRaw(dst, `,"`+canonical.Properties+`":`, e.Properties)
	dst = appendRaw(dst, `,"`+canonical.Traits+`":`, e.Traits)
	dst = appendRaw(dst, `,"`+canonical.Context+`":`, e.Context)
	dst = appendRaw(dst, `,"`+canonical.Integrations+`":`, e.Integrations)
	dst = wire.AppendMembers(dst, e.Extra)
	return append(dst, '}')
}

// nameMember returns the member that holds Name in the canonical form, "" for the types that
// have no name.
func nameMember(t Type) string {
	switch t {
	case TypeTrack:
		return `,"` + canonical.Event + `":`
	case TypePage, TypeScreen:
		return `,"` + canonical.Name + `":`
	}
	return ""
}

func appendText(dst []byte, member, s string) []byte {
	if s == "" {
		return dst
	}
	return wire.AppendString(append(dst, member...), s)
}

func appendTime(dst []byte, member string, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	dst = append(append(dst, member...), '"')
	return append(t.UTC().AppendFormat(dst, time.RFC3339Nano), '"')
}

func appendRaw(dst []byte, member string, raw json.RawMessage) []byte {
	if len(raw) == 0 {
		return dst
	}
	return wire.AppendLine(append(dst, member...), raw)
}

func appendWarnings(dst []byte, w Warnings) []byte {
	if w == 0 {
		return dst
	}
	dst = append(dst, `,"`+canonical.Warnings+`":[`...)
	sep := ""
	for code := range w.Codes() {
		dst = append(append(append(append(dst, sep...), '"'), code...), '"')
		sep = ","
	}
	return append(dst, ']')
}

// MarshalJSON returns the canonical form; see [Event.AppendJSON].
func (e *Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// UnmarshalJSON reads the canonical form back: an event that equals the one it was written
// from, except for the Source, of which only the ID is known. Unknown members go to Extra.
func (e *Event) UnmarshalJSON(data []byte) error {
	*e = Event{}
	members, err := wire.Members(bytes.Clone(data)) // the raw fields are slices of it
	if err != nil {
		return fmt.Errorf("inlet: event: %w", err)
	}
	for _, m := range members {
		if string(m.Name()) == canonical.Type {
			e.Type = Type(wire.Text(m.Value))
		}
	}
	for _, m := range members {
		if err := e.setMember(m); err != nil {
			return fmt.Errorf("inlet: event: member %q: %w", m.Name(), err)
		}
	}
	if e.Extra != nil {
		e.Extra = append(e.Extra, '}')
	}
	return nil
}

func (e *Event) setMember(m wire.Member) error {
	switch name := string(m.Name()); name {
	case canonical.Type:
		return nil
	case canonical.SourceID:
		e.Source = &Source{ID: wire.Text(m.Value)}
	case canonical.Warnings:
		return e.setWarnings(m.Value)
	case canonical.Timestamp:
		return setTime(&e.Timestamp, m.Value)
	case canonical.OriginalTimestamp:
		return setTime(&e.OriginalTimestamp, m.Value)
	case canonical.SentAt:
		return setTime(&e.SentAt, m.Value)
	case canonical.ReceivedAt:
		return setTime(&e.ReceivedAt, m.Value)
	default:
		if s := e.textField(name); s != nil {
			return setText(s, m.Value)
		}
		if raw := e.rawField(name); raw != nil {
			*raw = m.Value
			return nil
		}
		e.addExtra(m)
	}
	return nil
}

// textField returns the string field that the canonical form calls name.
func (e *Event) textField(name string) *string {
	switch name {
	case canonical.MessageID:
		return &e.MessageID
	case canonical.UserID:
		return &e.UserID
	case canonical.AnonymousID:
		return &e.AnonymousID
	case canonical.PreviousID:
		return &e.PreviousID
	case canonical.GroupID:
		return &e.GroupID
	case canonical.Dialect:
		return &e.Dialect
	case canonical.Event, canonical.Name:
		if canonical.NameMember(string(e.Type)) == name {
			return &e.Name
		}
	}
	return nil
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

func (e *Event) addExtra(m wire.Member) {
	sep := byte(',')
	if e.Extra == nil {
		sep = '{'
	}
	e.Extra = append(append(append(append(e.Extra, sep), m.RawName...), ':'), m.Value...)
}

func (e *Event) setWarnings(raw []byte) error {
	var codes []string
	if err := json.Unmarshal(raw, &codes); err != nil {
		return err
	}
	for _, code := range codes {
		e.Warnings |= warningOf(code)
	}
	return nil
}

// setText sets s to the text of a JSON string, or to "" for null.
func setText(s *string, raw []byte) error {
	if kind := wire.Kind(raw); kind != '"' && kind != 'n' {
		return errors.New("is not a string")
	}
	*s = wire.Text(raw)
	return nil
}

func setTime(t *time.Time, raw []byte) error { return t.UnmarshalJSON(raw) }
