package inlet

import "github.com/inlet-go/inlet/internal/wire"

// slipped reports whether an event of 2.0 has a member beside its context that
// belongs into it, as the vendor's own example of a batch has it. What says that
// it is 2.0 is taken at its word: there it is data of the event.
func (m *actsMigration) slipped(kind rootKind, name string) bool {
	context := m.root(rootContext)
	return isSet(m.root(kind)) && wire.Find(context, name) == nil &&
		string(wire.Find(context, `"version"`)) != "2"
}

// takePartial reports whether an event of 2.0 without a context is to be changed:
// it has metadata in its root, or its name in an older place.
func (m *actsMigration) takePartial() bool {
	if m.ofSegment() {
		return m.fail(MigrationWrongDialect, "type")
	}
	older := !hasText(m.root(rootEventName)) && hasText(m.root(rootEvent))
	if !m.hasMetadata() {
		return older
	}
	if isSet(m.root(rootContext)) {
		return m.fail(MigrationContextNotObject, "context")
	}
	return true
}

func (m *actsMigration) hasMetadata() bool {
	for i, kind := range m.kinds {
		if isMetadata(kind, m.object.Value(i)) {
			return true
		}
	}
	return false
}

// isMetadata reports whether a root member of an event without a context belongs
// into one.
func isMetadata(kind rootKind, value []byte) bool {
	switch kind {
	case rootID, rootIDCamel, rootIDTypo, rootTime, rootTimeCamel:
		return isSet(value)
	case rootPage, rootDevice, rootApp:
		return wire.Kind(value) == '{'
	}
	return false
}

// writeMoved writes an event of 2.0 with its metadata in its context.
func (m *actsMigration) writeMoved() {
	if m.class == commandersActPartial {
		m.writePartial()
		return
	}
	id, at := m.slipped(rootID, `"event_id"`), m.slipped(rootTime, `"event_timestamp"`)
	for i, kind := range m.kinds {
		name, value := m.object.Name(i), m.object.Value(i)
		switch {
		case kind == rootContext:
			m.out.Name(name)
			m.out.Text = m.appendSlipped(m.out.Text, value, id, at)
			m.out.EndValue()
		case kind == rootID && id, kind == rootTime && at:
			m.renamed(wire.Text(name), "context."+wire.Text(name))
		default:
			m.out.Member(name, value)
		}
	}
}

// appendSlipped appends a context with the members that stood beside it.
func (m *actsMigration) appendSlipped(dst, context []byte, id, at bool) []byte {
	dst = append(dst, '{')
	first := len(dst)
	for w := wire.Walk(context); w.Next(); {
		dst = wire.AppendMember(dst, first, w.Name, w.Value)
	}
	if id {
		dst = wire.AppendMember(dst, first, []byte(`"event_id"`), m.root(rootID))
	}
	if at {
		dst = wire.AppendMember(dst, first, []byte(`"event_timestamp"`), m.root(rootTime))
	}
	return append(dst, '}')
}

// writePartial writes an event without a context, with one for the metadata that
// its root has.
func (m *actsMigration) writePartial() {
	moves := m.hasMetadata()
	older := !hasText(m.root(rootEventName)) && hasText(m.root(rootEvent))
	for i, kind := range m.kinds {
		name, value := m.object.Name(i), m.object.Value(i)
		switch {
		case isMetadata(kind, value), kind == rootContext && moves:
		case kind == rootEvent && older:
			m.renamed("event", "event_name")
			m.out.Member([]byte(`"event_name"`), value)
		case kind == rootEventName && older:
			if isSet(value) {
				m.conflict("event_name", value, nil)
			}
		default:
			m.out.Member(name, value)
		}
	}
	if moves {
		m.out.Name([]byte(`"context"`))
		m.out.Text = m.appendMoved(append(m.out.Text, '{'))
		m.out.EndValue()
	}
}

// appendMoved appends the metadata of the root as it stands.
func (m *actsMigration) appendMoved(dst []byte) []byte {
	first := len(dst)
	if id := m.choose(m.ids(), "context.event_id"); id.value != nil {
		dst = wire.AppendMember(dst, first, []byte(`"event_id"`), id.value)
	}
	if at := m.choose(m.times(), "context.event_timestamp"); at.value != nil {
		dst = wire.AppendMember(dst, first, []byte(`"event_timestamp"`), at.value)
	}
	for i, kind := range m.kinds {
		if value := m.object.Value(i); rootPage <= kind && kind <= rootApp && isMetadata(kind, value) {
			m.renamed(wire.Text(m.object.Name(i)), "context."+wire.Text(m.object.Name(i)))
			dst = wire.AppendMember(dst, first, m.object.Name(i), value)
		}
	}
	return append(dst, '}')
}
