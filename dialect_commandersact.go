package inlet

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/inlet-go/inlet/internal/wire"
)

// CommandersAct returns the dialect of version 2.0 of Commanders Act's HTTP
// tracking API and of its tracking pixel. Events of version 1.0 are refused, each
// on its own, unless a layer before the handler has migrated them.
//
// As documented, an answer is 200 also where events were refused: the body says
// which. Only a body that is too large or no JSON is 400. A request that is not
// vouched for, or comes too fast, or while events cannot be stored, is answered
// as in all dialects.
func CommandersAct() Dialect { return commandersAct{} }

type commandersAct struct{}

// Name is "commandersact".
func (commandersAct) Name() string { return "commandersact" }

// KeyPlaces are the query, beside the Bearer token of older documents.
func (commandersAct) KeyPlaces() KeyPlaces { return KeyPlaces{Query: []string{queryToken}} }

// Parameters of the query that are no data of an event's.
const (
	queryToken = "token"
	querySite  = "tc_s"
)

// Routes are the documented ones: an event, a batch, and the pixel.
func (commandersAct) Routes() []Route {
	event := Route{Path: "/events", BearerIsKey: true, UserOptional: true}
	post, pixel, batch := event, event, event
	post.Method, post.Form, post.Decode = http.MethodPost, FormLenient, decodeActsEvent
	pixel.Method, pixel.Form, pixel.Decode = http.MethodGet, FormPixel, decodeActsPixel
	pixel.Body = actsPixel
	batch.Method, batch.Form, batch.Decode = http.MethodPost, FormLenient, decodeActsBatch
	batch.Path, batch.Size = "/events/batch", SizeBatch
	return []Route{post, pixel, batch}
}

// decodeActsEvent reads a body that is one event.
func decodeActsEvent(in *Input) error { return in.addOnlyActs(in.doc.AsItem()) }

func (in *Input) addOnlyActs(item wire.Item) error {
	site, err := in.site()
	if err == nil {
		in.addActs(0, &item, site)
	}
	return err
}

// typicalText is the room for the strings of an event of a batch: a name, two
// ids of the user's and one of the event's.
const typicalText = 128

// decodeActsBatch reads a body that lists events.
func decodeActsBatch(in *Input) error {
	items, listed := in.doc.Items()
	if !listed {
		return &Error{Code: CodeBatchNotArray, Field: "batch"}
	}
	if len(items) == 0 {
		return &Error{Code: CodeEmptyBatch, Field: "batch"}
	}
	site, err := in.site()
	if err != nil {
		return err
	}
	in.structs = slices.Grow(in.structs, len(items))
	in.text.Grow(typicalText * len(items))
	for i := range items {
		in.addActs(i, &items[i], site)
	}
	return nil
}

// site returns the Extra of all events of the request, which holds the id of the
// site that the query names, or nil.
func (in *Input) site() (json.RawMessage, error) {
	id := queryValue(in.Request.URL.RawQuery, querySite)
	if id == "" {
		return nil, nil
	}
	if len(id) > in.limits.MessageIDLength { // it is stored with every event
		return nil, &Error{Code: CodeInvalidRequest, Message: "the id of the site is too long", Field: querySite}
	}
	start := len(in.raw)
	in.raw = wire.AppendString(append(in.raw, `{"`+querySite+`":`...), id)
	in.raw = append(in.raw, '}')
	return in.raw[start:len(in.raw):len(in.raw)], nil
}

// queryValue returns the first value of a parameter, or "".
func queryValue(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		if n, value, _ := strings.Cut(pair, "="); n == name {
			if text, err := url.QueryUnescape(value); err == nil {
				return text
			}
			return value
		}
	}
	return ""
}

// commandersActTime reads a time as clients of Commanders Act write it: a number
// or a string of digits, which are milliseconds and, if too small for that,
// seconds; or ISO 8601. It is not ok for a value that is no time: null, "" and
// nothing, without a warning, and all else with one.
func commandersActTime(raw []byte) (t time.Time, w Warnings, ok bool) {
	t, code := readCommandersActTime(raw)
	switch code {
	case MigrationTimestampMissing:
		return t, 0, false
	case MigrationTimestampInvalid:
		return t, WarnTimestampInvalid, false
	case MigrationTimestampSeconds, MigrationTimestampZone:
		return t, WarnTimestampGuessed, true
	}
	return t, 0, true
}

// actsSlot is a member of an event of Commanders Act.
type actsSlot int

const (
	actsName actsSlot = iota
	actsAlias
	actsUser
	actsContext
	actsIntegrations
	actsID         // beside the context, as the documents' batch prints the time
	actsTime       // as above
	actsProperties // of version 1.0, or a property of this name
	actsVersion    // as above
	actsSlotCount

	actsKey      // a write key, which is dropped
	actsProperty // any other
)

func actsSlotOf(quoted []byte) actsSlot {
	switch string(quoted) {
	case `"event_name"`:
		return actsName
	case `"event"`:
		return actsAlias
	case `"user"`:
		return actsUser
	case `"context"`:
		return actsContext
	case `"integrations"`:
		return actsIntegrations
	case `"event_id"`:
		return actsID
	case `"event_timestamp"`:
		return actsTime
	case `"properties"`:
		return actsProperties
	case `"version"`:
		return actsVersion
	}
	if segmentSlotOf(quoted) == slotKey {
		return actsKey
	}
	return actsProperty
}

// Members of an event's context and user that the normalised form has fields for.
// The vendor's own sender calls the id eventId, and says created for the time.
var (
	actsContextMembers = []string{`"event_id"`, `"eventId"`, `"event_timestamp"`, `"created"`, `"version"`}
	actsUserMembers    = []string{`"id"`, `"consistent_anonymous_id"`}
)

// actsMembers are the values of an event that the normalised form has fields for.
type actsMembers struct {
	root    wire.Object
	at      [actsSlotCount][]byte
	context [5][]byte // as actsContextMembers
	user    [2][]byte // as actsUserMembers
	named   actsSlot  // which member is the event's name
}

// find notes the members of an event and returns how much room its strings need
// at most.
func (m *actsMembers) find(root wire.Object) (room int) {
	m.root = root
	for i := range root.Len() {
		if slot := actsSlotOf(root.Name(i)); slot < actsSlotCount {
			m.at[slot] = root.Value(i)
		}
	}
	if wire.Kind(m.at[actsContext]) == '{' {
		wire.FindEach(m.at[actsContext], actsContextMembers, m.context[:])
	}
	if wire.Kind(m.at[actsUser]) == '{' {
		wire.FindEach(m.at[actsUser], actsUserMembers, m.user[:])
	}
	m.named = actsName
	if name := m.at[actsName]; wire.Kind(name) == 0 || wire.Kind(name) == 'n' || string(name) == `""` {
		if wire.Kind(m.at[actsAlias]) == '"' {
			m.named = actsAlias
		}
	}
	return idLength + len(m.at[m.named]) + len(m.at[actsID]) + len(m.context[0]) + len(m.context[1]) +
		len(m.user[0]) + len(m.user[1])
}

// isV1 reports whether the event is in the format of version 1.0.
func (m *actsMembers) isV1() bool {
	return commandersActClassOf(m.at[actsContext], m.at[actsProperties], m.at[actsVersion]) == commandersActV1
}

// besideContext returns what a published example of 2.0 has in the root, not in
// the context. In an event whose context says that it is version 2, as one that was
// migrated does, such a member is a property and nothing else.
func (m *actsMembers) besideContext(slot actsSlot) []byte {
	if string(m.context[4]) == "2" {
		return nil
	}
	return m.at[slot]
}

// isProperty reports whether a member in a slot is a property of the event.
func (m *actsMembers) isProperty(slot actsSlot) bool {
	switch slot {
	case actsName, actsUser, actsContext, actsIntegrations, actsKey:
		return false
	case actsAlias:
		return m.named != actsAlias
	}
	return true
}

// actsEvent is an event on its way from a payload.
type actsEvent struct {
	*Event
	in *Input
	m  *actsMembers
}

// addActs adds the event at a place of the request, or refuses it.
func (in *Input) addActs(place int, item *wire.Item, extra json.RawMessage) {
	if p := problemOf(item.Fault); p != nil {
		in.Refuse(place, "", p)
		return
	}
	var m actsMembers
	in.text.Grow(m.find(item.Object))
	e := actsEvent{in.Add(place), in, &m}
	if item.Repaired {
		e.Warnings |= WarnTextRepaired
	}
	if p := e.fill(); p != nil {
		in.refuseLast(p)
		return
	}
	e.setTime()
	e.Properties, e.Extra = e.properties(), extra
}

// fill sets what can be wrong with an event.
func (e *actsEvent) fill() *Problem {
	if p := e.setMessageID(); p != nil {
		return p
	}
	if e.m.isV1() {
		return problem(CodePayloadV1, "properties")
	}
	if p := e.setName(); p != nil {
		return p
	}
	if p := e.setObjects(); p != nil {
		return p
	}
	if p := e.setID(&e.UserID, e.m.user[0], "user.id"); p != nil {
		return p
	}
	return e.setID(&e.AnonymousID, e.m.user[1], "user.consistent_anonymous_id")
}

// setMessageID takes the id of the context, by its name and that which the
// vendor's own sender uses, or else of the root.
func (e *actsEvent) setMessageID() *Problem {
	if p := e.setID(&e.MessageID, e.m.context[0], "context.event_id"); p != nil || e.MessageID != "" {
		return p
	}
	if p := e.setID(&e.MessageID, e.m.context[1], "context.eventId"); p != nil || e.MessageID != "" {
		return p
	}
	return e.setID(&e.MessageID, e.m.besideContext(actsID), "event_id")
}

func (e *actsEvent) setID(dst *string, raw json.RawMessage, field string) *Problem {
	text, warnings, p := e.in.ID(raw, field)
	*dst = text
	e.Warnings |= warnings
	return p
}

// setName sets the name and the type, which follows from it.
func (e *actsEvent) setName() *Problem {
	raw := e.m.at[e.m.named]
	switch kind := wire.Kind(raw); {
	case kind == '"' && string(raw) != `""`:
		e.Name = e.in.Text(raw)
	case kind == '"', kind == 0, kind == 'n':
		return &Problem{Code: CodeEventNotDefined, Message: "event_name is required", Field: "event_name"}
	default:
		return problem(CodeEventNotString, "event_name")
	}
	e.Type = TypeTrack
	if e.Name == "page_view" {
		e.Type = TypePage
	}
	return nil
}

func (e *actsEvent) setObjects() *Problem {
	if p := e.setObject(&e.Context, actsContext, CodeContextNotObject, "context"); p != nil {
		return p
	}
	if p := e.setObject(&e.Traits, actsUser, CodeTraitsNotObject, "user"); p != nil {
		p.Message = "user must be an object"
		return p
	}
	return e.setObject(&e.Integrations, actsIntegrations, CodeIntegrationsNotObject, "integrations")
}

func (e *actsEvent) setObject(dst *json.RawMessage, slot actsSlot, code Code, field string) *Problem {
	raw, warnings, p := e.in.Object(e.m.at[slot], code, field)
	*dst = raw
	e.Warnings |= warnings
	return p
}

// setTime sets when the event happened: what the context says, or else the root,
// or else when the vendor's own sender made the event. No document says when the
// request was sent, so that the time is not corrected.
func (e *actsEvent) setTime() {
	for _, raw := range [...][]byte{e.m.context[2], e.m.besideContext(actsTime), e.m.context[3]} {
		t, warnings, ok := commandersActTime(raw)
		if ok || warnings != 0 {
			e.Timestamp = t
			e.Warnings |= warnings
			return
		}
	}
}

// properties puts together the members that no field holds, nil if there are
// none.
func (e *actsEvent) properties() json.RawMessage {
	in, root := e.in, e.m.root
	start := len(in.raw)
	in.raw = append(in.raw, '{')
	for i := range root.Len() {
		if e.m.isProperty(actsSlotOf(root.Name(i))) {
			in.raw = wire.AppendMember(in.raw, start+1, root.Name(i), root.Value(i))
		}
	}
	if len(in.raw) == start+1 {
		in.raw = in.raw[:start]
		return nil
	}
	in.raw = append(in.raw, '}')
	return in.raw[start:len(in.raw):len(in.raw)]
}

// actsPixel makes the payload of a pixel of its query.
func actsPixel(r *http.Request) ([]byte, error) {
	if len(r.URL.RawQuery) > longestQuery {
		return nil, tooLarge(longestQuery)
	}
	return bracketObject(r.URL.RawQuery, querySite, queryToken)
}

// decodeActsPixel reads the event that actsPixel made. Broken text was repaired
// there already, which only the query still shows.
func decodeActsPixel(in *Input) error {
	item := in.doc.AsItem()
	text, _ := url.QueryUnescape(in.Request.URL.RawQuery) // actsPixel has read it
	item.Repaired = item.Repaired || !utf8.ValidString(text)
	return in.addOnlyActs(item)
}

// bracketObject makes a JSON object of the parameters of a query, but for those to
// leave out. Brackets in their names say where they belong:
//
//	user[id]=7&items[0][product][id]=p1&items[0][quantity]=2&tags[]=a&tags[]=b
//
// is {"user":{"id":"7"},"items":[{"product":{"id":"p1"},"quantity":"2"}],"tags":["a","b"]}.
// All values are strings. A level whose names are all empty, or all numbers, is a
// list, without gaps. A name with brackets that do not match is taken as it stands.
// What stands twice stands twice in the result, too, for the reader to refuse.
func bracketObject(query string, without ...string) ([]byte, error) {
	var root bracketLevel
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return nil, queryError(err)
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return nil, queryError(err)
		}
		if !slices.Contains(without, name) {
			root.put(bracketPath(name), value)
		}
	}
	return root.appendObject(nil), nil
}

func queryError(err error) *Error {
	return &Error{Code: CodeInvalidRequest, Message: "the query cannot be read", Err: err}
}

// bracketPath splits "a[b][c]" into its names. A name whose brackets do not match
// is one.
func bracketPath(name string) []string {
	first, rest, found := strings.Cut(name, "[")
	if !found || first == "" || !strings.HasSuffix(rest, "]") {
		return []string{name}
	}
	path := append([]string{first}, strings.Split(rest[:len(rest)-1], "][")...)
	for _, part := range path {
		if strings.ContainsAny(part, "[]") {
			return []string{name}
		}
	}
	return path
}

// bracketLevel is a level of the object: its members in the order in which they
// came.
type bracketLevel struct {
	members []bracketMember
	levels  map[string]*bracketLevel
}

// bracketMember is a level, or a value if that is nil.
type bracketMember struct {
	name, value string
	level       *bracketLevel
}

func (l *bracketLevel) put(path []string, value string) {
	for _, name := range path[:len(path)-1] {
		l = l.below(name)
	}
	l.members = append(l.members, bracketMember{name: path[len(path)-1], value: value})
}

// below returns the level with a name, which is a new one each time for the name
// of a new element, "".
func (l *bracketLevel) below(name string) *bracketLevel {
	if next := l.levels[name]; next != nil && name != "" {
		return next
	}
	if l.levels == nil {
		l.levels = map[string]*bracketLevel{}
	}
	next := new(bracketLevel)
	l.levels[name] = next
	l.members = append(l.members, bracketMember{name: name, level: next})
	return next
}

func (l *bracketLevel) appendJSON(dst []byte) []byte {
	if !l.isList() {
		return l.appendObject(dst)
	}
	dst = append(dst, '[')
	for i, m := range l.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = m.appendJSON(dst)
	}
	return append(dst, ']')
}

func (l *bracketLevel) appendObject(dst []byte) []byte {
	dst = append(dst, '{')
	for i, m := range l.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = m.appendJSON(append(wire.AppendString(dst, m.name), ':'))
	}
	return append(dst, '}')
}

func (m *bracketMember) appendJSON(dst []byte) []byte {
	if m.level != nil {
		return m.level.appendJSON(dst)
	}
	return wire.AppendString(dst, m.value)
}

// isList reports whether the level is a list, and brings one with numbers into
// their order.
func (l *bracketLevel) isList() bool {
	if !slices.ContainsFunc(l.members, func(m bracketMember) bool { return m.name != "" }) {
		return true
	}
	if slices.ContainsFunc(l.members, func(m bracketMember) bool { return !isIndex(m.name) }) {
		return false
	}
	ordered := slices.Clone(l.members)
	slices.SortFunc(ordered, func(a, b bracketMember) int { return indexOf(a.name) - indexOf(b.name) })
	for i := range ordered[1:] {
		if ordered[i].name == ordered[i+1].name {
			return false
		}
	}
	l.members = ordered
	return true
}

// isIndex reports whether a name is a number as one writes it, of which there is
// one way each.
func isIndex(name string) bool {
	n, err := strconv.Atoi(name)
	return err == nil && 0 <= n && n < 1e9 && strconv.Itoa(n) == name
}

func indexOf(name string) int {
	n, _ := strconv.Atoi(name) // isIndex has read it
	return n
}
