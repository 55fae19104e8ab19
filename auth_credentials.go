package inlet

import (
	"bytes"
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/inlet-go/inlet/internal/wire"
)

// credentialFinder looks for a write key where the dialects' clients put it.
type credentialFinder struct {
	protocol *protocol
	all      keyPlaces // of all routes, for requests that have none
	names    []string  // of members and parameters that may hold a key somewhere, quoted
	header   string    // a second header to read credentials from, or ""
}

// foundCredentials are credentials, and whether the key came as a Basic user name, which a
// password may follow.
type foundCredentials struct {
	Credentials
	basic bool
}

func newCredentialFinder(dialects []Dialect, p *protocol, acceptAuthentication bool) credentialFinder {
	f := credentialFinder{protocol: p}
	for _, d := range dialects {
		query, members := d.KeyPlaces()
		f.all.include(query, members, nil)
	}
	f.names = appendNew(f.names, f.all.members...)
	for _, name := range f.all.query {
		f.names = appendNew(f.names, string(wire.AppendString(nil, name)))
	}
	if acceptAuthentication {
		f.header = headerAuthentication
	}
	return f
}

// find returns the credentials of the first place that has a key: a header, the query, the
// root of the body, the events in it, a place that only the route has. Of the query and the
// body only the places of the route's dialect count: elsewhere the same names are data. A
// Bearer token is the key only if no other place has one. The body is read only if it has to
// be; the payload is then held for the caller, with an error too.
func (f *credentialFinder) find(w http.ResponseWriter, given, r *http.Request, s *state, route *boundRoute) (*http.Request, foundCredentials, *payload, error) {
	next, found := r, f.inHeaders(r)
	if route != nil && route.Form == FormPixel && r.Header[headerOrigin] == nil {
		found.Origin = originOf(firstValue(r.Header["Referer"]))
	}
	var payload *payload
	var err error
	odd := ""
	if found.Key == "" {
		found.Key, odd = f.places(route).inQuery(r.URL.RawQuery)
	}
	bearerIsKey := route != nil && route.BearerIsKey && found.Bearer != ""
	if found.Key == "" && !bearerIsKey {
		next, payload, found.Key, err = f.inPayload(w, given, r, s, route)
	}
	switch {
	case err != nil:
		return r, found, payload, err
	case bearerIsKey && found.Key != "" && found.Key != found.Bearer:
		return r, found, payload, &Error{Code: CodeConflictingKeys}
	case found.Key == "":
		found.Key, found.Bearer = cmp.Or(found.Bearer, odd), ""
	}
	if found.Key == "" {
		return r, found, payload, f.missing(r)
	}
	return next, found, payload, nil
}

// places returns the places of a route, nil for none.
func (f *credentialFinder) places(route *boundRoute) *keyPlaces {
	if route == nil {
		return &f.all
	}
	return &route.places
}

func (f *credentialFinder) missing(r *http.Request) *Error {
	e := &Error{Code: CodeMissingKey, Field: headerAuthorization}
	if r.Header.Get(headerAuthentication) != "" {
		e.Message = `the header is called "Authorization", not "Authentication": a write key is required`
	}
	return e
}

func (f *credentialFinder) inHeaders(r *http.Request) foundCredentials {
	found := foundCredentials{Credentials: Credentials{Origin: firstValue(r.Header[headerOrigin])}}
	found.Key = strings.TrimSpace(firstValue(r.Header[headerWriteKey]))
	value := firstValue(r.Header[headerAuthorization])
	if value == "" && f.header != "" {
		value = firstValue(r.Header[f.header])
	}
	scheme, rest := authorization(value)
	switch {
	case found.Key == "" && strings.EqualFold(scheme, "Basic"):
		found.Key = basicKey(rest)
		found.basic = found.Key != ""
	case strings.EqualFold(scheme, "Bearer"):
		found.Bearer = rest
	}
	return found
}

// originOf returns the origin of a page as a browser sends it, or "".
func originOf(page string) string {
	u, err := url.Parse(page)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	host := strings.TrimSuffix(u.Host, ":")
	if port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; strings.HasSuffix(host, port) {
		host = strings.TrimSuffix(host, port)
	}
	return u.Scheme + "://" + host
}

// inPayload reads the payload and returns the key in it, or "".
func (f *credentialFinder) inPayload(w http.ResponseWriter, given, r *http.Request, s *state, route *boundRoute) (*http.Request, *payload, string, error) {
	if route != nil && route.Body != nil {
		key, err := f.inMadeBody(r, s, route)
		return r, nil, key, err
	}
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil, "", nil
	}
	next, payload, err := readPayload(f.protocol.bodies, w, given, r, s, f.protocol.bodyLimit(route))
	if err != nil {
		return r, nil, "", err
	}
	key, err := f.inRead(r, payload, route)
	return next, payload, key, err
}

// inMadeBody searches the payload of a route that makes it from the request.
func (f *credentialFinder) inMadeBody(r *http.Request, s *state, route *boundRoute) (string, error) {
	payload, err := s.makePayload(r, route)
	if err != nil {
		return "", err
	}
	defer s.dropPayload(payload)
	return f.inRead(r, payload, route)
}

// inRead returns the key in a payload, or "".
func (f *credentialFinder) inRead(r *http.Request, p *payload, route *boundRoute) (string, error) {
	key, err := f.inBody(p.bytes(), route)
	places := f.places(route)
	if err != nil || key != "" || len(places.keys) == 0 {
		return key, err
	}
	doc, err := p.index(f.protocol.index)
	if err != nil {
		return "", err
	}
	for _, find := range places.keys {
		if key = find(r, rootObject(doc)); key != "" {
			return key, nil
		}
	}
	return "", nil
}

// inBody returns the key in a body, or "". The body is only searched, because its
// client is still unknown: an index is made for clients that have a key, and on a route that has
// a place of its own for the key.
func (f *credentialFinder) inBody(body []byte, route *boundRoute) (string, error) {
	list := batchMember
	if route != nil && !route.Batch {
		list = "" // the elements of such a member are data, and would be stored with their keys
	}
	places := f.places(route)
	if key := places.searcher.Tail(body); len(key) > len(`""`) {
		return wire.Text(key), nil
	}
	var keys bodyKeys
	places.searcher.Search(body, list, keys.found)
	key, err := keys.key()
	if key == "" && err == nil {
		if invalid := wire.Check(body, list, f.protocol.index.Items); invalid != nil {
			return "", documentError(invalid, f.protocol.index)
		}
	}
	return key, err
}

// bodyKeys are the keys that are found in a body: that of its root, or else that of its
// events, which must be the same in all of them.
type bodyKeys struct {
	root, items   foundKey
	item          int // the last one that has a key
	itemKey       foundKey
	itemsConflict bool
}

// foundKey is the value of the member that the dialects list first, of those that were
// found.
type foundKey struct {
	value []byte
	name  int
}

// found adds a member that may hold a key; only a non-empty string is one. It returns false
// once no other member can count before this one.
func (k *bodyKeys) found(item, name int, value []byte) (more bool) {
	if len(value) <= len(`""`) || wire.Kind(value) != '"' {
		return true
	}
	switch {
	case item < 0:
		k.root.add(name, value)
	case item != k.item || k.itemKey.value == nil:
		k.endItem()
		k.item, k.itemKey = item, foundKey{value, name}
	default:
		k.itemKey.add(name, value)
	}
	return item >= 0 || name > 0
}

func (k *foundKey) add(name int, value []byte) {
	if k.value == nil || name < k.name {
		k.value, k.name = value, name
	}
}

// endItem compares the key of an item with those before.
func (k *bodyKeys) endItem() {
	switch {
	case k.itemKey.value == nil:
	case k.items.value == nil:
		k.items = k.itemKey
	case !bytes.Equal(k.items.value, k.itemKey.value):
		k.itemsConflict = true
	}
}

func (k *bodyKeys) key() (string, error) {
	if k.root.value != nil {
		return wire.Text(k.root.value), nil
	}
	if k.endItem(); k.itemsConflict {
		return "", &Error{Code: CodeConflictingKeys}
	}
	return wire.Text(k.items.value), nil
}
