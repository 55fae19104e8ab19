package commandersact

import (
	"bytes"
	"strconv"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// contextMembers are the members of a context that an event of 1.0 has already, in its
// root or in its properties, as far as the new context has a place of their own for
// them.
type contextMembers struct {
	object, id, time, version []byte
	device                    []byte
	hasCamelID                bool        // the id is named eventId, as by the vendor's own sender
	members                   wire.Object // all of them
	deviceAt                  int         // which of them is the device
	of                        wire.Object // the context is its value at
	at                        int
}

// read finds the members of a context, the i-th value of an object. A value that is not an
// object has none.
func (c *contextMembers) read(of wire.Object, i int, members wire.Object) {
	c.object, c.of, c.at, c.members = of.Value(i), of, i, members
	for i := range members.Len() {
		value := members.Value(i)
		switch string(members.Name(i)) {
		case `"event_id"`:
			c.id = value
		case `"eventId"`:
			c.hasCamelID = isSet(value)
		case `"event_timestamp"`:
			c.time = value
		case `"version"`:
			c.version = value
		case `"device"`:
			c.device, c.deviceAt = value, i
		}
	}
}

// candidate is a value in one of the places where it may be.
type candidate struct {
	value []byte
	field string
}

// idCandidates returns the places of the id, by precedence. The second and the third are
// older spellings.
func (m *Migrator) idCandidates() [5]candidate {
	return [...]candidate{
		{m.root(rootID), "event_id"}, {m.root(rootIDCamel), "eventId"}, {m.root(rootIDTypo), "event_Id"},
		{m.outer.id, "context.event_id"}, {m.inner.id, "properties.context.event_id"},
	}
}

// timeCandidates is idCandidates for the time.
func (m *Migrator) timeCandidates() [5]candidate {
	return [...]candidate{
		{m.root(rootTime), "event_timestamp"}, {m.root(rootTimeCamel), "eventTimestamp"}, {},
		{m.outer.time, "context.event_timestamp"}, {m.inner.time, "properties.context.event_timestamp"},
	}
}

// firstOf returns the first candidate whose value is as wanted, or an empty one.
func firstOf(all [5]candidate, wanted func(value []byte) bool) candidate {
	for _, c := range all {
		if wanted(c.value) {
			return c
		}
	}
	return candidate{}
}

// firstID returns the first candidate that may be an id, or else the first that is set.
func firstID(all [5]candidate) candidate {
	if best := firstOf(all, isFull); best.value != nil {
		return best
	}
	return firstOf(all, isSet)
}

// firstTime returns the first candidate that is a time, or else the first that is set.
func firstTime(all [5]candidate) candidate {
	if best := firstOf(all, isTime); best.value != nil {
		return best
	}
	return firstOf(all, isSet)
}

func isTime(raw []byte) bool {
	t, _ := ReadTime(raw)
	return !t.IsZero()
}

// choose records which candidates gave way to the best one and, if that is an older spelling,
// its new name.
func (m *Migrator) choose(best candidate, all [5]candidate, to string) candidate {
	for i, c := range all {
		switch {
		case c.value == nil || best.value == nil:
		case c.field != best.field:
			m.recordConflict(c.field, c.value, best.value)
		case i == 1 || i == 2:
			m.recordRename(c.field, to)
		}
	}
	return best
}

// writeContext writes the context, with the metadata of the root.
func (m *Migrator) writeContext() {
	m.recordContexts()
	m.out.Name([]byte(`"context"`))
	m.out.Text = m.appendContext(append(m.out.Text, '{'))
	m.out.EndValue()
}

// recordContexts records what is lost of the contexts that the event has already.
func (m *Migrator) recordContexts() {
	if context := m.asObject(m.root(rootContext), []byte(`"context"`)); m.outer.object == nil && isSet(context) {
		m.recordConflict("context", context, emptyObject)
	}
	for _, c := range [...]candidate{
		{m.root(rootVersion), "version"}, {m.outer.version, "context.version"}, {m.inner.version, "properties.context.version"},
	} {
		if isSet(c.value) && string(c.value) != "1" && string(c.value) != "2" {
			m.recordConflict(c.field, c.value, nil)
		}
	}
}

// appendContext appends the members of the context and its closing brace.
func (m *Migrator) appendContext(dst []byte) []byte {
	first := len(dst)
	dst = m.appendID(dst, first)
	dst, timed := m.appendTime(dst, first)
	if m.outer.object == nil && m.inner.object == nil {
		dst = m.appendMetadata(dst, first)
	} else {
		m.odd = true
		dst = m.appendMergedMetadata(dst, first)
	}
	if !timed {
		m.odd = true
		dst = m.appendFallbackTime(dst, first)
	}
	dst = wire.AppendMember(dst, first, []byte(`"version"`), []byte(`2`))
	return append(dst, '}')
}

// hasOtherPlaces reports whether the id or the time may be in another place than the
// root, or have another name.
func (m *Migrator) hasOtherPlaces() bool {
	return m.positions[rootIDCamel]|m.positions[rootIDTypo]|m.positions[rootTimeCamel] != 0 || m.inner.object != nil || m.outer.object != nil
}

// appendID appends the id, a number as a string. An event without an id gets none here:
// the handler generates one and marks the event.
func (m *Migrator) appendID(dst []byte, first int) []byte {
	if id := m.root(rootID); hasText(id) && !m.hasOtherPlaces() {
		return append(append(dst, `"event_id":`...), id...)
	}
	all := m.idCandidates()
	id := m.choose(firstID(all), all, "context.event_id")
	switch {
	case id.value == nil && !m.outer.hasCamelID && !m.inner.hasCamelID:
		m.warn(CodeMissingID, "event_id")
		return dst
	case id.value == nil:
		return dst
	case wire.IsNumber(id.value):
		m.warn(CodeIDNotString, id.field)
		dst = wire.AppendMember(dst, first, []byte(`"event_id"`), []byte(`"`))
		return append(append(dst, id.value...), '"')
	}
	return wire.AppendMember(dst, first, []byte(`"event_id"`), id.value)
}

// appendTime appends the time of the event, and reports whether it has one. A time that
// cannot be read stays as it is, or is replaced by ReceivedAt.
func (m *Migrator) appendTime(dst []byte, first int) (_ []byte, timed bool) {
	if at := m.root(rootTime); isMillis(at) && !m.hasOtherPlaces() {
		return wire.AppendMember(dst, first, []byte(`"event_timestamp"`), at), true
	}
	all := m.timeCandidates()
	best := m.choose(firstTime(all), all, "context.event_timestamp")
	t, code := ReadTime(best.value)
	switch code {
	case CodeTimestampMissing:
		return dst, false
	case CodeTimestampInvalid:
		return m.appendInvalidTime(dst, first, best), true
	case "":
	default:
		m.warn(code, best.field)
	}
	return appendMillis(dst, first, t), true
}

// appendInvalidTime appends a value that is no time, next to that of properties.created, which the
// handler uses instead; or ReceivedAt in its place.
func (m *Migrator) appendInvalidTime(dst []byte, first int, at candidate) []byte {
	if m.options.ReceivedAt.IsZero() {
		m.warn(CodeTimestampInvalid, at.field)
		dst = wire.AppendMember(dst, first, []byte(`"event_timestamp"`), at.value)
		if !m.readCreated().IsZero() && !m.hasOtherCreated() {
			m.odd = true
			m.warn(CodeTimestampCreated, "properties.created")
			dst = wire.AppendMember(dst, first, createdName, m.created)
		}
		return dst
	}
	m.record(KindWarning, CodeTimestampInvalid, at.field, "", at.value)
	return appendMillis(dst, first, m.options.ReceivedAt)
}

// appendFallbackTime appends the time of an event that has none: properties.created if
// that is a time, otherwise ReceivedAt, if that is known.
func (m *Migrator) appendFallbackTime(dst []byte, first int) []byte {
	if t := m.readCreated(); !t.IsZero() {
		m.warn(CodeTimestampCreated, "properties.created")
		return appendMillis(dst, first, t)
	}
	m.warn(CodeTimestampMissing, "event_timestamp")
	return appendMillis(dst, first, m.options.ReceivedAt)
}

var createdName = []byte(`"created"`)

// readCreated returns the time in properties.created, the zero time if there is none.
func (m *Migrator) readCreated() time.Time {
	if wire.Kind(m.created) != '"' {
		return time.Time{}
	}
	t, _ := readISOTime([]byte(wire.Text(m.created)))
	return t
}

// hasOtherCreated reports whether the new context gets a member "created" from elsewhere.
func (m *Migrator) hasOtherCreated() bool {
	return m.object.Get(string(createdName)) != nil || m.outer.members.Get(string(createdName)) != nil ||
		m.inner.members.Get(string(createdName)) != nil
}

// appendMillis appends a time. It appends nothing for the zero time.
func appendMillis(dst []byte, first int, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	dst = wire.AppendMember(dst, first, []byte(`"event_timestamp"`), nil)
	return strconv.AppendInt(dst, t.UnixMilli(), 10)
}

// appendMergedMetadata appends the metadata of the root, merged with the contexts that
// the event has already: with all of their members except those that the new context has a
// value of its own for. Events with both are rare, as no published example has them.
func (m *Migrator) appendMergedMetadata(dst []byte, first int) []byte {
	if !m.room(m.outer.object) || !m.room(m.inner.object) {
		return dst
	}
	text := append(m.appendMetadata(append(m.scratch[:0], '{'), 1), '}')
	m.scratch = text
	for i, context := range [...]*contextMembers{&m.outer, &m.inner} {
		if context.object == nil {
			continue
		}
		m.under.SetInner(context.of, context.at, context.members)
		m.under.Leave(`"event_id"`, `"event_timestamp"`, `"version"`)
		m.under.Note([...]string{"context", "properties.context"}[i], m.noting(m.recordLost))
		m.under.Prefer("", givesWay)
		m.merging, _, _ = m.under.AppendUnder(m.merging[:0], text, "")
		m.scratch, m.merging = m.merging, m.scratch
		text = m.scratch
	}
	if len(text) == len("{}") {
		return dst
	}
	if len(dst) > first {
		dst = append(dst, ',')
	}
	return append(dst, text[1:len(text)-1]...)
}

// appendMetadata appends the metadata of the root, except the id and the time.
func (m *Migrator) appendMetadata(dst []byte, first int) []byte {
	agent, locale := m.movesIntoDevice()
	device := m.root(rootDevice) != nil
	for i, kind := range m.kinds {
		name, value := m.object.Name(i), m.object.Value(i)
		switch {
		case (kind != rootDevice || !agent && !locale) && m.givesWayToContext(kind, name, value):
		case kind == rootPage:
			dst = m.appendPage(wire.AppendMember(dst, first, name, nil), value, i)
		case kind == rootDevice:
			dst = m.appendOwnDevice(wire.AppendMember(dst, first, name, nil), value, i, agent, locale)
		case kind == rootAgent && agent, kind == rootLocale && locale:
			if !device {
				dst = m.appendDevice(wire.AppendMember(dst, first, []byte(`"device"`), nil), wire.Object{}, agent, locale)
				device = true
			}
		case kind >= rootType:
			if !m.countOnly {
				m.warn(CodeUnknownRoot, wire.Text(name))
			}
			m.odd = m.odd || string(name) == string(createdName)
			dst = wire.AppendMember(dst, first, name, value)
		case kind == rootApp:
			dst = wire.AppendMember(dst, first, name, m.asObject(value, name))
		case rootApp < kind && kind <= rootLocale:
			dst = wire.AppendMember(dst, first, name, value)
		}
	}
	return dst
}

// givesWayToContext reports whether metadata of the root is empty, and gives way to a member
// of that name in a context that the event has already.
func (m *Migrator) givesWayToContext(kind rootKind, name, value []byte) bool {
	if m.outer.object == nil && m.inner.object == nil || kind < rootPage || rootLocale < kind && kind < rootType ||
		isFull(value) || !isFull(m.outer.members.Get(string(name))) && !isFull(m.inner.members.Get(string(name))) {
		return false
	}
	m.recordConflict(wire.Text(name), value, nil)
	return true
}

// appendPage appends a page, the i-th member of the root. 1.0 called its URL location.
func (m *Migrator) appendPage(dst, page []byte, i int) []byte {
	if wire.Kind(page) != '{' {
		return append(dst, m.asObject(page, []byte(`"page"`))...)
	}
	members := m.outline.Inner(m.object, i)
	if !members.Has(locationName) {
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
		m.recordRename("page.location", "context.page.url")
	case !isFull(url) && isFull(location):
		m.recordRename("page.location", "context.page.url")
		m.recordConflict("page.url", url, location)
		return appendPageURL(dst, members.Object, true)
	case !bytes.Equal(url, location) && wire.Text(url) != wire.Text(location):
		m.warn(CodeLocationKept, "page.location")
		return append(dst, page...)
	}
	return appendPageURL(dst, members.Object, url == nil)
}

// appendPageURL appends a page whose location is renamed to url, which is then left out, or is
// left out itself.
func appendPageURL(dst []byte, page wire.Object, rename bool) []byte {
	dst = append(dst, '{')
	first := len(dst)
	for i := range page.Len() {
		name := page.Name(i)
		switch string(name) {
		case `"url"`:
			if rename {
				continue
			}
		case `"location"`:
			if !rename {
				continue
			}
			name = []byte(`"url"`)
		}
		dst = wire.AppendMember(dst, first, name, page.Value(i))
	}
	return append(dst, '}')
}
