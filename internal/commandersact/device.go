package commandersact

import "github.com/inlet-go/inlet/internal/wire"

// deviceMembers are the members of a device that have had several names, or that the
// root of an event may have too.
type deviceMembers struct{ agent, oldAgent, cookie, oldCookie, lang []byte }

func (d *deviceMembers) read(device wire.Object) {
	for i := range device.Len() {
		value := device.Value(i)
		switch string(device.Name(i)) {
		case `"user_agent"`:
			d.agent = value
		case `"userAgent"`:
			d.oldAgent = value
		case `"cookie"`:
			d.cookie = value
		case `"cookies"`:
			d.oldCookie = value
		case `"lang"`:
			d.lang = value
		}
	}
}

// movesIntoDevice reports whether the root has a user agent, and a locale, that belongs
// into the device. That requires that every device of the event is an object without one.
func (m *Migrator) movesIntoDevice() (agent, locale bool) {
	agent, locale = m.root(rootAgent) != nil, m.root(rootLocale) != nil
	if !agent && !locale {
		return false, false
	}
	for _, device := range [...]struct {
		value []byte
		of    wire.Object
		at    int
	}{
		{m.root(rootDevice), m.object, int(m.positions[rootDevice] - 1)},
		{m.outer.device, m.outer.members, m.outer.deviceAt}, {m.inner.device, m.inner.members, m.inner.deviceAt},
	} {
		if device.value == nil {
			continue
		}
		if wire.Kind(device.value) != '{' {
			return false, false
		}
		var d deviceMembers
		d.read(m.outline.Inner(device.of, device.at).Object)
		agent = agent && !isSet(d.agent) && d.oldAgent == nil
		locale = locale && !isSet(d.lang)
	}
	return agent, locale
}

// isCurrentDevice reports whether the device, the i-th member of the root, needs no
// change: it has no older names or is not an object.
func (m *Migrator) isCurrentDevice(i int) bool {
	if wire.Kind(m.object.Value(i)) != '{' {
		return true
	}
	device := m.outline.Inner(m.object, i)
	if !device.Has(oldDeviceNames) {
		return true
	}
	for k := range device.Len() {
		switch string(device.Name(k)) {
		case `"userAgent"`, `"cookies"`:
			return false
		}
	}
	return true
}

// appendDevice appends a device with the names of 2.0, and with the user agent and the
// locale of the root if those move there.
func (m *Migrator) appendDevice(dst []byte, device wire.Object, agent, locale bool) []byte {
	var d deviceMembers
	d.read(device)
	dst = append(dst, '{')
	first := len(dst)
	for i := range device.Len() {
		name, value := device.Name(i), device.Value(i)
		switch string(name) {
		case `"userAgent"`:
			if name = nameAgent; m.givesWay("device.userAgent", value, d.agent, "context.device.user_agent") {
				continue
			}
		case `"cookies"`:
			if name = nameCookie; m.givesWay("device.cookies", value, d.cookie, "context.device.cookie") {
				continue
			}
		case `"user_agent"`:
			if agent {
				continue // it is empty
			}
		case `"lang"`:
			if locale {
				continue
			}
		}
		dst = wire.AppendMember(dst, first, name, value)
	}
	return append(m.appendRootDevice(dst, first, agent, locale), '}')
}

// The names in 2.0 of members of a device.
var nameAgent, nameCookie = []byte(`"user_agent"`), []byte(`"cookie"`)

// givesWay reports whether a member of a device with an older name gives way to current,
// the value of the member with the name of 2.0. It records that, or the rename.
func (m *Migrator) givesWay(field string, value, current []byte, to string) bool {
	if current != nil {
		m.recordConflict(field, value, current)
		return true
	}
	m.recordRename(field, to)
	return false
}

// appendRootDevice appends the user agent and the locale of the root, in the order of
// the root.
func (m *Migrator) appendRootDevice(dst []byte, first int, agent, locale bool) []byte {
	for i, kind := range m.kinds {
		switch {
		case kind == rootAgent && agent:
			m.recordRename("userAgent", "context.device.user_agent")
			dst = wire.AppendMember(dst, first, []byte(`"user_agent"`), m.object.Value(i))
		case kind == rootLocale && locale:
			m.recordRename("locale", "context.device.lang")
			dst = wire.AppendMember(dst, first, []byte(`"lang"`), m.object.Value(i))
		}
	}
	return dst
}
