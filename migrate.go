package inlet

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/inlet-go/inlet/internal/body"
	"github.com/inlet-go/inlet/internal/commandersact"
	"github.com/inlet-go/inlet/internal/wire"
)

// A Migration converts payloads of an older version of an API to the current version before they
// reach the handler. [CommandersActV1] is the built-in one; [MigratePayload] puts one in
// front of a handler.
//
// Choice: Applies decides, by everything in a request except its body, whether the payload has to
// be examined. If it returns false, the body is not read.
//
// Result: Migrate appends the payload src in its new form to dst, and returns the extended slice.
// It appends src itself if there is nothing to change, and keeps in place what it cannot migrate,
// so that the handler refuses only that. It must be idempotent.
//
// Errors: an error is for a payload that cannot be migrated at all. An [*Error] is answered
// with its own code, any other error with 500. With an error, dst is returned as it was.
//
// Ownership: src is lent and read-only, dst is the callee's to append to; neither may be kept.
// They do not overlap.
//
// Memory: dst has room for twice src, for which the request is charged before. A longer result and
// the report are charged for only after they were made, so a migration of your own must bound them
// itself. The built-in one asks for each before it is made.
//
// Concurrency: both methods are called concurrently.
type Migration interface {
	// Applies reports whether the payload of r has to be examined.
	Applies(r *http.Request) bool
	// Migrate appends src in its new form to dst.
	Migrate(dst, src []byte, o MigrateOptions) ([]byte, MigrationReport, error)
}

// MigrateOptions are what a migration depends on in addition to its payload.
type MigrateOptions struct {
	// ReceivedAt is when the payload arrived. [CommandersActV1] replaces by it a time that is
	// missing or cannot be read, which then cannot be distinguished from one that a client sent.
	// Defaults to leaving both as they are: a handler then uses its own time of arrival.
	ReceivedAt time.Time
	// Strict rejects an event whose time cannot be read: it stays as it is, with a failure in the
	// report. Defaults to false: the event is migrated, with a warning.
	Strict bool
}

// CommandersActV1 returns the migration from version 1.0 of Commanders Act's HTTP tracking API to
// 2.0. It applies to POST requests whose path ends in /events or /events/batch, with any redundant
// slashes.
//
// Its Migrate is a pure function of the payload and the options, so it can be used on files
// and queues as well as on requests. The payload is a single event, or a batch of events of
// either version. A payload that is 2.0 already is appended byte for byte. The values of
// members are copied as they are, so numbers keep their text; members keep their order, and
// the context comes last. The report lists, by event and member, what was renamed,
// overridden and guessed. Where anything changes, text that is not UTF-8 and unpaired
// surrogates are replaced by U+FFFD.
//
// An event without an event_id gets none. An event that cannot be migrated stays as it is, with a
// note of the kind "failure". The error, an [*Error], is for a payload that is not JSON
// or larger than 1 GiB; dst is then returned as it was.
func CommandersActV1() Migration { return commandersActMigration{} }

type commandersActMigration struct{}

// Applies recognises the two endpoints by their path.
func (commandersActMigration) Applies(r *http.Request) bool {
	if r.Method != http.MethodPost {
		return false
	}
	path := normalPath(r.URL.Path)
	return strings.HasSuffix(path, "/events") || strings.HasSuffix(path, "/events/batch")
}

// Migrate migrates a payload that no layer has read.
func (commandersActMigration) Migrate(dst, src []byte, o MigrateOptions) ([]byte, MigrationReport, error) {
	if len(src) > body.MaxBytes {
		return dst, MigrationReport{}, tooLarge(body.MaxBytes)
	}
	m := commandersact.Get()
	defer m.Release()
	out, err := m.Migrate(dst, src, commandersact.Options{ReceivedAt: o.ReceivedAt, Strict: o.Strict})
	if err != nil {
		return dst, MigrationReport{}, documentError(err, wire.Limits{})
	}
	return out, migrationReport(m.Report()), nil
}

// A MigrationReport is what a migration did to a payload. It belongs to the caller.
type MigrationReport struct {
	// Events counts the events of the payload.
	Events int `json:"events"`
	// Migrated counts the events that were changed. Failed counts those that cannot be migrated
	// and are in the result as they came. The others needed no change.
	Migrated int `json:"migrated"`
	Failed   int `json:"failed"`
	// Notes list what was done and found, event by event.
	Notes []MigrationNote `json:"notes,omitempty"`
}

// A MigrationNote is one thing that a migration did to an event or found in it.
type MigrationNote struct {
	// Index is the position of the event in the payload, from 0.
	Index int `json:"index"`
	// Kind is what the note means for the event: "rename" (a member has another name now,
	// or was in an unusual place), "conflict" (two members had the same new place, and
	// Value is the one that was overridden), "warning" (something was guessed, made up or
	// is missing) or "failure" (the event cannot be migrated).
	Kind string `json:"kind"`
	// Code names what was done or found, such as "timestamp_zone". Those of [CommandersActV1]
	// are a closed set: the table in docs/MIGRATION.md. Each of its failures is also a [Code],
	// with which the handler refuses the event. Other migrations may have codes of their own,
	// which the handler names in the text of a [CodeInvalidEvent].
	Code string `json:"code"`
	// Field is the member in question as the payload names it, such as "properties.user.id", or
	// "". Where an object loses so many values that their names, with those of the objects around
	// them, are twice as long as the object, it is the object for the rest of them.
	Field string `json:"field,omitempty"`
	// To is where the value of the member is now, if that has another name or place.
	To string `json:"to,omitempty"`
	// Value is what the result no longer holds, or nil. It was sent by a client.
	Value json.RawMessage `json:"value,omitempty"`
}

// migrationReport returns the public form of a report of the built-in migration, which lends
// it. Nothing else knows both forms.
func migrationReport(r commandersact.Report) MigrationReport {
	report := MigrationReport{Events: r.Events, Migrated: r.Migrated, Failed: r.Failed}
	if len(r.Notes) == 0 {
		return report
	}
	report.Notes = make([]MigrationNote, len(r.Notes))
	for i, n := range r.Notes {
		report.Notes[i] = MigrationNote{
			Index: n.Index, Kind: string(n.Kind), Code: string(n.Code), Field: n.Field, To: n.To, Value: n.Value,
		}
	}
	return report
}

// LogValue returns the report for logs: counts, and nothing that clients sent.
func (r MigrationReport) LogValue() slog.Value {
	counts := map[string]int{}
	for _, n := range r.Notes {
		counts[n.Code]++
	}
	attrs := []slog.Attr{slog.Int("events", r.Events), slog.Int("migrated", r.Migrated), slog.Int("failed", r.Failed)}
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		attrs = append(attrs, slog.Int(code, counts[code]))
	}
	return slog.GroupValue(attrs...)
}

// MigratePayloadOptions configure [MigratePayload]. A nil pointer means all defaults.
type MigratePayloadOptions struct {
	// Strict does not migrate an event whose time cannot be read, so that the handler
	// refuses it. Defaults to false.
	Strict bool
	// Shadow has payloads migrated and reported, but passes them on as they came, to show
	// what would happen. Events of the older version are refused then, as without the layer:
	// set Options.Rejects of the handler to keep them, which otherwise warns of the first one.
	// It needs a Report. Defaults to false.
	Shadow bool
	// Report is called with the report of every payload that the migration applies to,
	// before it is passed on. It may be called concurrently, and may keep the report, which
	// may hold what clients sent; see [MigrationReport.LogValue] for logs. Defaults to
	// none, which saves making reports.
	Report func(context.Context, *http.Request, MigrationReport)
	// Protocol bounds the reading and the structure of bodies, as received. Defaults to that of
	// the layer or handler of this module right inside, or else to the zero [Protocol].
	Protocol *Protocol
}

// migrator is the step of [MigratePayload].
type migrator struct {
	migration Migration
	options   MigratePayloadOptions
	protocol  *protocol
	small     sync.Pool // of *pooledActs
	large     sync.Pool // the same, for large bodies
}

// pooledActs is the built-in migration with its memory, which requests share one after another.
type pooledActs struct {
	commandersact.Migrator
	large bool // it is kept for large bodies
}

// acts returns an empty migration for a body of that length.
func (g *migrator) acts(bytes int) *pooledActs {
	pool := &g.small
	if bytes > smallBody {
		pool = &g.large
	}
	if acts, ok := pool.Get().(*pooledActs); ok {
		return acts
	}
	return &pooledActs{large: bytes > smallBody}
}

// recycle gives the memory of a migration to the next request.
func (g *migrator) recycle(acts *pooledActs) {
	acts.Reset()
	switch made := acts.Memory(); {
	case made <= smallPooled && !acts.large:
		g.small.Put(acts)
	case made <= maxPooled:
		acts.large = true
		g.large.Put(acts)
	}
}

// applies reports whether the payload of a request has to be examined.
func (g *migrator) applies(r *http.Request) bool { return hasBody(r) && g.migration.Applies(r) }

// step returns the request to pass on, whose Body and ContentLength are those of the payload
// in its new form, and that payload. The given request is never changed. A payload that cannot be
// understood at all is passed on as it is, for the handler to refuse.
func (g *migrator) step(w http.ResponseWriter, given, r *http.Request, s *state) (*http.Request, *payload, error) {
	route, _ := s.match(g.protocol.routes, r) // a refusal has the form of the route, too
	read, p, err := readPayload(g.protocol.bodies, w, given, r, s, g.protocol.bodyLimit(route))
	if err != nil {
		return read, nil, err
	}
	changed, report, err := g.migrate(p, s.arrived)
	if err != nil {
		return read, p, err
	}
	if g.options.Report != nil {
		g.options.Report(read.Context(), read, report)
	}
	failures, err := g.failures(cmp.Or(changed, p.memory), &report)
	switch {
	case err != nil && changed != nil:
		changed.free()
		return read, p, err
	case err != nil:
		return read, p, err
	case changed == nil:
		s.trial.Store(g.options.Shadow && report.Migrated > 0)
		p.failures = failures
		return read, p, nil
	}
	replaced := s.replacePayload(p, changed)
	replaced.failures = failures
	next := withPayload(given, read, replaced)
	p.release()
	return next, replaced, nil
}

// failures returns why events could not be migrated, in the order of the events, for the handler,
// which refuses them. They are charged as a part of m.
func (g *migrator) failures(m *payloadMemory, r *MigrationReport) (failures []Reject, _ error) {
	if r.Failed == 0 || g.options.Shadow {
		return nil, nil
	}
	n, size := 0, 0
	for i := range r.Notes {
		if r.Notes[i].Kind == string(commandersact.KindFailure) {
			n, size = n+1, size+rejectSize+len(cannotMigrate)+len(r.Notes[i].Code)
		}
	}
	if err := m.Reserve(int64(size)); err != nil {
		return nil, accountError(err)
	}
	m.ownBytes += size
	failures = make([]Reject, 0, n)
	for _, n := range r.Notes {
		if n.Kind == string(commandersact.KindFailure) {
			failures = append(failures, Reject{Index: n.Index, Problem: n.problem()})
		}
	}
	slices.SortStableFunc(failures, func(a, b Reject) int { return cmp.Compare(a.Index, b.Index) })
	return failures, nil
}

// problem returns the public form of a failure.
func (n *MigrationNote) problem() Problem {
	if code := Code(n.Code); code.Status() == http.StatusBadRequest {
		return *problem(code, n.Field)
	}
	return Problem{Code: CodeInvalidEvent, Message: cannotMigrate + n.Code, Field: n.Field}
}

const cannotMigrate = "the event cannot be migrated: "

// migrate returns memory with the new form of a payload, or nil if it is to stay. The report is
// charged as a part of that memory, or of the payload's.
func (g *migrator) migrate(p *payload, arrived time.Time) (*payloadMemory, MigrationReport, error) {
	m := newPayloadMemory(p.memory.account)
	report, changed, err := g.into(m, p, MigrateOptions{ReceivedAt: arrived.UTC(), Strict: g.options.Strict})
	if refused := m.settle(); err == nil {
		err = refused
	}
	if err == nil && changed && !g.options.Shadow {
		return m, report, nil
	}
	if err == nil {
		m.giveReport(p.memory)
	}
	m.free()
	return nil, report, err
}

// addReport adds a report to what m has.
func (m *payloadMemory) addReport(r *MigrationReport) {
	for i := range r.Notes {
		n := &r.Notes[i]
		m.ownBytes += noteSize + len(n.Kind) + len(n.Code) + len(n.Field) + len(n.To) + len(n.Value)
	}
}

// noteSize is the size of a note in memory, in bytes.
const noteSize = int(unsafe.Sizeof(MigrationNote{}))

// giveReport has another memory of the same account have the report that m has.
func (m *payloadMemory) giveReport(to *payloadMemory) {
	to.ownBytes, to.reserved = to.ownBytes+m.ownBytes, to.reserved+int64(m.ownBytes)
	m.ownBytes, m.reserved = 0, m.reserved-int64(m.ownBytes)
}

// migratedGrowth is for how many times the bytes of a payload there is room for its new form
// before it is made. The built-in migration asks for what it makes beyond, others do not.
const migratedGrowth = 2

// into writes the new form of a payload to m. The built-in migration makes its index on the
// way.
func (g *migrator) into(m *payloadMemory, p *payload, o MigrateOptions) (report MigrationReport, changed bool, err error) {
	if err := m.prepare(len(p.bytes())); err != nil {
		return report, false, err
	}
	if err := m.grow(migratedGrowth * len(p.bytes())); err != nil {
		return report, false, err
	}
	defer func() {
		m.bytes = m.work.bytes
		m.addReport(&report)
	}()
	if _, builtin := g.migration.(commandersActMigration); builtin {
		return g.commandersAct(m, p, o)
	}
	out, report, err := g.migration.Migrate(m.work.bytes[:0], p.bytes(), o)
	m.work.bytes = out
	return report, err == nil && string(out) != string(p.bytes()), err
}

// commandersAct is into for the built-in migration. A payload that cannot be read is left to the
// handler, which refuses it.
func (g *migrator) commandersAct(m *payloadMemory, p *payload, o MigrateOptions) (report MigrationReport, changed bool, err error) {
	acts := g.acts(len(p.bytes()))
	if err = m.Reserve(acts.Memory()); err != nil { // what it has kept, until m is settled
		err = accountError(err)
	} else {
		report, changed, err = g.commandersActBy(&acts.Migrator, m, p, o)
	}
	g.recycle(acts) // not after a panic
	return report, changed, err
}

func (g *migrator) commandersActBy(acts *commandersact.Migrator, m *payloadMemory, p *payload, o MigrateOptions) (report MigrationReport, changed bool, err error) {
	if err := p.memory.prepare(len(p.bytes())); err != nil {
		return report, false, err
	}
	kept := acts.Memory()
	err = acts.Load(&p.memory.work.document, p.bytes(), g.protocol.index)
	if grown := acts.Memory() - kept; grown > 0 { // which the document has reserved in the same account
		p.memory.reserved -= grown
		m.reserved += grown
	}
	p.memory.correct()
	if refused := accountError(err); refused != nil {
		return report, false, refused
	}
	if err != nil {
		return report, false, nil
	}
	m.work.bytes, changed, err = acts.Migrate(m.work.bytes[:0], &m.work.document, commandersact.Options{
		Strict: o.Strict, CountOnly: g.options.Report == nil, Meter: m, // and no time of ours
	})
	if err == nil {
		err = m.Reserve(int64(len(acts.Report().Notes) * noteSize))
	}
	m.plainRoot, m.plainItems = acts.PlainContexts()
	if err != nil {
		return report, false, accountError(err)
	}
	return migrationReport(acts.Report()), changed, nil
}
