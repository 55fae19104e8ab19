package inlet

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
)

// A MigrationReport is what a migration did to a payload. It belongs to whoever
// got it.
type MigrationReport struct {
	// Events counts the events of the payload.
	Events int `json:"events"`
	// Migrated counts those that were changed, Failed those that cannot be
	// migrated and stand in the result as they came. The others were fine.
	Migrated int `json:"migrated"`
	Failed   int `json:"failed"`
	// Notes say what was done and found, event by event.
	Notes []MigrationNote `json:"notes,omitempty"`
}

// A MigrationNote is one thing that a migration did to an event or found in it.
type MigrationNote struct {
	// Index is the event's place in the payload, from 0.
	Index int           `json:"index"`
	Kind  MigrationKind `json:"kind"`
	Code  MigrationCode `json:"code"`
	// Field is the member in question, as the payload had it, such as
	// "properties.user.id", or "".
	Field string `json:"field,omitempty"`
	// To is where the member stands now, if it has another name.
	To string `json:"to,omitempty"`
	// Value is what the result no longer says, or nil. It is a client's.
	Value json.RawMessage `json:"value,omitempty"`
}

// A MigrationKind says what a note means for the event.
type MigrationKind string

// The kinds of notes.
const (
	// MigrationRename: a member has another name now, or an unusual place.
	MigrationRename MigrationKind = "rename"
	// MigrationConflict: two members claimed one place, and the note holds the
	// value that had to give way.
	MigrationConflict MigrationKind = "conflict"
	// MigrationWarning: something was guessed, made up or is missing.
	MigrationWarning MigrationKind = "warning"
	// MigrationFailure: the event cannot be migrated.
	MigrationFailure MigrationKind = "failure"
)

// A MigrationCode names something that a migration did or found. The set is
// closed for [MigrateCommandersActV1]; other migrations may have codes of their
// own.
type MigrationCode string

// Codes of renames and conflicts.
const (
	// MigrationRenamed: Field is now To.
	MigrationRenamed MigrationCode = "renamed"
	// MigrationConflicting: Field gave way to what stands in its place.
	MigrationConflicting MigrationCode = "conflict"
)

// Codes of warnings.
const (
	// MigrationUnknownRoot: a root member that no document names was moved into
	// the context.
	MigrationUnknownRoot MigrationCode = "unknown_root"
	// MigrationMissingID: the event has no id. It gets one when it is stored.
	MigrationMissingID MigrationCode = "missing_id"
	// MigrationIDNotString: the id was a number, and is now a string of its
	// digits.
	MigrationIDNotString MigrationCode = "id_not_string"
	// MigrationMissingRequired: 2.0 requires a member that nobody can make up.
	MigrationMissingRequired MigrationCode = "missing_required"
	// MigrationLocationKept: page.location stays, as page.url says otherwise.
	MigrationLocationKept MigrationCode = "location_kept"
	// MigrationTextRepaired: broken text was replaced by U+FFFD.
	MigrationTextRepaired MigrationCode = "text_repaired"

	// MigrationTimestampSeconds: a number too small for milliseconds was read as
	// seconds.
	MigrationTimestampSeconds MigrationCode = "timestamp_s"
	// MigrationTimestampZone: a time without a zone was read as UTC.
	MigrationTimestampZone MigrationCode = "timestamp_zone"
	// MigrationTimestampCreated: there was no time, properties.created stands in
	// for it.
	MigrationTimestampCreated MigrationCode = "timestamp_from_created"
	// MigrationTimestampMissing: there was no time, that of the arrival stands in
	// for it.
	MigrationTimestampMissing MigrationCode = "timestamp_missing"
	// MigrationTimestampInvalid: the time cannot be read, that of the arrival
	// stands in for it. In strict mode, a failure.
	MigrationTimestampInvalid MigrationCode = "timestamp_invalid"
)

// Codes of failures, beside those of a payload's structure: [CodeDuplicateName],
// [CodeTooDeep], [CodeTooManyMembers] and [CodeEventTooLarge].
const (
	MigrationNotObject           MigrationCode = "not_object"
	MigrationPropertiesNotObject MigrationCode = "properties_not_object"
	MigrationContextNotObject    MigrationCode = "context_not_object"
	// MigrationEventNameRequired: neither event_name nor event is a text.
	MigrationEventNameRequired MigrationCode = "event_name_required"
	// MigrationWrongDialect: the event has Segment's form.
	MigrationWrongDialect MigrationCode = "wrong_dialect"
)

// LogValue is the report for logs: counts, and nothing of what clients sent.
func (r MigrationReport) LogValue() slog.Value {
	counts := map[MigrationCode]int{}
	for _, n := range r.Notes {
		counts[n.Code]++
	}
	attrs := []slog.Attr{slog.Int("events", r.Events), slog.Int("migrated", r.Migrated), slog.Int("failed", r.Failed)}
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		attrs = append(attrs, slog.Int(string(code), counts[code]))
	}
	return slog.GroupValue(attrs...)
}

// A reporter makes the report of a payload, or only counts if nobody asked for
// more.
type reporter struct {
	report MigrationReport
	index  int
	counts bool
}

func (r *reporter) note(kind MigrationKind, code MigrationCode, field, to string, lost []byte) {
	if r.counts {
		return
	}
	note := MigrationNote{Index: r.index, Kind: kind, Code: code, Field: field, To: to, Value: bytes.Clone(lost)}
	r.report.Notes = append(r.report.Notes, note)
}

func (r *reporter) warn(code MigrationCode, field string) {
	r.note(MigrationWarning, code, field, "", nil)
}

func (r *reporter) renamed(field, to string) {
	r.note(MigrationRename, MigrationRenamed, field, to, nil)
}

// conflict notes that a value had to give way to another one, unless that says
// the same.
func (r *reporter) conflict(field string, lost, kept []byte) {
	if !bytes.Equal(lost, kept) {
		r.note(MigrationConflict, MigrationConflicting, field, "", lost)
	}
}

// fail notes that the event cannot be migrated, and reports that it is not to be
// changed.
func (r *reporter) fail(code MigrationCode, field string) (change bool) {
	r.report.Failed++
	r.note(MigrationFailure, code, field, "", nil)
	return false
}
