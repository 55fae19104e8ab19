package inlet

import "github.com/inlet-go/inlet/internal/wire"

// deviceNames are the members of a device that have, or had, several names.
type deviceNames struct{ agent, oldAgent, cookie, oldCookie, lang []byte }

func (d *deviceNames) read(device []byte) {
	for w := wire.Walk(device); w.Next(); {
		switch string(w.Name) {
		case `"user_agent"`:
			d.agent = w.Value
		case `"userAgent"`:
			d.oldAgent = w.Value
		case `"cookie"`:
			d.cookie = w.Value
		case `"cookies"`:
			d.oldCookie = w.Value
		case `"lang"`:
			d.lang = w.Value
		}
	}
}

// fitsDevice reports whether the root has a user agent or a locale that belongs
// into the device: that is an object, or not there, and does not say it already.
func (m *actsMigration) fitsDevice(kind rootKind) bool {
	if m.root(kind) == nil {
		return false
	}
	for _, device := range [...][]byte{m.root(rootDevice), m.outer.device, m.inner.device} {
		if device == nil {
			continue
		}
		if wire.Kind(device) != '{' {
			return false
		}
		var d deviceNames
		d.read(device)
		if kind == rootAgent && (isSet(d.agent) || d.oldAgent != nil) || kind == rootLocale && isSet(d.lang) {
			return false
		}
	}
	return true
}

// isTodaysDevice reports whether the i-th member of the root is a device without
// older names, or no object.
func (m *actsMigration) isTodaysDevice(i int) bool {
	if wire.Kind(m.object.Value(i)) != '{' {
		return true
	}
	device := m.outline.Inner(m.object, i)
	if !device.Has(actsOlderNames) {
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

// appendDevice appends a device with today's names, and with the root's user
// agent and locale if they go there.
func (m *actsMigration) appendDevice(dst, device []byte, agent, locale bool) []byte {
	var d deviceNames
	d.read(device)
	dst = append(dst, '{')
	first := len(dst)
	for w := wire.Walk(device); w.Next(); {
		name, value := w.Name, w.Value
		switch string(name) {
		case `"userAgent"`:
			if name = nameAgent; m.taken("device.userAgent", value, d.agent, "context.device.user_agent") {
				continue
			}
		case `"cookies"`:
			if name = nameCookie; m.taken("device.cookies", value, d.cookie, "context.device.cookie") {
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

// Today's names of members of a device.
var nameAgent, nameCookie = []byte(`"user_agent"`), []byte(`"cookie"`)

// taken reports whether a member of a device with an older name gives way to one
// that has today's already.
func (m *actsMigration) taken(field string, value, taken []byte, to string) bool {
	if taken != nil {
		m.conflict(field, value, taken)
		return true
	}
	m.renamed(field, to)
	return false
}

// appendRootDevice appends the user agent and the locale of the root, in order.
func (m *actsMigration) appendRootDevice(dst []byte, first int, agent, locale bool) []byte {
	for i, kind := range m.kinds {
		switch {
		case kind == rootAgent && agent:
			m.renamed("userAgent", "context.device.user_agent")
			dst = wire.AppendMember(dst, first, []byte(`"user_agent"`), m.object.Value(i))
		case kind == rootLocale && locale:
			m.renamed("locale", "context.device.lang")
			dst = wire.AppendMember(dst, first, []byte(`"lang"`), m.object.Value(i))
		}
	}
	return dst
}
