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
// into the device. That requires that every device of the event is an object that has none, or
// an empty one.
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
		if !isSet(device.value) || wire.EmptyList(device.value) {
			continue
		}
		if wire.Kind(device.value) != '{' {
			return false, false
		}
		var d deviceMembers
		d.read(m.outline.Inner(device.of, device.at).Object)
		agent = agent && !isFull(d.agent) && !isFull(d.oldAgent)
		locale = locale && !isFull(d.lang)
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

// appendOwnDevice appends the device of the root, its i-th member.
func (m *Migrator) appendOwnDevice(dst, value []byte, i int, agent, locale bool) []byte {
	switch {
	case wire.EmptyList(value):
		m.warn(CodeEmptyList, "device")
		return m.appendDevice(dst, wire.Object{}, agent, locale)
	case !isSet(value) && (agent || locale):
		m.recordConflict("device", value, nil)
		return m.appendDevice(dst, wire.Object{}, agent, locale)
	case !agent && !locale && m.isCurrentDevice(i):
		return append(dst, value...)
	}
	return m.appendDevice(dst, m.inside(rootDevice).Object, agent, locale)
}

// appendDevice appends a device with the names of 2.0, and with the user agent and the
// locale of the root if those move there, in place of empty values.
func (m *Migrator) appendDevice(dst []byte, device wire.Object, agent, locale bool) []byte {
	var d deviceMembers
	d.read(device)
	dst = append(dst, '{')
	first := len(dst)
	for i := range device.Len() {
		name, value := device.Name(i), device.Value(i)
		lost := false
		switch string(name) {
		case `"userAgent"`:
			name, lost = nameAgent, m.olderGivesWay("device.userAgent", value, d.agent, agent, "context.device.user_agent")
		case `"user_agent"`:
			lost = m.currentGivesWay("device.user_agent", value, d.oldAgent, agent)
		case `"cookies"`:
			name, lost = nameCookie, m.olderGivesWay("device.cookies", value, d.cookie, false, "context.device.cookie")
		case `"cookie"`:
			lost = m.currentGivesWay("device.cookie", value, d.oldCookie, false)
		case `"lang"`:
			lost = m.currentGivesWay("device.lang", value, nil, locale)
		}
		if !lost {
			dst = wire.AppendMember(dst, first, name, value)
		}
	}
	return append(m.appendRootDevice(dst, first, agent, locale), '}')
}

// The names in 2.0 of members of a device.
var nameAgent, nameCookie = []byte(`"user_agent"`), []byte(`"cookie"`)

// prefersOlder reports whether a device has the value of the member with an older name: the one
// with the name of 2.0 is missing, or is empty while the other one is not.
func prefersOlder(current, older []byte) bool {
	return current == nil || !isFull(current) && isFull(older)
}

// olderGivesWay reports whether a member of a device with an older name gives way to the one with
// the name of 2.0, or to that of the root. It records that, or the rename.
func (m *Migrator) olderGivesWay(field string, value, current []byte, outside bool, to string) bool {
	switch {
	case outside:
		m.recordEmpty(field, value)
	case !prefersOlder(current, value):
		m.recordConflict(field, value, current)
	default:
		m.recordRename(field, to)
		return false
	}
	return true
}

// currentGivesWay reports whether a member of a device with the name of 2.0 gives way to the one
// with the older name, or to that of the root, and records that.
func (m *Migrator) currentGivesWay(field string, value, older []byte, outside bool) bool {
	switch {
	case outside:
		m.recordEmpty(field, value)
	case prefersOlder(value, older):
		m.recordConflict(field, value, older)
	default:
		return false
	}
	return true
}

// recordEmpty records that an empty value gave way, unless it is null or "".
func (m *Migrator) recordEmpty(field string, value []byte) {
	if isSet(value) {
		m.recordConflict(field, value, nil)
	}
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
