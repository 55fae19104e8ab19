package inlet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/inlet-go/inlet/internal/body"

	"github.com/inlet-go/inlet/internal/wire"
)

// A Migration brings payloads of an older version of an API into the form of
// today's, on their way to the handler. [CommandersActV1] is the built-in one;
// [MigratePayload] puts one in front of a handler.
//
// Choice: Applies says, from all of a request but its body, whether its payload
// is to be looked at. Where it is false the body is not even read.
//
// Result: Migrate appends the payload src in its new form to dst, and returns the
// extended slice. It appends src itself if there is nothing to change, and leaves
// in its place what it cannot change, so that the handler refuses just that. It
// must be idempotent: what it made once it leaves alone.
//
// Errors: an error is for a payload of which nothing can be made at all. An
// [*Error] is answered as it says, any other with 500. On an error dst is returned
// as it was.
//
// Ownership: src is lent and read-only, dst the callee's to append to; neither may
// be kept. They do not overlap.
//
// Concurrency: both are called concurrently.
type Migration interface {
	Applies(r *http.Request) bool
	Migrate(dst, src []byte, o MigrateOptions) ([]byte, MigrationReport, error)
}

// MigrateOptions are what a migration depends on beside its payload.
type MigrateOptions struct {
	// ReceivedAt is when the payload arrived. It stands in for a time that is
	// missing or cannot be read. Defaults to leaving such a time out.
	ReceivedAt time.Time
	// Strict does not migrate an event whose time cannot be read. Defaults to
	// false: ReceivedAt stands in, with a warning.
	Strict bool
}

// MigrateCommandersActV1 appends a payload of Commanders Act's HTTP tracking API in
// its version 2.0 to dst: a single event, or a batch of events of either version.
// What is 2.0 already is appended unchanged, to the byte.
//
// It is a pure function. The values of members are copied as they stand, so
// numbers keep their text; members keep their order, and the context comes last.
// The report says, by event and member, what was renamed, what gave way and what
// was guessed. Broken text (invalid UTF-8, half of a surrogate pair) is replaced
// by U+FFFD where anything is changed at all.
//
// An event without an event_id gets none. An event that cannot be migrated stays
// as it is, with a note of the kind [MigrationFailure]. The error, an [*Error], is
// for a payload that is not JSON, or larger than 1 GiB; dst is then returned as it
// was.
func MigrateCommandersActV1(dst, src []byte, o MigrateOptions) ([]byte, MigrationReport, error) {
	if len(src) > body.MaxBytes {
		return dst, MigrationReport{}, tooLarge(body.MaxBytes)
	}
	m := actsMigrations.Get().(*pooledActsMigration)
	defer m.release(len(src))
	m.outline.Watch = actsWatch
	if err := m.outline.Read(&m.from, src, batchMember, wire.Limits{}); err != nil {
		return unreadable(dst, src, err)
	}
	m.options = o
	if out, changed := m.migrate(dst, &m.from, &m.into); changed {
		return out, m.report, nil
	}
	return append(dst, src...), m.report, nil
}

// unreadable is the result for a payload whose members cannot be told: it stays as
// it is if it is JSON at all.
func unreadable(dst, src []byte, err error) ([]byte, MigrationReport, error) {
	note := MigrationNote{Kind: MigrationFailure, Code: MigrationNotObject}
	fault, ok := errors.AsType[*wire.FaultError](err)
	switch {
	case ok:
		p := problemOf(fault.Fault)
		note.Code, note.Field = MigrationCode(p.Code), p.Field
	case !errors.Is(err, wire.ErrNotObject):
		return dst, MigrationReport{}, documentError(err, wire.Limits{})
	}
	return append(dst, src...), MigrationReport{Events: 1, Failed: 1, Notes: []MigrationNote{note}}, nil
}

// pooledActsMigration is a migration with documents of its own, for payloads that
// nobody has read.
type pooledActsMigration struct {
	actsMigration
	from, into wire.Document
}

var actsMigrations = sync.Pool{New: func() any { return new(pooledActsMigration) }}

// release lets go of the payload and gives the memory to the next one, unless a
// rare large one needed much of it.
func (m *pooledActsMigration) release(size int) {
	m.from.Reset()
	m.into.Reset()
	m.actsMigration.reset()
	if size <= maxPooled {
		actsMigrations.Put(m)
	}
}

func (m *actsMigration) reset() {
	m.outline.Reset()
	m.object, m.name, m.created = wire.Object{}, nil, nil
	if m.inner.object != nil || m.outer.object != nil {
		m.inner, m.outer = metadata{}, metadata{}
	}
	m.reporter, m.options = reporter{}, MigrateOptions{}
	if cap(m.scratch) > maxPooled {
		m.scratch = nil
	}
}

// migrate appends the payload of a document in its new form and makes the
// document of that, or reports that there is nothing to change.
func (m *actsMigration) migrate(dst []byte, from, into *wire.Document) (_ []byte, changed bool) {
	items, listed := from.Items()
	if listed && isEnvelope(from.Root()) {
		return m.migrateBatch(dst, from, into, items)
	}
	only := from.AsItem()
	if !m.take(&only) {
		return dst, false
	}
	m.out.Begin(dst, from, into)
	m.write()
	return m.out.End(), true
}

// isEnvelope reports whether a root that lists items is no event itself.
func isEnvelope(root wire.Object) bool {
	for i := range root.Len() {
		switch rootKindOf(root.Name(i)) {
		case rootEventName, rootEvent, rootProperties:
			return false
		}
	}
	return true
}

// migrateBatch copies the payload from the first event that is changed on.
func (m *actsMigration) migrateBatch(dst []byte, from, into *wire.Document, items []wire.Item) (_ []byte, changed bool) {
	for i := range items {
		m.index = i
		change := m.take(&items[i])
		if change && !changed {
			changed = true
			m.out.BeginList(dst, from, into)
			for range i {
				m.out.Keep()
			}
		}
		if change {
			m.write()
		} else if changed {
			m.out.Keep()
		}
	}
	if !changed {
		return dst, false
	}
	return m.out.End(), true
}

// CommandersActV1 returns the migration from version 1.0 of Commanders Act's API
// to 2.0, [MigrateCommandersActV1], for POST requests whose path ends in /events
// or /events/batch, with any slashes in excess.
func CommandersActV1() Migration { return commandersActMigration{} }

type commandersActMigration struct{}

// Applies tells the two endpoints by their path.
func (commandersActMigration) Applies(r *http.Request) bool {
	if r.Method != http.MethodPost {
		return false
	}
	path := normalPath(r.URL.Path)
	return strings.HasSuffix(path, "/events") || strings.HasSuffix(path, "/events/batch")
}

// Migrate is [MigrateCommandersActV1].
func (commandersActMigration) Migrate(dst, src []byte, o MigrateOptions) ([]byte, MigrationReport, error) {
	return MigrateCommandersActV1(dst, src, o)
}

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

// MigratePayloadOptions configure [MigratePayload]. A nil pointer means all defaults.
type MigratePayloadOptions struct {
	// Strict does not migrate an event whose time cannot be read, so that the handler
	// refuses it. Defaults to false.
	Strict bool
	// Shadow has payloads migrated and reported, but passes them on as they came, to show
	// what would happen. It needs a Report. Defaults to false.
	Shadow bool
	// Report is called with the report of every payload that the migration applies to,
	// before it is passed on. It may be called concurrently, and may keep the report, which
	// can hold what clients sent; see [MigrationReport.LogValue] for logs. Defaults to
	// none, which saves making reports.
	Report func(context.Context, *http.Request, MigrationReport)
	// Protocol bounds the reading and the structure of bodies, as received. Defaults to that
	// of [Protocol].
	Protocol *Protocol
}

// migrator is the step of [MigratePayload].
type migrator struct {
	migration Migration
	options   MigratePayloadOptions
	protocol  *protocol
	memory    sync.Pool // of *actsMigration
}

// step returns the request to pass on, whose Body and ContentLength are those of the payload
// in its new form, and that payload. The given request is never changed. A payload that cannot be
// understood at all is passed on as it is, for the handler to refuse.
func (g *migrator) step(w http.ResponseWriter, given *http.Request) (*http.Request, *payload, error) {
	if given.Body == nil || given.Body == http.NoBody || !g.migration.Applies(given) {
		return given, nil, nil
	}
	now := time.Now()
	r, s := withState(given)
	_, _ = s.match(g.protocol.routes, r) // so that a refusal has the form of the route
	read, p, err := readPayload(g.protocol.bodies, w, given, r, s, g.protocol.maxBytes)
	if err != nil {
		return read, nil, err
	}
	changed, report, err := g.migrate(p, now)
	if err != nil {
		return read, p, err
	}
	if g.options.Report != nil {
		g.options.Report(read.Context(), read, report)
	}
	if changed == nil {
		return read, p, nil
	}
	replaced := s.replacePayload(p, changed)
	next := withPayload(given, read, replaced)
	p.release()
	return next, replaced, nil
}

// migrate returns memory with the new form of a payload, or nil if it is to stay.
func (g *migrator) migrate(p *payload, now time.Time) (*payloadMemory, MigrationReport, error) {
	m := payloadPool.Get().(*payloadMemory)
	report, changed, err := g.into(m, p, MigrateOptions{ReceivedAt: now.UTC(), Strict: g.options.Strict})
	if err == nil && changed && !g.options.Shadow {
		return m, report, nil
	}
	if cap(m.bytes) <= maxPooled {
		m.document.Reset()
		payloadPool.Put(m)
	}
	return nil, report, err
}

// into writes the new form of a payload to m. The built-in migration makes its index on the
// way.
func (g *migrator) into(m *payloadMemory, p *payload, o MigrateOptions) (report MigrationReport, changed bool, err error) {
	if _, builtin := g.migration.(commandersActMigration); builtin {
		report, changed = g.commandersAct(m, p, o)
		return report, changed, nil
	}
	m.document.Reset()
	m.bytes, report, err = g.migration.Migrate(m.bytes[:0], p.bytes(), o)
	return report, err == nil && string(m.bytes) != string(p.bytes()), err
}

func (g *migrator) commandersAct(m *payloadMemory, p *payload, o MigrateOptions) (report MigrationReport, changed bool) {
	acts, _ := g.memory.Get().(*actsMigration)
	if acts == nil {
		acts = new(actsMigration)
	}
	if from := acts.readPayload(p, g.protocol.index); from != nil {
		acts.options, acts.counts = o, g.options.Report == nil
		m.bytes, changed = acts.migrate(m.bytes[:0], from, &m.document)
		report = acts.report
	}
	acts.reset()
	g.memory.Put(acts)
	return report, changed
}

// readPayload returns the document of a payload, which another layer may have read
// already, or nil if it cannot be read.
func (m *actsMigration) readPayload(p *payload, limits wire.Limits) *wire.Document {
	d := &p.memory.document
	if d.Limits() != (wire.Limits{}) {
		m.outline.Use(d)
		return d
	}
	m.outline.Watch = actsWatch
	if m.outline.Read(d, p.bytes(), batchMember, limits) != nil {
		return nil
	}
	return d
}
