package commandersact

import (
	"bytes"
	"strings"

	"github.com/inlet-go/inlet/internal/wire"
)

// accept indexes and classifies an event and reports whether it has to be changed. It
// finds everything that prevents the migration, so that nothing fails while the event is
// written.
func (m *Migrator) accept(it *wire.Item) (change bool) {
	m.report.Events++
	if code := codeOf(it.Fault); code != "" {
		return m.reject(code, it.Fault.Name)
	}
	m.outline.Event(it.Object)
	m.indexRoot(it.Object)
	switch m.class {
	case V1:
		change = m.acceptV1()
	case Partial:
		change = m.acceptPartial()
	default:
		change = m.isMisplaced(rootID, `"event_id"`) || m.isMisplaced(rootTime, `"event_timestamp"`)
	}
	if change {
		m.report.Migrated++
		if it.Repaired {
			m.warn(CodeTextRepaired, "")
		}
	}
	return change
}

// indexRoot makes an event the one in progress.
func (m *Migrator) indexRoot(o wire.Object) {
	m.object, m.context, m.kinds, m.name, m.created = o, wire.Object{}, m.kinds[:0], nil, nil
	m.positions, m.merged = [rootKindCount]int32{}, [rootKindCount]bool{}
	m.resetContexts()
	if n := o.Len(); cap(m.kinds) < n {
		n = max(n, 2*cap(m.kinds))
		if !m.reserve(n) {
			m.object = wire.Object{}
			return
		}
		m.kinds = make([]rootKind, 0, n)
	}
	for i := range o.Len() {
		kind := rootKindOf(o.Name(i))
		m.kinds = append(m.kinds, kind)
		m.positions[kind] = int32(i + 1)
	}
	if wire.Kind(m.root(rootContext)) == '{' {
		m.context = m.inside(rootContext).Object
	}
	current := string(m.context.Get(`"version"`)) == "2"
	m.class = classify(isObject(m.root(rootContext)), current, isObject(m.root(rootProperties)), m.root(rootVersion))
}

// root returns the value of the member of the root of a kind, or nil.
func (m *Migrator) root(kind rootKind) []byte {
	if n := m.positions[kind]; n > 0 {
		return m.object.Value(int(n - 1))
	}
	return nil
}

// inside returns the object that is the value of the member of the root of a kind.
func (m *Migrator) inside(kind rootKind) wire.InnerObject {
	return m.outline.Inner(m.object, int(m.positions[kind]-1))
}

// acceptV1 reports whether an event of 1.0 can be migrated.
func (m *Migrator) acceptV1() bool {
	switch properties := m.root(rootProperties); {
	case !isObject(properties) && properties != nil && wire.Kind(properties) != 'n':
		return m.reject(CodePropertiesNotObject, "properties")
	case m.isSegmentEvent():
		return m.reject(CodeWrongDialect, "type")
	}
	if m.name = m.eventName(); m.name == nil {
		return m.reject(CodeEventNameRequired, "event_name")
	}
	if m.positions[rootContext] > 0 && wire.Kind(m.root(rootContext)) == '{' {
		m.outer.read(m.object, int(m.positions[rootContext]-1), m.context)
	}
	if m.options.Strict && m.invalidTime() {
		return m.reject(CodeTimestampInvalid, "event_timestamp")
	}
	return true
}

// isSegmentEvent reports whether the event has the form of Segment's API.
func (m *Migrator) isSegmentEvent() bool {
	return !hasText(m.root(rootEventName)) && m.root(rootType) != nil &&
		(m.root(rootUserID) != nil || m.root(rootAnonymousID) != nil)
}

// hasText reports whether a value is a string that is not empty.
func hasText(raw []byte) bool { return wire.Kind(raw) == '"' && len(raw) > len(`""`) }

// eventName returns the name of the event as a quoted string, or nil.
func (m *Migrator) eventName() []byte {
	name, older := m.root(rootEventName), m.root(rootEvent)
	switch {
	case hasText(name) && (hasWords(name) || !hasText(older) || !hasWords(older)):
		return name
	case hasText(older):
		return older
	}
	return nil
}

// invalidTime reports whether the event has a time that cannot be read.
func (m *Migrator) invalidTime() bool {
	if wire.Kind(m.root(rootProperties)) == '{' {
		properties := m.inside(rootProperties).Object
		for i := range properties.Len() {
			if string(properties.Name(i)) == `"context"` && wire.Kind(properties.Value(i)) == '{' {
				m.inner.read(properties, i, m.outline.Inner(properties, i).Object)
			}
		}
	}
	best := firstTime(m.timeCandidates())
	m.inner = contextMembers{}
	_, code := ReadTime(best.value)
	return code == CodeTimestampInvalid
}

// write composes the event in progress anew. It returns false if it was refused memory for that.
func (m *Migrator) write() bool {
	members := m.object.Len() + len(newMembers)
	if m.class == V1 && wire.Kind(m.root(rootProperties)) == '{' {
		members += m.inside(rootProperties).Len()
	}
	if !m.out.Open(members, 2*m.object.Extent()+growth) {
		return false
	}
	if m.class == V1 {
		m.out.Member([]byte(`"event_name"`), m.name)
		m.recordNames()
		m.writeProperties()
		m.writeRootData()
		m.writeContext()
	} else {
		m.odd = true
		m.writeV2()
	}
	m.out.Close()
	return true
}

// newMembers are the members that the root of an event of 2.0 may have in addition.
var newMembers = [...]string{"event_name", "user", "context"}

// recordNames records which of the two names of the event gave way.
func (m *Migrator) recordNames() {
	name, older := m.root(rootEventName), m.root(rootEvent)
	switch {
	case !bytes.Equal(name, m.name):
		m.recordRename("event", "event_name")
		if isSet(name) {
			m.recordConflict("event_name", name, m.name)
		}
	case isSet(older):
		m.recordConflict("event", older, m.name)
	}
}

// isSet reports whether a value is present and neither null nor "".
func isSet(raw []byte) bool {
	return raw != nil && wire.Kind(raw) != 'n' && string(raw) != `""`
}

// isFull reports whether a value says anything: it is set, and neither white space nor an
// empty object or list. Of two values for one place, one that is not full gives way.
func isFull(raw []byte) bool {
	switch {
	case !isSet(raw):
		return false
	case wire.Kind(raw) == '"':
		return hasWords(raw)
	case wire.Kind(raw) == '{':
		return !wire.EmptyObject(raw)
	}
	return !wire.EmptyList(raw)
}

// givesWay reports whether a value in an object that is merged gives way to another one: null
// and blank text do, and the empty list that PHP writes for an empty map, but only to an object.
// Another empty list is a value, such as the list of a person who agrees to nothing.
func givesWay(own, value []byte) bool {
	if wire.EmptyList(own) {
		return wire.Kind(value) == '{' && !wire.EmptyObject(value)
	}
	return wire.Kind(own) != '{' && !isFull(own) && isFull(value)
}

// hasWords reports whether a string has more than white space.
func hasWords(raw []byte) bool {
	if text, plain := wire.Plain(raw); plain {
		return len(bytes.TrimSpace(text)) > 0
	}
	return strings.TrimSpace(wire.Text(raw)) != ""
}

// isObject reports whether a value is an object, or the empty list that PHP writes for an empty
// map.
func isObject(raw []byte) bool { return wire.Kind(raw) == '{' || wire.EmptyList(raw) }

// asObject returns {} for an empty list, which is recorded, and any other value as it is. The
// name is that of the member, quoted.
func (m *Migrator) asObject(raw, name []byte) []byte {
	if !wire.EmptyList(raw) {
		return raw
	}
	m.warn(CodeEmptyList, wire.Text(name))
	return emptyObject
}

var emptyObject = []byte(`{}`)
