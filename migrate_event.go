package inlet

import (
	"github.com/inlet-go/inlet/internal/wire"
)

// actsMigration moves events of Commanders Act from 1.0 to 2.0. Its memory is
// used for one payload after another.
type actsMigration struct {
	reporter
	options MigrateOptions
	outline wire.Outline
	out     wire.Composer

	// The event at hand.
	object wire.Object
	class  commandersActClass
	kinds  []rootKind       // of the members of its root
	at     [rootKinds]int32 // where they stand there, from 1
	name   []byte
	outer  metadata // a context that it has already

	// What its properties hold beside data of the event.
	inner   metadata
	created []byte
	merged  [rootKinds]bool // root members that went into one of the properties

	scratch []byte
}

// take looks at an event and reports whether it is to be changed. Whatever stands
// in the way of that is found here.
func (m *actsMigration) take(it *wire.Item) (change bool) {
	m.report.Events++
	if p := problemOf(it.Fault); p != nil {
		return m.fail(MigrationCode(p.Code), p.Field)
	}
	m.outline.Event(it.Object)
	m.gather(it.Object)
	switch m.class {
	case commandersActV1:
		change = m.takeV1()
	case commandersActPartial:
		change = m.takePartial()
	default:
		change = m.slipped(rootID, `"event_id"`) || m.slipped(rootTime, `"event_timestamp"`)
	}
	if change {
		m.report.Migrated++
		if it.Repaired {
			m.warn(MigrationTextRepaired, "")
		}
	}
	return change
}

func (m *actsMigration) gather(o wire.Object) {
	m.object, m.kinds, m.name, m.created = o, m.kinds[:0], nil, nil
	m.at, m.merged = [rootKinds]int32{}, [rootKinds]bool{}
	if m.inner.object != nil || m.outer.object != nil {
		m.inner, m.outer = metadata{}, metadata{}
	}
	for i := range o.Len() {
		kind := rootKindOf(o.Name(i))
		m.kinds = append(m.kinds, kind)
		m.at[kind] = int32(i + 1)
	}
	m.class = commandersActClassOf(m.root(rootContext), m.root(rootProperties), m.root(rootVersion))
}

// root returns the value of a member of the root, or nil.
func (m *actsMigration) root(kind rootKind) []byte {
	if at := m.at[kind]; at > 0 {
		return m.object.Value(int(at - 1))
	}
	return nil
}

func (m *actsMigration) takeV1() bool {
	switch kind := wire.Kind(m.root(rootProperties)); {
	case kind != '{' && kind != 'n' && kind != 0:
		return m.fail(MigrationPropertiesNotObject, "properties")
	case m.ofSegment():
		return m.fail(MigrationWrongDialect, "type")
	}
	if m.name = m.eventName(); m.name == nil {
		return m.fail(MigrationEventNameRequired, "event_name")
	}
	m.outer.read(m.root(rootContext))
	if m.options.Strict && m.invalidTime() {
		return m.fail(MigrationTimestampInvalid, "event_timestamp")
	}
	return true
}

// ofSegment reports whether the event was meant for another vendor's endpoint.
func (m *actsMigration) ofSegment() bool {
	return !hasText(m.root(rootEventName)) && m.root(rootType) != nil &&
		(m.root(rootUserID) != nil || m.root(rootAnonymousID) != nil)
}

func hasText(raw []byte) bool { return wire.Kind(raw) == '"' && len(raw) > len(`""`) }

// eventName returns the name of the event, or nil.
func (m *actsMigration) eventName() []byte {
	name, older := m.root(rootEventName), m.root(rootEvent)
	switch {
	case hasText(name):
		return name
	case hasText(older):
		return older
	}
	return nil
}

// invalidTime reports whether there is a time that cannot be read.
func (m *actsMigration) invalidTime() bool {
	properties := m.root(rootProperties)
	if wire.Kind(properties) == '{' {
		m.inner.read(wire.Find(properties, `"context"`))
	}
	at := m.chosen(m.times())
	m.inner = metadata{}
	_, code := readCommandersActTime(at.value)
	return code == MigrationTimestampInvalid
}

// write writes the event anew.
func (m *actsMigration) write() {
	m.out.Open()
	if m.class == commandersActV1 {
		m.out.Member([]byte(`"event_name"`), m.name)
		m.noteNames()
		m.writeProperties()
		m.writeRootData()
		m.writeContext()
	} else {
		m.writeMoved()
	}
	m.out.Close()
}

// noteNames notes which of the root's names of the event gave way.
func (m *actsMigration) noteNames() {
	name, older := m.root(rootEventName), m.root(rootEvent)
	switch {
	case hasText(name) && isSet(older):
		m.conflict("event", older, m.name)
	case !hasText(name):
		m.renamed("event", "event_name")
		if isSet(name) {
			m.conflict("event_name", name, m.name)
		}
	}
}

// isSet reports whether a value says anything: null and "" do not.
func isSet(raw []byte) bool {
	return raw != nil && wire.Kind(raw) != 'n' && string(raw) != `""`
}
