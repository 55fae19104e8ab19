package commandersact

import "github.com/inlet-go/inlet/internal/wire"

// isMisplaced reports whether an event of 2.0 has a member in its root that belongs into
// its context, as in the vendor's own example of a batch. In an event whose context has
// the version 2, such a member is data of the event and stays: that is what makes a
// migration idempotent.
func (m *Migrator) isMisplaced(kind rootKind, name string) bool {
	return isSet(m.root(kind)) && m.context.Get(name) == nil && string(m.context.Get(`"version"`)) != "2"
}

// acceptPartial reports whether an event of 2.0 without a context has to be changed: it
// has metadata in its root, or only the older name of its name.
func (m *Migrator) acceptPartial() bool {
	if m.isSegmentEvent() {
		return m.reject(CodeWrongDialect, "type")
	}
	if !m.hasMetadata() {
		return m.hasOldName()
	}
	if isSet(m.root(rootContext)) {
		return m.reject(CodeContextNotObject, "context")
	}
	return true
}

// hasOldName reports whether the event has its name as event, not as event_name.
func (m *Migrator) hasOldName() bool {
	return !hasText(m.root(rootEventName)) && hasText(m.root(rootEvent))
}

// hasMetadata reports whether the root of an event without a context has metadata.
func (m *Migrator) hasMetadata() bool {
	for i, kind := range m.kinds {
		if isMetadata(kind, m.object.Value(i)) {
			return true
		}
	}
	return false
}

// isMetadata reports whether a member of the root of an event without a context belongs
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

// writeV2 writes an event of 2.0 with its metadata in its context.
func (m *Migrator) writeV2() {
	if m.class == Partial {
		m.writePartial()
		return
	}
	id, at := m.isMisplaced(rootID, `"event_id"`), m.isMisplaced(rootTime, `"event_timestamp"`)
	for i, kind := range m.kinds {
		name, value := m.object.Name(i), m.object.Value(i)
		switch {
		case kind == rootContext:
			m.out.Name(name)
			m.out.Text = m.appendWithMisplaced(m.out.Text, id, at)
			m.out.EndValue()
		case kind == rootID && id, kind == rootTime && at:
			m.recordRename(wire.Text(name), "context."+wire.Text(name))
		default:
			m.out.Member(name, value)
		}
	}
}

// appendWithMisplaced appends a context with the id and the time of the root, where
// those are misplaced.
func (m *Migrator) appendWithMisplaced(dst []byte, id, at bool) []byte {
	dst = append(dst, '{')
	first := len(dst)
	for i := range m.context.Len() {
		dst = wire.AppendMember(dst, first, m.context.Name(i), m.context.Value(i))
	}
	if id {
		dst = wire.AppendMember(dst, first, []byte(`"event_id"`), m.root(rootID))
	}
	if at {
		dst = wire.AppendMember(dst, first, []byte(`"event_timestamp"`), m.root(rootTime))
	}
	return append(dst, '}')
}

// writePartial writes an event without a context, with a context for the metadata of its
// root.
func (m *Migrator) writePartial() {
	moves, older := m.hasMetadata(), m.hasOldName()
	for i, kind := range m.kinds {
		name, value := m.object.Name(i), m.object.Value(i)
		switch {
		case isMetadata(kind, value), kind == rootContext && moves:
		case kind == rootEvent && older:
			m.recordRename("event", "event_name")
			m.out.Member([]byte(`"event_name"`), value)
		case kind == rootEventName && older:
			if isSet(value) {
				m.recordConflict("event_name", value, nil)
			}
		default:
			m.out.Member(name, value)
		}
	}
	if moves {
		m.out.Name([]byte(`"context"`))
		m.out.Text = m.appendMovedMetadata(append(m.out.Text, '{'))
		m.out.EndValue()
	}
}

// appendMovedMetadata appends the metadata of the root, unchanged, and the closing brace
// of the context.
func (m *Migrator) appendMovedMetadata(dst []byte) []byte {
	first := len(dst)
	ids, times := m.idCandidates(), m.timeCandidates()
	if id := m.choose(firstID(ids), ids, "context.event_id"); id.value != nil {
		dst = wire.AppendMember(dst, first, []byte(`"event_id"`), id.value)
	}
	if at := m.choose(firstTime(times), times, "context.event_timestamp"); at.value != nil {
		dst = wire.AppendMember(dst, first, []byte(`"event_timestamp"`), at.value)
	}
	for i, kind := range m.kinds {
		if value := m.object.Value(i); rootPage <= kind && kind <= rootApp && isMetadata(kind, value) {
			m.recordRename(wire.Text(m.object.Name(i)), "context."+wire.Text(m.object.Name(i)))
			dst = wire.AppendMember(dst, first, m.object.Name(i), value)
		}
	}
	return append(dst, '}')
}
