package inlet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// MigratorOptions say how a [Migrator] works. Nil is all defaults.
type MigratorOptions struct {
	// Strict does not migrate an event whose time cannot be read, so that the
	// handler refuses it. Defaults to false.
	Strict bool
	// Shadow has payloads migrated and reported, but passes them on as they
	// came: to see what would happen. It needs a Report. Defaults to false.
	Shadow bool
	// Report is told about every payload that was looked at, before it is passed
	// on. It may be called concurrently, and may keep the report, which can hold
	// what clients sent; see [MigrationReport.LogValue] for logs. Defaults to
	// none, which saves making reports.
	Report func(context.Context, *http.Request, MigrationReport)
	// Payload bounds the reading of bodies, where no other layer has read them.
	// Defaults to those of [PayloadOptions].
	Payload *PayloadOptions
	// Limits bound the structure of bodies, as received. Where they are the
	// handler's a body is read once. Defaults to those of [Limits].
	Limits Limits
}

// A Migrator puts a [Migration] in front of a handler: it replaces the payload of a
// request by its new form. It may be used concurrently.
type Migrator struct {
	migration Migration
	options   MigratorOptions
	payloads  *PayloadReader
	limits    wire.Limits
	memory    sync.Pool // of *actsMigration
}

// NewMigrator returns a migrator. The error names the field of the options that is
// out of range.
func NewMigrator(m Migration, o *MigratorOptions) (*Migrator, error) {
	if m == nil {
		return nil, errors.New("inlet: NewMigrator: the migration is nil")
	}
	var filled MigratorOptions
	if o != nil {
		filled = *o
	}
	if filled.Shadow && filled.Report == nil {
		return nil, errors.New("inlet: MigratorOptions: Shadow needs a Report")
	}
	limits, err := filled.Limits.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("inlet: MigratorOptions: %w", err)
	}
	payloads, err := NewPayloadReader(filled.Payload)
	if err != nil {
		return nil, err
	}
	return &Migrator{migration: m, options: filled, payloads: payloads, limits: limits.wire()}, nil
}

// Migrate returns the request to pass on, whose Body and ContentLength are those
// of the payload in its new form, and that payload, or nil if the migration does
// not apply to r. The caller must Release it when the next handler has returned. r
// itself is never changed. The limits of the handler are about what was received.
//
// A payload that cannot be understood at all is passed on as it is, for the handler
// to refuse. The error is to be answered by [WriteError], and the request is then
// not to be passed on.
func (g *Migrator) Migrate(w http.ResponseWriter, r *http.Request) (*http.Request, *Payload, error) {
	if r.Body == nil || r.Body == http.NoBody || !g.migration.Applies(r) {
		return r, nil, nil
	}
	now := time.Now()
	read, p, err := g.payloads.Read(w, r)
	if err != nil {
		return r, nil, err
	}
	changed, report, err := g.migrate(p, now)
	if err != nil {
		p.Release()
		return r, nil, err
	}
	if g.options.Report != nil {
		g.options.Report(read.Context(), read, report)
	}
	if changed == nil {
		return read, p, nil
	}
	next, replaced := replacePayload(r, read, p, changed)
	p.Release()
	return next, replaced, nil
}

// migrate returns memory with the new form of a payload, or nil if it is to stay.
func (g *Migrator) migrate(p *Payload, now time.Time) (*payloadMemory, MigrationReport, error) {
	m := payloadPool.Get().(*payloadMemory)
	report, changed, err := g.into(m, p, MigrateOptions{ReceivedAt: now.UTC(), Strict: g.options.Strict})
	if err == nil && changed && !g.options.Shadow {
		return m, report, nil
	}
	if cap(m.bytes) <= keptMemory {
		m.document.Reset()
		payloadPool.Put(m)
	}
	return nil, report, err
}

// into writes the new form of a payload to m. The built-in migration makes its
// document on the way.
func (g *Migrator) into(m *payloadMemory, p *Payload, o MigrateOptions) (report MigrationReport, changed bool, err error) {
	if _, builtin := g.migration.(commandersActMigration); builtin {
		report, changed = g.commandersAct(m, p, o)
		return report, changed, nil
	}
	m.document.Reset()
	m.bytes, report, err = g.migration.Migrate(m.bytes[:0], p.Bytes(), o)
	return report, err == nil && string(m.bytes) != string(p.Bytes()), err
}

func (g *Migrator) commandersAct(m *payloadMemory, p *Payload, o MigrateOptions) (report MigrationReport, changed bool) {
	acts, _ := g.memory.Get().(*actsMigration)
	if acts == nil {
		acts = new(actsMigration)
	}
	if from := acts.readPayload(p, g.limits); from != nil {
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
func (m *actsMigration) readPayload(p *Payload, limits wire.Limits) *wire.Document {
	d := &p.memory.document
	if d.Limits() != (wire.Limits{}) {
		m.outline.Use(d)
		return d
	}
	m.outline.Watch = actsWatch
	if m.outline.Read(d, p.Bytes(), batchMember, limits) != nil {
		return nil
	}
	return d
}

// replacePayload returns the request with m in place of p. The request that was
// read is changed if it is not the caller's own.
func replacePayload(r, read *http.Request, p *Payload, m *payloadMemory) (*http.Request, *Payload) {
	next, replaced := read, stateOf(read.Context()).replace(p, m)
	if next == r {
		next = r.WithContext(r.Context())
	}
	next.Body, next.ContentLength, next.TransferEncoding = &replaced.body, int64(len(m.bytes)), nil
	return next, replaced
}
