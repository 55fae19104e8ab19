package inlet

import "github.com/inlet-go/inlet/internal/wire"

// Names below the root that a migration looks for.
var (
	actsWatch = wire.NewWatch(`"event_name"`, `"context"`, `"integrations"`, `"partners"`, `"created"`, `"user"`,
		`"location"`, `"userAgent"`, `"cookies"`)
	actsSpecial    = actsWatch.Mark(`"event_name"`, `"context"`, `"integrations"`, `"partners"`, `"created"`)
	actsUserName   = actsWatch.Mark(`"user"`)
	actsLocation   = actsWatch.Mark(`"location"`)
	actsOlderNames = actsWatch.Mark(`"userAgent"`, `"cookies"`)
)

// writeProperties moves the data of the event to its root, in one piece if it can
// be.
func (m *actsMigration) writeProperties() {
	if wire.Kind(m.root(rootProperties)) != '{' {
		return
	}
	properties := m.outline.Inner(m.object, int(m.at[rootProperties]-1))
	user := properties.User()
	switch {
	case properties.Has(actsSpecial):
	case user >= 0 && m.staysProperty(properties.Object, user), !properties.Has(actsUserName):
		m.out.Copy(properties.Object, 0, properties.Len())
		return
	}
	m.writeEachProperty(properties.Object)
}

func (m *actsMigration) writeEachProperty(properties wire.Object) {
	copied := 0
	for i := range properties.Len() {
		if m.staysProperty(properties, i) {
			continue
		}
		m.out.Copy(properties, copied, i)
		m.writeProperty(properties.Name(i), properties.Value(i))
		copied = i + 1
	}
	m.out.Copy(properties, copied, properties.Len())
}

// staysProperty reports whether a property is data that goes to the root as it is.
func (m *actsMigration) staysProperty(properties wire.Object, i int) bool {
	switch string(properties.Name(i)) {
	case `"event_name"`, `"context"`:
		return false
	case `"user"`:
		return m.at[rootUser] == 0 && m.staysUser(properties, i)
	case `"integrations"`:
		return m.at[rootIntegrations] == 0
	case `"partners"`:
		return m.at[rootPartners] == 0
	case `"created"`:
		m.created = properties.Value(i)
	}
	return true
}

// staysUser reports whether a user has nothing that 2.0 writes otherwise.
func (m *actsMigration) staysUser(properties wire.Object, i int) bool {
	m.merged[rootUser] = true
	if wire.Kind(properties.Value(i)) != '{' {
		return true
	}
	user, identified := m.outline.Inner(properties, i), false
	for k := range user.Len() {
		switch string(user.Name(k)) {
		case `"consent_categories"`:
			if list := user.Value(k); wire.Kind(list) == '[' && wire.HasNumber(list) {
				return false
			}
		case `"consistent_anonymous_id"`:
			identified = true
		}
	}
	if !identified {
		m.warn(MigrationMissingRequired, "user.consistent_anonymous_id")
	}
	return true
}

// writeProperty writes a property that needs care.
func (m *actsMigration) writeProperty(name, value []byte) {
	switch string(name) {
	case `"event_name"`:
		m.conflict("properties.event_name", value, m.name)
	case `"context"`:
		m.takeInnerContext(value)
	case `"user"`:
		m.writeUser(m.merge(rootUser, name, value))
	case `"integrations"`:
		m.out.Member(name, m.merge(rootIntegrations, name, value))
	case `"partners"`:
		m.out.Member(name, m.merge(rootPartners, name, value))
	}
}

func (m *actsMigration) takeInnerContext(value []byte) {
	if wire.Kind(value) == '{' {
		m.inner.read(value)
	} else if isSet(value) {
		m.conflict("properties.context", value, nil)
	}
}

// merge returns the value of a property with what a root member of the same name
// has beside it.
func (m *actsMigration) merge(kind rootKind, name, inner []byte) []byte {
	root := m.root(kind)
	m.merged[kind] = true
	switch {
	case !isSet(root):
		return inner
	case !isSet(inner):
		return root
	case wire.Kind(root) != '{' || wire.Kind(inner) != '{':
		m.conflict(wire.Text(name), root, inner)
		return inner
	}
	m.scratch = wire.AppendMergedNoting(m.scratch[:0], root, inner, wire.Text(name), m.lost)
	return m.scratch
}

// lost notes a value that gave way in a merge.
func (m *actsMigration) lost(field string, value []byte) { m.conflict(field, value, nil) }

// writeRootData writes the data that stood in the root already.
func (m *actsMigration) writeRootData() {
	for i, kind := range m.kinds {
		if m.merged[kind] {
			continue
		}
		switch kind {
		case rootUser:
			m.writeUser(m.object.Value(i))
		case rootIntegrations, rootPartners:
			m.out.Member(m.object.Name(i), m.object.Value(i))
		}
	}
	if m.root(rootUser) == nil && !m.merged[rootUser] {
		m.warn(MigrationMissingRequired, "user")
	}
}

// writeUser writes the user, whose categories of consent are texts in 2.0.
func (m *actsMigration) writeUser(user []byte) {
	m.out.Name([]byte(`"user"`))
	m.out.Text = m.appendUser(m.out.Text, user)
	m.out.EndValue()
}

func (m *actsMigration) appendUser(dst, user []byte) []byte {
	if wire.Kind(user) != '{' {
		return append(dst, user...)
	}
	copied, identified := 0, false
	for w := wire.Walk(user); w.Next(); {
		switch string(w.Name) {
		case `"consent_categories"`:
			if wire.Kind(w.Value) == '[' {
				dst = wire.AppendStringList(append(dst, user[:w.Start]...), w.Value)
				copied = w.End
			}
		case `"consistent_anonymous_id"`:
			identified = true
		}
	}
	if !identified {
		m.warn(MigrationMissingRequired, "user.consistent_anonymous_id")
	}
	return append(dst, user[copied:]...)
}
