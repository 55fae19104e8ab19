package inlet

import (
	"github.com/inlet-go/inlet/internal/wire"
)

// rootKind is what a member of an event's root is to Commanders Act.
type rootKind uint8

const (
	rootEventName rootKind = iota
	rootEvent
	rootProperties
	rootContext
	rootVersion
	rootID
	rootIDCamel
	rootIDTypo
	rootTime
	rootTimeCamel
	rootPage
	rootDevice
	rootApp
	rootGenerator
	rootContainer
	rootAgent
	rootLocale
	rootUser
	rootIntegrations
	rootPartners

	// What no document names. The first three tell Segment's form.
	rootType
	rootUserID
	rootAnonymousID
	rootUnknown

	rootKinds
)

func rootKindOf(quoted []byte) rootKind {
	switch string(quoted) {
	case `"event_name"`:
		return rootEventName
	case `"event"`:
		return rootEvent
	case `"properties"`:
		return rootProperties
	case `"context"`:
		return rootContext
	case `"version"`:
		return rootVersion
	case `"event_id"`:
		return rootID
	case `"eventId"`:
		return rootIDCamel
	case `"event_Id"`:
		return rootIDTypo
	case `"event_timestamp"`:
		return rootTime
	case `"eventTimestamp"`:
		return rootTimeCamel
	case `"page"`:
		return rootPage
	case `"device"`:
		return rootDevice
	case `"app"`:
		return rootApp
	case `"generatorVersion"`:
		return rootGenerator
	case `"containerVersion"`:
		return rootContainer
	case `"userAgent"`:
		return rootAgent
	case `"locale"`:
		return rootLocale
	case `"user"`:
		return rootUser
	case `"integrations"`:
		return rootIntegrations
	case `"partners"`:
		return rootPartners
	case `"type"`:
		return rootType
	case `"userId"`:
		return rootUserID
	case `"anonymousId"`:
		return rootAnonymousID
	}
	return rootUnknown
}

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
