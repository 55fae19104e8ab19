// Package commandersact migrates events of Commanders Act's HTTP tracking API from version
// 1.0 to 2.0, and determines which version an event was written for. It knows JSON and
// times, but nothing of the handler: its options, codes and report are its own.
//
// # The two versions
//
// An event of 1.0 has its data in "properties" and its metadata (id, time, page,
// device) in its root. An event of 2.0 has its data in its root and its metadata in
// "context". Over the years 1.0 had several spellings for most names, so that one value
// may be in several places. No URL tells the versions apart; see [Classify].
//
// # How the engine works
//
// A payload is processed in three passes, none of which builds a tree of values:
//
//  1. [Migrator.Load] reads the payload once. The outline (wire.Outline) keeps where the
//     members of each event are and where those of the objects inside of it are, and
//     notices which objects hold one of the few names that need care (watched). A
//     document that another layer has read is used as it is.
//  2. accept (event.go) indexes the members of one event's root by kind, classifies the
//     event and finds everything that prevents its migration. Nothing is written yet, so
//     a rejected event stays in the result byte for byte.
//  3. write (event.go) composes the event anew: name, properties (properties.go), data of
//     the root, and last the context (context.go, device.go). Events of 2.0 with
//     misplaced metadata are written by partial.go.
//
// The composer (wire.Composer) appends the new payload to the caller's buffer and keeps,
// while it writes, where the members are. The document of the result is thus complete
// without reading the result again. Consecutive members that do not change are copied in
// one piece, with the white space between them. Of a batch nothing is copied before the
// first event that changes; the other events are taken over as they are.
//
// # What is kept, and why nothing is allocated
//
// Of the event in progress the [Migrator] keeps slices of the payload, never copies: the
// object, the kind of each member of its root, the position of each kind, its name, and
// the contexts that it had already. All of that memory, the outline's and the document's
// is reused for the next event and the next payload. Times are parsed from and appended
// to the payload's bytes. Memory is allocated only for the values in the notes of a
// report ([Options.CountOnly] leaves notes out), for text with escapes that has to be
// compared, and for events that have a context in addition to metadata in the root,
// which are merged.
package commandersact

import (
	"cmp"
	"errors"
	"sync"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// Options are what a migration depends on in addition to its payload.
type Options struct {
	// ReceivedAt replaces a time that is missing or cannot be read. The zero time leaves both
	// as they are.
	ReceivedAt time.Time
	// Strict rejects an event whose time cannot be read.
	Strict bool
	// Meter is asked before memory is made, except for the two documents, which have meters of
	// their own. If it is nil, as much is made as is needed.
	Meter wire.Meter
	// CountOnly leaves the notes out of the report, except those of failures.
	CountOnly bool
}

// batchMember is the quoted name of the root member that lists the events of a batch.
const batchMember = `"batch"`

// maxKeptBytes is how much memory one payload may leave to the next one. What a rare
// large payload needed goes back to the garbage collector.
const maxKeptBytes = 1 << 20

// A Standalone migrates payloads that no layer has read: a [Migrator] with documents of its
// own. [Get] returns one. It must not be used concurrently.
type Standalone struct {
	migrator   Migrator
	from, into wire.Document
	size       int // of the last payload
}

var pool = sync.Pool{New: func() any { return new(Standalone) }}

// Get returns a migrator for one payload: Migrate, Report, Release. It may be called
// concurrently.
func Get() *Standalone { return pool.Get().(*Standalone) }

// Release drops the payload and the report, and keeps the memory for the next payload,
// unless this one was large.
func (s *Standalone) Release() {
	s.from.Reset()
	s.into.Reset()
	s.migrator.Reset()
	if s.size <= maxKeptBytes {
		pool.Put(s)
	}
}

// Migrate appends the payload src in its version 2.0 to dst, and returns the extended
// slice. A payload that is not an object, or has a duplicate name in its root, is
// appended as it is and reported as one failed event. The error, of package wire, is for
// a payload that is not JSON; dst is then returned as it was.
func (s *Standalone) Migrate(dst, src []byte, o Options) ([]byte, error) {
	s.size = len(src)
	if err := s.migrator.Load(&s.from, src, wire.Limits{}); err != nil {
		if !s.migrator.rejectPayload(err) {
			return dst, err
		}
		return append(dst, src...), nil
	}
	out, changed, err := s.migrator.Migrate(dst, &s.into, o)
	if err != nil {
		return dst, err
	}
	if !changed {
		out = append(dst, src...)
	}
	return out, nil
}

// Report returns what Migrate did to the payload. It is lent until Release.
func (s *Standalone) Report() Report { return s.migrator.Report() }

// rejectPayload records that the events of a payload cannot be told apart. It reports
// whether the payload is JSON at all.
func (m *Migrator) rejectPayload(err error) (isJSON bool) {
	code, field := CodeNotObject, ""
	if fault, ok := errors.AsType[*wire.FaultError](err); ok {
		code, field = codeOf(fault.Fault), fault.Fault.Name
	} else if !errors.Is(err, wire.ErrNotObject) {
		return false
	}
	m.report.Events++
	m.reject(code, field)
	return true
}

// A Migrator migrates one payload after another in the same memory: Load, Migrate,
// Report, Reset. Its zero value is ready to use. It must not be used concurrently.
type Migrator struct {
	reporter
	options Options
	from    *wire.Document
	outline wire.Outline
	out     wire.Composer

	// The event in progress.
	object    wire.Object
	class     Class
	kinds     []rootKind           // of the members of its root
	positions [rootKindCount]int32 // of each kind among them, from 1; 0 if there is none
	name      []byte
	context   wire.Object    // the context that the root has already
	outer     contextMembers // of it

	// What its properties hold in addition to data of the event.
	inner   contextMembers // of a context in the properties
	created []byte
	merged  [rootKindCount]bool // root members that were merged into a property

	under   wire.Defaults // what is merged under something else
	scratch []byte
	merging []byte
	merges  int // as much memory as merges have asked for

	listed bool // the events are items
	odd    bool // one of the result is not as PlainContexts says
}

// Load makes d the document of the payload body, read within the limits, and the
// document to migrate. A document that has been read already is used as it is. The error
// is that of [wire.Document.Read].
func (m *Migrator) Load(d *wire.Document, body []byte, limits wire.Limits) error {
	m.from = d
	if d.Limits() != (wire.Limits{}) {
		m.outline.Use(d)
		return nil
	}
	m.outline.Watch = watched
	return m.outline.Read(d, body, batchMember, limits)
}

// Migrate appends the loaded payload in its version 2.0 to dst and makes into the
// document of the result. If no event has to be changed it returns dst as it was, and
// false. The error is that of a meter; then dst is returned as it was. It must be called once for
// each payload.
func (m *Migrator) Migrate(dst []byte, into *wire.Document, o Options) (out []byte, changed bool, err error) {
	m.options, m.countOnly, m.meter, m.odd = o, o.CountOnly, o.Meter, false
	items, listed := m.from.Items()
	if m.listed = listed && !isEvent(m.from.Root()); m.listed {
		out, changed, err = m.migrateBatch(dst, into, items)
	} else {
		out, changed, err = m.migrateSingle(dst, into)
	}
	if err = cmp.Or(err, m.refused, m.outline.Refused()); err != nil {
		return dst, false, err
	}
	return out, changed, nil
}

func (m *Migrator) migrateSingle(dst []byte, into *wire.Document) (_ []byte, changed bool, _ error) {
	event := m.from.AsItem()
	if !m.accept(&event) {
		return dst, false, nil
	}
	m.out.Begin(dst, m.from, into)
	m.write()
	out, err := m.out.End()
	return out, true, err
}

// isEvent reports whether a root that lists items is an event itself, which has data of
// that name.
func isEvent(root wire.Object) bool {
	for i := range root.Len() {
		switch rootKindOf(root.Name(i)) {
		case rootEventName, rootEvent, rootProperties:
			return true
		}
	}
	return false
}

// migrateBatch copies the payload from the first event on that is changed.
func (m *Migrator) migrateBatch(dst []byte, into *wire.Document, items wire.Items) (_ []byte, changed bool, _ error) {
	for i := range items.Len() {
		m.index = i
		it := items.At(i)
		change := m.accept(&it)
		if change && !changed {
			changed = true
			m.out.BeginList(dst, m.from, into)
			for range i {
				if !m.out.Keep() {
					break
				}
			}
		}
		m.odd = m.odd || !change
		if ok := !changed || change && m.write() || !change && m.out.Keep(); !ok || m.refused != nil {
			break
		}
	}
	if !changed {
		return dst, false, nil
	}
	out, err := m.out.End()
	return out, true, err
}

// Report returns what Migrate did to the payload. It is lent until Reset, except the values
// of its notes, which belong to the caller.
func (m *Migrator) Report() Report { return m.report }

// PlainContexts reports whether the result is one event, or lists events, all of which were of 1.0
// and have a context that begins with the event_id, if there is one, and the event_timestamp, and
// has the version 2, but neither an eventId nor a member created. So who reads these need not look
// at the rest of it.
func (m *Migrator) PlainContexts() (root, items bool) { return !m.odd && !m.listed, !m.odd && m.listed }

// Memory returns how many bytes the migrator has, without those of the values in its notes.
func (m *Migrator) Memory() int64 {
	return m.outline.Memory() + m.under.Memory() + int64(cap(m.kinds)+cap(m.scratch)+cap(m.merging)) +
		int64(cap(m.report.Notes))*NoteBytes
}

// growth is how much longer the new form of an event is at most than twice the old one: the
// members of the context, their names, and a time that is in two places.
const growth = 512

// room makes room for what is merged in the event in progress, at first under that object.
func (m *Migrator) room(under []byte) bool {
	most := 2*m.object.Extent() + growth
	for _, text := range [...]*[]byte{&m.scratch, &m.merging} {
		if cap(*text) < most {
			if !m.reserve(most) {
				return false
			}
			*text = make([]byte, 0, most)
		}
	}
	if m.meter == nil {
		return true
	}
	needed := wire.DefaultsSize(under, m.from.Limits())
	if !m.reserve(needed - m.merges) {
		return false
	}
	m.merges = max(m.merges, needed)
	return true
}

// Reset drops the payload and the report, and keeps the memory for the next payload, unless it is
// large.
func (m *Migrator) Reset() {
	if m.Memory() > maxKeptBytes {
		*m = Migrator{}
		return
	}
	m.outline.Reset()
	m.from, m.object, m.context, m.name, m.created = nil, wire.Object{}, wire.Object{}, nil, nil
	m.resetContexts()
	m.reporter.reset()
	m.options, m.merges = Options{}, 0
	m.under.Reset()
}

// resetContexts drops the contexts of the event in progress. Most events have none, and
// clearing costs more than looking.
func (m *Migrator) resetContexts() {
	if m.inner.object != nil || m.outer.object != nil {
		m.inner, m.outer = contextMembers{}, contextMembers{}
	}
}
