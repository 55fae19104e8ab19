package inlet

import (
	"bytes"
	"strconv"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// metadata is a context that an event of 1.0 has already, in its root or in its
// properties, and the members of it that have a place of their own in the new one.
type metadata struct {
	object, id, time, version, device []byte
	otherID                           bool // it is written as the vendor's own sender writes it
}

// read reads a context. One that is no object has nothing.
func (c *metadata) read(raw []byte) {
	if wire.Kind(raw) != '{' {
		return
	}
	c.object = raw
	for w := wire.Walk(raw); w.Next(); {
		switch string(w.Name) {
		case `"event_id"`:
			c.id = w.Value
		case `"eventId"`:
			c.otherID = isSet(w.Value)
		case `"event_timestamp"`:
			c.time = w.Value
		case `"version"`:
			c.version = w.Value
		case `"device"`:
			c.device = w.Value
		}
	}
}

// candidate is one of the places where a value may stand.
type candidate struct {
	value []byte
	field string
}

func (m *actsMigration) ids() [5]candidate {
	return [...]candidate{
		{m.root(rootID), "event_id"}, {m.root(rootIDCamel), "eventId"}, {m.root(rootIDTypo), "event_Id"},
		{m.outer.id, "context.event_id"}, {m.inner.id, "properties.context.event_id"},
	}
}

func (m *actsMigration) times() [5]candidate {
	return [...]candidate{
		{m.root(rootTime), "event_timestamp"}, {m.root(rootTimeCamel), "eventTimestamp"}, {},
		{m.outer.time, "context.event_timestamp"}, {m.inner.time, "properties.context.event_timestamp"},
	}
}

// chosen is the first candidate that says anything, or the empty one.
func (m *actsMigration) chosen(all [5]candidate) candidate {
	for _, c := range all {
		if isSet(c.value) {
			return c
		}
	}
	return candidate{}
}

// choose is chosen that notes which candidates gave way, and to what the one is
// renamed if it is one of the root's older spellings.
func (m *actsMigration) choose(all [5]candidate, to string) candidate {
	best := m.chosen(all)
	for i, c := range all {
		switch {
		case !isSet(c.value):
		case c.field != best.field:
			m.conflict(c.field, c.value, best.value)
		case i == 1 || i == 2:
			m.renamed(c.field, to)
		}
	}
	return best
}

// writeContext moves the metadata of the root into the context.
func (m *actsMigration) writeContext() {
	m.noteContexts()
	m.out.Name([]byte(`"context"`))
	m.out.Text = m.appendContext(append(m.out.Text, '{'))
	m.out.EndValue()
}

// noteContexts notes what cannot be kept of the contexts that there are.
func (m *actsMigration) noteContexts() {
	if context := m.root(rootContext); m.outer.object == nil && isSet(context) {
		m.conflict("context", context, nil)
	}
	for _, c := range [...]candidate{
		{m.root(rootVersion), "version"}, {m.outer.version, "context.version"}, {m.inner.version, "properties.context.version"},
	} {
		if isSet(c.value) && string(c.value) != "1" && string(c.value) != "2" {
			m.conflict(c.field, c.value, nil)
		}
	}
}

func (m *actsMigration) appendContext(dst []byte) []byte {
	first := len(dst)
	dst = m.appendID(dst, first)
	dst, timed := m.appendTime(dst, first)
	if m.outer.object == nil && m.inner.object == nil {
		dst = m.appendMetadata(dst, first)
	} else {
		dst = m.appendMergedMetadata(dst, first)
	}
	if !timed {
		dst = m.appendOtherTime(dst, first)
	}
	dst = wire.AppendMember(dst, first, []byte(`"version"`), []byte(`2`))
	return append(dst, '}')
}

// hasOtherMetadata reports whether the id or the time may stand in another place
// than the root, or under another name.
func (m *actsMigration) hasOtherMetadata() bool {
	return m.at[rootIDCamel]|m.at[rootIDTypo]|m.at[rootTimeCamel] != 0 || m.inner.object != nil || m.outer.object != nil
}

// appendID appends the id, a number as a text. An event without an id gets none:
// the handler makes one, and says so.
func (m *actsMigration) appendID(dst []byte, first int) []byte {
	if id := m.root(rootID); hasText(id) && !m.hasOtherMetadata() {
		return append(append(dst, `"event_id":`...), id...)
	}
	id := m.choose(m.ids(), "context.event_id")
	switch {
	case id.value == nil && !m.outer.otherID && !m.inner.otherID:
		m.warn(MigrationMissingID, "event_id")
		return dst
	case id.value == nil:
		return dst
	case wire.IsNumber(id.value):
		m.warn(MigrationIDNotString, id.field)
		dst = wire.AppendMember(dst, first, []byte(`"event_id"`), []byte(`"`))
		return append(append(dst, id.value...), '"')
	}
	return wire.AppendMember(dst, first, []byte(`"event_id"`), id.value)
}

// appendTime appends the time of the event, and reports whether it has one. For
// one that cannot be read, that of the arrival stands in.
func (m *actsMigration) appendTime(dst []byte, first int) (_ []byte, timed bool) {
	if at := m.root(rootTime); isMillis(at) && !m.hasOtherMetadata() {
		return wire.AppendMember(dst, first, []byte(`"event_timestamp"`), at), true
	}
	at := m.choose(m.times(), "context.event_timestamp")
	t, code := readCommandersActTime(at.value)
	switch code {
	case MigrationTimestampMissing:
		return dst, false
	case MigrationTimestampInvalid:
		m.note(MigrationWarning, code, at.field, "", at.value)
		t = m.options.ReceivedAt
	case "":
	default:
		m.warn(code, at.field)
	}
	return appendMillis(dst, first, t), true
}

// appendOtherTime appends a time for an event that says none itself.
func (m *actsMigration) appendOtherTime(dst []byte, first int) []byte {
	if wire.Kind(m.created) == '"' {
		if t, code := readISOTime([]byte(wire.Text(m.created))); code != MigrationTimestampInvalid {
			m.warn(MigrationTimestampCreated, "properties.created")
			return appendMillis(dst, first, t)
		}
	}
	m.warn(MigrationTimestampMissing, "event_timestamp")
	return appendMillis(dst, first, m.options.ReceivedAt)
}

// appendMillis appends a time, the zero one not at all.
func appendMillis(dst []byte, first int, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	dst = wire.AppendMember(dst, first, []byte(`"event_timestamp"`), nil)
	return strconv.AppendInt(dst, t.UnixMilli(), 10)
}

// appendMergedMetadata appends the metadata of the root with what the contexts
// have beside it. It takes memory of its own: no document shows such events.
func (m *actsMigration) appendMergedMetadata(dst []byte, first int) []byte {
	text := append(m.appendMetadata([]byte{'{'}, 1), '}')
	if m.outer.object != nil {
		text = wire.AppendMergedNoting(nil, m.outer.object, text, "context", m.lost)
	}
	if m.inner.object != nil {
		text = wire.AppendMergedNoting(nil, m.inner.object, text, "properties.context", m.lostMetadata)
	}
	for w := wire.Walk(text); w.Next(); {
		switch string(w.Name) {
		case `"event_id"`, `"event_timestamp"`, `"version"`:
		default:
			dst = wire.AppendMember(dst, first, w.Name, w.Value)
		}
	}
	return dst
}

// lostMetadata is lost, but for members that have been noted already.
func (m *actsMigration) lostMetadata(field string, value []byte) {
	switch field {
	case "properties.context.event_id", "properties.context.event_timestamp", "properties.context.version":
		return
	}
	m.lost(field, value)
}

// appendMetadata appends what the root says about the event but its id and time.
func (m *actsMigration) appendMetadata(dst []byte, first int) []byte {
	agent, locale := m.fitsDevice(rootAgent), m.fitsDevice(rootLocale)
	device := m.root(rootDevice) != nil
	for i, kind := range m.kinds {
		name, value := m.object.Name(i), m.object.Value(i)
		switch {
		case kind == rootPage:
			dst = m.appendPage(wire.AppendMember(dst, first, name, nil), value, i)
		case kind == rootDevice:
			dst = wire.AppendMember(dst, first, name, nil)
			if !agent && !locale && m.isTodaysDevice(i) {
				dst = append(dst, value...)
			} else {
				dst = m.appendDevice(dst, value, agent, locale)
			}
		case kind == rootAgent && agent, kind == rootLocale && locale:
			if !device {
				dst = m.appendDevice(wire.AppendMember(dst, first, []byte(`"device"`), nil), []byte(`{}`), agent, locale)
				device = true
			}
		case kind >= rootType:
			if !m.counts {
				m.warn(MigrationUnknownRoot, wire.Text(name))
			}
			dst = wire.AppendMember(dst, first, name, value)
		case rootApp <= kind && kind <= rootLocale:
			dst = wire.AppendMember(dst, first, name, value)
		}
	}
	return dst
}

// appendPage appends a page, the i-th member of the root, whose address 1.0 called
// location.
func (m *actsMigration) appendPage(dst, page []byte, i int) []byte {
	if wire.Kind(page) != '{' {
		return append(dst, page...)
	}
	members := m.outline.Inner(m.object, i)
	if !members.Has(actsLocation) {
		return append(dst, page...)
	}
	var url, location []byte
	for k := range members.Len() {
		switch string(members.Name(k)) {
		case `"url"`:
			url = members.Value(k)
		case `"location"`:
			location = members.Value(k)
		}
	}
	switch {
	case wire.Kind(location) != '"':
		return append(dst, page...)
	case url == nil:
		m.renamed("page.location", "context.page.url")
	case !bytes.Equal(url, location) && wire.Text(url) != wire.Text(location):
		m.warn(MigrationLocationKept, "page.location")
		return append(dst, page...)
	}
	return appendLocated(dst, page, url == nil)
}

// appendLocated appends a page with its location as its url, or without it.
func appendLocated(dst, page []byte, rename bool) []byte {
	dst = append(dst, '{')
	first := len(dst)
	for w := wire.Walk(page); w.Next(); {
		name := w.Name
		if string(name) == `"location"` {
			if !rename {
				continue
			}
			name = []byte(`"url"`)
		}
		dst = wire.AppendMember(dst, first, name, w.Value)
	}
	return append(dst, '}')
}
