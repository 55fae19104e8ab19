package commandersact

import (
	"bytes"
	"unsafe"

	"github.com/inlet-go/inlet/internal/wire"
)

// A Report is what a migration did to a payload.
type Report struct {
	// Events counts the events of the payload, Migrated those that were changed, and
	// Failed those that cannot be migrated and are in the result as they came.
	Events, Migrated, Failed int
	Notes                    []Note
}

// A Note is one thing that a migration did to an event or found in it.
type Note struct {
	Index int // of the event in the payload, from 0
	Kind  Kind
	Code  Code
	// Field is the member in question, named as in the payload, or "". To is where its
	// value is in the result, if that is another place.
	Field, To string
	// Value is what the result no longer holds, or nil.
	Value []byte
}

// NoteBytes is how much memory a note takes, without what it points to.
const NoteBytes = int64(unsafe.Sizeof(Note{}))

// A Kind is what a note means for the event.
type Kind string

// The kinds of notes.
const (
	KindRename   Kind = "rename"
	KindConflict Kind = "conflict"
	KindWarning  Kind = "warning"
	KindFailure  Kind = "failure"
)

// A Code names something that a migration did or found. docs/MIGRATION.md has the table, which
// is generated from the comments here.
type Code string

// The codes of renames and conflicts.
const (
	// CodeRenamed means that the value of Field is in To now. The sender should use the name
	// and place of 2.0.
	CodeRenamed Code = "renamed"
	// CodeConflicting means that the event had two values for one place of 2.0, or a value
	// that has no place there. That of Field gave way: it is in the note, and no longer in the
	// result. The sender should send one value, in the place that 2.0 has for it.
	CodeConflicting Code = "conflict"
)

// The codes of warnings.
const (
	// CodeUnknownRoot means that the root has a member that the documentation of 1.0 does not
	// mention. It was moved into the context. The sender should put data of the event into
	// properties, or into the root of an event of 2.0.
	CodeUnknownRoot Code = "unknown_root"
	// CodeMissingID means that the event has no id. The handler generates one, so that an
	// event that is sent again is stored again. The sender should set event_id, to the same value
	// when it retries.
	CodeMissingID Code = "missing_id"
	// CodeIDNotString means that the id was a number. It is a string of the same digits now.
	// The sender should send a string.
	CodeIDNotString Code = "id_not_string"
	// CodeMissingRequired means that the event does not have Field, which 2.0 requires. No
	// value is made up. The sender should add the user, with its consistent_anonymous_id.
	CodeMissingRequired Code = "missing_required"
	// CodeLocationKept means that the page has both a location, as in 1.0, and a different
	// url, as in 2.0. Both stay as they are. The sender should send url alone.
	CodeLocationKept Code = "location_kept"
	// CodeEmptyList means that an empty list was sent for an object, as PHP writes an empty map.
	// It is an empty object now. The sender should send an object.
	CodeEmptyList Code = "empty_list"
	// CodeTextRepaired means that the event had text that is not UTF-8, or an unpaired
	// surrogate, which U+FFFD has replaced. The sender should encode payloads in UTF-8 and not cut
	// text inside a character.
	CodeTextRepaired Code = "text_repaired"
	// CodeTimestampSeconds means that the time was a number too small for milliseconds, and
	// was read as seconds. The sender should send milliseconds.
	CodeTimestampSeconds Code = "timestamp_s"
	// CodeTimestampZone means that the time had no zone, and was read as UTC. The sender
	// should add the zone, or send milliseconds since 1970.
	CodeTimestampZone Code = "timestamp_zone"
	// CodeTimestampCreated means that the event had no time, or none that can be read, and
	// properties.created was used. The sender should set event_timestamp.
	CodeTimestampCreated Code = "timestamp_from_created"
	// CodeTimestampMissing means that the event had no time. The handler uses the time of
	// arrival, or the migration if it was given that. The sender should set event_timestamp.
	CodeTimestampMissing Code = "timestamp_missing"
	// CodeTimestampInvalid means that the time cannot be read, and stays as it is; the handler
	// uses properties.created or the time of arrival. If the migration was given that, it has
	// replaced what was sent, which is in the note. In strict mode this is a failure. The sender
	// should send milliseconds since 1970, or ISO 8601.
	CodeTimestampInvalid Code = "timestamp_invalid"
)

// The codes of failures.
const (
	// CodePropertiesNotObject means that the properties of an event of 1.0 are not an object.
	// The sender should send an object, or leave them out.
	CodePropertiesNotObject Code = "properties_not_object"
	// CodeContextNotObject means that the root of an event of 2.0 has metadata, which cannot
	// be moved into the context, as that is not an object. The sender should send an object.
	CodeContextNotObject Code = "context_not_object"
	// CodeEventNameRequired means that the event has no name: neither event_name nor event is
	// a string with text. The sender should set event_name.
	CodeEventNameRequired Code = "event_name_required"
	// CodeWrongDialect means that the event has the form of Segment's API: a type and a
	// userId or anonymousId, but no event_name. The sender should use the endpoints of that API.
	CodeWrongDialect Code = "wrong_dialect"
)

// The codes of failures that are faults of an event's structure.
const (
	// CodeNotObject means that the payload or an event in it is not an object. The sender
	// should send an object for each event.
	CodeNotObject Code = "not_object"
	// CodeDuplicateName means that an object of the event has two members of one name. The
	// sender should send each name once.
	CodeDuplicateName Code = "duplicate_name"
	// CodeTooDeep means that the event is nested too deeply. The sender should
	// send flatter properties.
	CodeTooDeep Code = "too_deep"
	// CodeTooManyMembers means that the event has too many members. The sender should
	// send fewer properties.
	CodeTooManyMembers Code = "too_many_members"
	// CodeEventTooLarge means that the event is too large. The sender should send
	// fewer or shorter properties.
	CodeEventTooLarge Code = "event_too_large"
)

// codeOf returns the code of a fault, or "" for none.
func codeOf(f wire.Fault) Code {
	switch f.Kind {
	case wire.NotObject:
		return CodeNotObject
	case wire.Duplicate:
		return CodeDuplicateName
	case wire.TooDeep:
		return CodeTooDeep
	case wire.TooManyMembers:
		return CodeTooManyMembers
	case wire.TooLarge:
		return CodeEventTooLarge
	}
	return ""
}

// A reporter makes the report of a payload.
type reporter struct {
	report    Report
	index     int // of the event in progress
	countOnly bool
	meter     wire.Meter // is asked before memory is made, unless it is nil
	refused   error      // by the meter: the payload is not migrated
}

// reserve asks for bytes that are about to be made.
func (r *reporter) reserve(bytes int) bool {
	if r.refused == nil && r.meter != nil && bytes > 0 {
		r.refused = r.meter.Reserve(int64(bytes))
	}
	return r.refused == nil
}

// reset drops the report, and keeps the memory of its notes.
func (r *reporter) reset() {
	notes := r.report.Notes
	clear(notes)
	*r = reporter{report: Report{Notes: notes[:0]}}
}

// record adds a note about the event in progress. The lost value is copied. Failures are noted
// in any case: clients receive them.
func (r *reporter) record(kind Kind, code Code, field, to string, lost []byte) {
	if r.countOnly && kind != KindFailure {
		return
	}
	if !r.reserve(len(field)+len(to)+len(lost)) || !r.growNotes() {
		return
	}
	note := Note{Index: r.index, Kind: kind, Code: code, Field: field, To: to, Value: bytes.Clone(lost)}
	r.report.Notes = append(r.report.Notes, note)
}

// minNotes is for how many notes there is room at first.
const minNotes = 8

// growNotes makes room for another note.
func (r *reporter) growNotes() bool {
	notes := r.report.Notes
	if len(notes) < cap(notes) {
		return true
	}
	n := max(minNotes, 2*cap(notes))
	if !r.reserve(n * int(NoteBytes)) {
		return false
	}
	r.report.Notes = append(make([]Note, 0, n), notes...)
	return true
}

func (r *reporter) warn(code Code, field string) {
	r.record(KindWarning, code, field, "", nil)
}

func (r *reporter) recordRename(field, to string) {
	r.record(KindRename, CodeRenamed, field, to, nil)
}

// recordConflict records that a value gave way to another one, unless both are equal.
func (r *reporter) recordConflict(field string, lost, kept []byte) {
	if !bytes.Equal(lost, kept) {
		r.record(KindConflict, CodeConflicting, field, "", lost)
	}
}

// reject records that the event cannot be migrated, and returns false: it does not
// change.
func (r *reporter) reject(code Code, field string) (change bool) {
	r.report.Failed++
	r.record(KindFailure, code, field, "", nil)
	return false
}
