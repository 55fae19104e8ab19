package inlet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/wire"
)

// AppendJSON appends the canonical form of e to dst: one JSON object on one line, with
// Segment's common names for the fields, then the members of Extra. Empty fields are omitted.
// The raw fields must be valid JSON, as those of every event in a sink are; white space around
// them and line breaks in them are removed.
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
	return wire.AppendLine(append(dst, member...), wire.Trim(raw))
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

// A forwarded batch is what another Inlet sends: Segment's form, for receivers of any kind, and
// a member of the root that lists what that form cannot represent. For each event it has
//
//	[dialect, originalTimestamp, sentAt, warnings]
//
// of strings, the warnings separated by spaces. With it, an event is read as it was stored
// there.
const forwardedMember = `"_inlet"`

// forwardedList returns that list, or nil if the batch is a client's. The key of a forwarded
// batch is in a header: members that hold keys of clients are data in it, and are kept.
func forwardedList(in *Input) json.RawMessage {
	list := in.doc.Root().Get(forwardedMember)
	header := in.Request.Header
	if wire.Kind(list) != '[' || firstValue(header[headerAuthorization]) == "" && firstValue(header[headerWriteKey]) == "" {
		return nil
	}
	return list
}

// How much a stored event may exceed the limits on what clients send: defaults of a batch and
// metadata are merged into it, objects are moved one level down, and enrichers add to it.
const (
	forwardedLevels  = 16
	forwardedMembers = 8
)

// forwardedLimits are the limits of events that another Inlet with the limits l has stored.
func forwardedLimits(l wire.Limits) wire.Limits {
	return wire.Limits{Depth: l.Depth + forwardedLevels, Members: l.Members * forwardedMembers, Items: l.Items}
}

// decodeForwarded reads a forwarded batch.
func decodeForwarded(in *Input, list json.RawMessage) error {
	items, _ := in.doc.Items()
	if items.Exceeds() {
		doc, err := in.payload.index(forwardedLimits(in.doc.Limits()))
		if err != nil {
			return err
		}
		in.doc = doc
		items, _ = doc.Items()
		list = doc.Root().Get(forwardedMember)
	}
	in.forwarded = true
	in.growEvents(items.Len())
	in.growText(items.Len() * (typicalText + idLength))
	i := 0
	for about := range wire.Elements(list) {
		if i < items.Len() && in.refused == nil {
			in.addForwarded(i, items.At(i), about)
		}
		i++
	}
	if i != items.Len() {
		return &Error{Code: CodeInvalidRequest, Message: "the list must have an element for each event", Field: "_inlet"}
	}
	return nil
}

// addForwarded adds the event at a place of the request, or refuses it.
func (in *Input) addForwarded(place int, it wire.Item, about json.RawMessage) {
	if p := problemOf(it.Fault); p != nil {
		in.Refuse(place, "", p)
		return
	}
	e := in.Add(place)
	if it.Repaired {
		e.Warnings = WarnTextRepaired
	}
	p := in.setForwarded(e, it.Object)
	if p == nil {
		p = in.setAbout(e, about)
	}
	if p != nil {
		in.Withdraw(p)
	}
}

// setForwarded sets the fields that Segment's form has.
func (in *Input) setForwarded(e *Event, o wire.Object) *Problem {
	e.Type = Type(in.Text(o.Get(`"` + canonical.Type + `"`)))
	if p := e.checkType(); p != nil {
		return p
	}
	start := -1
	for i := range o.Len() {
		if p := in.setForwardedMember(e, &start, o, i); p != nil {
			return p
		}
	}
	if start >= 0 {
		in.raw = append(in.raw, '}')
		e.Extra = in.raw[start:len(in.raw):len(in.raw)]
	}
	return nil
}

// setForwardedMember sets a field, or appends the i-th member of o to the object of unknown
// members. That begins at in.raw[*extra], which is negative before the first one.
func (in *Input) setForwardedMember(e *Event, extra *int, o wire.Object, i int) *Problem {
	quoted, value, ok := o.Name(i), o.Value(i), false
	switch kind := canonical.KindOfQuoted(quoted); {
	case kind == canonical.KindServer || kind == canonical.KindRecord:
	case kind == canonical.KindTime:
		ok = string(quoted) == `"`+canonical.Timestamp+`"` && setForwardedTime(&e.Timestamp, value)
	case string(quoted) == `"`+canonical.Type+`"`:
		ok = true
	case kind == canonical.KindExtra, kind == canonical.KindNote, !in.setField(e, quoted, value, &ok):
		if *extra < 0 {
			if !in.growExtra(o) {
				return nil
			}
			*extra = len(in.raw)
			in.raw = append(in.raw, '{')
		}
		in.raw = wire.AppendMember(in.raw, *extra+1, quoted, value)
		ok = true
	}
	if !ok {
		return &Problem{Code: CodeInvalidEvent, Message: "the member is not as another Inlet sends it", Field: wire.Text(quoted)}
	}
	return nil
}

// setField sets the field of a member, and ok to whether the value is of its kind. It returns
// false for a name of no field, such as the name of an event of another type.
func (in *Input) setField(e *Event, quoted, value []byte, ok *bool) bool {
	name := string(quoted[1 : len(quoted)-1])
	if text := e.textField(name); text != nil {
		*text, *ok = in.Text(value), wire.Kind(value) == '"'
		return true
	}
	if raw := e.rawField(name); raw != nil {
		*raw, *ok = value, wire.Kind(value) == '{'
		return true
	}
	return false
}

// setAbout sets the fields that Segment's form does not have.
func (in *Input) setAbout(e *Event, about json.RawMessage) *Problem {
	n, ok := 0, wire.Kind(about) == '['
	if ok {
		for value := range wire.Elements(about) {
			ok = ok && wire.Kind(value) == '"' && in.setAboutValue(e, n, value)
			n++
		}
	}
	if !ok || n != aboutValues {
		return &Problem{Code: CodeInvalidEvent, Message: "what is said about the event is not as another Inlet sends it", Field: "_inlet"}
	}
	return nil
}

// aboutValues is how many strings the list of forwardedMember has for each event.
const aboutValues = 4

func (in *Input) setAboutValue(e *Event, n int, value json.RawMessage) bool {
	empty := string(value) == `""`
	switch {
	case n == 0:
		e.Dialect = in.Text(value)
		return isDialectName(e.Dialect)
	case n == 1 && !empty:
		return setForwardedTime(&e.OriginalTimestamp, value)
	case n == 2 && !empty:
		return setForwardedTime(&e.SentAt, value)
	case n == 3:
		codes, plain := wire.Plain(value)
		for code := range bytes.FieldsSeq(codes) {
			e.Warnings |= warningOf(string(code))
		}
		return plain
	}
	return true
}

// maxDialectName is how long a dialect name that another Inlet sends may be.
const maxDialectName = 64

// isDialectName reports whether another Inlet may send a name, which need not be known here.
func isDialectName(name string) bool {
	return len(name) <= maxDialectName &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

func setForwardedTime(t *time.Time, value json.RawMessage) bool {
	if wire.Kind(value) != '"' {
		return false
	}
	text, plain := wire.Plain(value)
	err := t.UnmarshalText(text)
	*t = t.UTC()
	return plain && err == nil && t.Year() >= 1 && t.Year() <= 9999
}

// maxStored is how large an event may be with everything that is merged into it: as large as
// the largest batch route accepts from another Inlet, with room for what enrichers add there
// and here.
const maxStored = 4<<20 - 64<<10

// exceeds reports whether the canonical form of e is larger than limit. It also returns the
// length of its content, before strings are escaped.
func (e *Event) exceeds(limit int) (content int, exceeds bool) {
	raw, text := e.contentSize()
	if raw+maxEscaped*text <= limit {
		return raw + text, false
	}
	size := raw
	for _, s := range [...]string{e.Name, e.MessageID, e.UserID, e.AnonymousID, e.PreviousID, e.GroupID} {
		size += len(wire.AppendString(nil, s))
	}
	return raw + text, size > limit
}

// maxEscaped is how many bytes a byte of a text may take in JSON.
const maxEscaped = 6
