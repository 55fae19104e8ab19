package inlet

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// A Migration brings payloads of an older version of an API into the form of
// today's, on their way to the handler. [CommandersActV1] is the built-in one;
// [NewMigrator] and package middleware put one in front of a handler.
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
	if len(src) > maxPayload {
		return dst, MigrationReport{}, tooLarge(maxPayload)
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
	if size <= keptMemory {
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
	if cap(m.scratch) > keptMemory {
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
