package commandersact

import "github.com/inlet-go/inlet/internal/wire"

// Names below the root that need care. The outline marks the objects that have one, so
// that all others are copied without looking at their members.
var (
	watched = wire.NewWatch(`"event_name"`, `"context"`, `"integrations"`, `"partners"`, `"created"`, `"user"`,
		`"location"`, `"userAgent"`, `"cookies"`)
	specialNames   = watched.Mark(`"event_name"`, `"context"`, `"integrations"`, `"partners"`, `"created"`)
	userName       = watched.Mark(`"user"`)
	locationName   = watched.Mark(`"location"`)
	oldDeviceNames = watched.Mark(`"userAgent"`, `"cookies"`)
)

// writeProperties moves the data of the event to its root, in one piece if nothing in it
// has to be changed.
func (m *Migrator) writeProperties() {
	if wire.Kind(m.root(rootProperties)) != '{' {
		return
	}
	properties := m.outline.Inner(m.object, int(m.positions[rootProperties]-1))
	user := properties.User()
	switch {
	case properties.Has(specialNames):
	case user >= 0 && m.inspectProperty(properties.Object, user), !properties.Has(userName):
		m.out.Copy(properties.Object, 0, properties.Len())
		return
	}
	m.writeEachProperty(properties.Object)
}

// writeEachProperty copies the properties that do not change in as few pieces as
// possible, and writes the others one by one.
func (m *Migrator) writeEachProperty(properties wire.Object) {
	copied := 0
	for i := range properties.Len() {
		if m.inspectProperty(properties, i) {
			continue
		}
		m.out.Copy(properties, copied, i)
		m.writeProperty(properties, i)
		copied = i + 1
	}
	m.out.Copy(properties, copied, properties.Len())
}

// inspectProperty reports whether a property goes to the root unchanged. It keeps
// properties.created, which may be needed for the time.
func (m *Migrator) inspectProperty(properties wire.Object, i int) (unchanged bool) {
	switch string(properties.Name(i)) {
	case `"event_name"`, `"context"`:
		return false
	case `"user"`:
		return m.positions[rootUser] == 0 && m.inspectUser(properties, i)
	case `"integrations"`:
		return m.positions[rootIntegrations] == 0 && !wire.EmptyList(properties.Value(i))
	case `"partners"`:
		return m.positions[rootPartners] == 0 && !wire.EmptyList(properties.Value(i))
	case `"created"`:
		m.created = properties.Value(i)
	}
	return true
}

// inspectUser reports whether a user has nothing that 2.0 writes differently. It warns
// of a missing id that 2.0 requires.
func (m *Migrator) inspectUser(properties wire.Object, i int) (unchanged bool) {
	m.merged[rootUser] = true
	if wire.Kind(properties.Value(i)) != '{' {
		return !wire.EmptyList(properties.Value(i))
	}
	user, identified := m.outline.Inner(properties, i), false
	for k := range user.Len() {
		switch string(user.Name(k)) {
		case consentCategories:
			if list := user.Value(k); wire.Kind(list) == '[' && wire.HasNumber(list) {
				return false
			}
		case consistentID:
			identified = true
		}
	}
	if !identified {
		m.warn(CodeMissingRequired, "user.consistent_anonymous_id")
	}
	return true
}

// writeProperty writes a property that does not go to the root unchanged.
func (m *Migrator) writeProperty(properties wire.Object, i int) {
	name, value := properties.Name(i), properties.Value(i)
	switch string(name) {
	case `"event_name"`:
		m.recordConflict("properties.event_name", value, m.name)
	case `"context"`:
		m.readInnerContext(properties, i)
	case `"user"`:
		m.writeMergedUser(properties, i)
	case `"integrations"`:
		merged, _, _ := m.merge(rootIntegrations, name, value, "")
		m.out.Member(name, merged)
	case `"partners"`:
		merged, _, _ := m.merge(rootPartners, name, value, "")
		m.out.Member(name, merged)
	}
}

// readInnerContext keeps a context in the properties for the new context.
func (m *Migrator) readInnerContext(properties wire.Object, i int) {
	if value := properties.Value(i); wire.Kind(value) == '{' {
		m.inner.read(properties, i, m.outline.Inner(properties, i).Object)
	} else if value = m.asObject(value, properties.Name(i)); isSet(value) {
		m.recordConflict("properties.context", value, emptyObject)
	}
}

// merge returns the value of a property, merged with the member of the root of the same
// name. Where both have a value, that of the property is kept. If two objects were merged,
// the value of the member with the quoted name is merged[start:end].
func (m *Migrator) merge(kind rootKind, name, inner []byte, quoted string) (merged []byte, start, end int) {
	root := m.asObject(m.root(kind), name)
	m.merged[kind] = true
	inner = m.asObject(inner, name)
	switch {
	case !isSet(root):
		return inner, 0, 0
	case wire.Kind(inner) != '{' && !isFull(inner):
		if isSet(inner) {
			m.recordConflict("properties."+wire.Text(name), inner, root)
		}
		return root, 0, 0
	case wire.Kind(root) != '{' || wire.Kind(inner) != '{':
		m.recordConflict(wire.Text(name), root, inner)
		return inner, 0, 0
	}
	if !m.room(root) {
		return inner, 0, 0
	}
	m.under.Set(root)
	m.under.Note(wire.Text(name), m.noting(m.recordLost))
	m.under.Prefer("properties."+wire.Text(name), givesWay)
	m.scratch, start, end = m.under.AppendUnder(m.scratch[:0], inner, quoted)
	return m.scratch, start, end
}

// writeMergedUser writes a user of the properties, merged with that of the root. Two users
// whose members are known are not walked over once more.
func (m *Migrator) writeMergedUser(properties wire.Object, i int) {
	root, inner := m.root(rootUser), properties.Value(i)
	user, start, end := m.merge(rootUser, properties.Name(i), inner, consentCategories)
	if wire.Kind(root) != '{' || wire.Kind(inner) != '{' {
		m.writeUser(user)
		return
	}
	fromRoot, fromInner := m.inside(rootUser), m.outline.Inner(properties, i)
	if fromRoot.Get(consistentID) == nil && fromInner.Get(consistentID) == nil {
		m.warn(CodeMissingRequired, "user.consistent_anonymous_id")
	}
	m.out.Name([]byte(`"user"`))
	if wire.Kind(user[start:end]) == '[' {
		m.out.Text = append(m.out.Text, user[:start]...)
		m.out.Text = append(wire.AppendStringList(m.out.Text, user[start:end]), user[end:]...)
	} else {
		m.out.Text = append(m.out.Text, user...)
	}
	m.out.EndValue()
}

// Members of a user that need care.
const (
	consentCategories = `"consent_categories"`
	consistentID      = `"consistent_anonymous_id"`
)

// noting returns a function that records notes, or nil if there are to be none, so that no
// path is made for them.
func (m *Migrator) noting(record func(field string, value []byte)) func(field string, value []byte) {
	if m.countOnly {
		return nil
	}
	return record
}

// recordLost records a value that gave way in a merge.
func (m *Migrator) recordLost(field string, value []byte) { m.recordConflict(field, value, nil) }

// writeRootData writes the data that the root has already.
func (m *Migrator) writeRootData() {
	for i, kind := range m.kinds {
		if m.merged[kind] {
			continue
		}
		switch kind {
		case rootUser:
			m.writeUser(m.asObject(m.object.Value(i), m.object.Name(i)))
		case rootIntegrations, rootPartners:
			m.out.Member(m.object.Name(i), m.asObject(m.object.Value(i), m.object.Name(i)))
		}
	}
	if m.root(rootUser) == nil && !m.merged[rootUser] {
		m.warn(CodeMissingRequired, "user")
	}
}

// writeUser writes the user, whose consent categories are strings in 2.0.
func (m *Migrator) writeUser(user []byte) {
	m.out.Name([]byte(`"user"`))
	m.out.Text = m.appendUser(m.out.Text, user)
	m.out.EndValue()
}

// appendUser appends the user, in two pieces around a list of consent categories.
func (m *Migrator) appendUser(dst, user []byte) []byte {
	if wire.Kind(user) != '{' {
		return append(dst, user...)
	}
	copied, identified := 0, false
	for w := wire.Walk(user); w.Next(); {
		switch string(w.Name) {
		case consentCategories:
			if wire.Kind(w.Value) == '[' {
				dst = wire.AppendStringList(append(dst, user[:w.Start]...), w.Value)
				copied = w.End
			}
		case consistentID:
			identified = true
		}
	}
	if !identified {
		m.warn(CodeMissingRequired, "user.consistent_anonymous_id")
	}
	return append(dst, user[copied:]...)
}
