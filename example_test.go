package inlet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// printing is a sink that prints what it is given.
var printing = inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
	for _, e := range events {
		fmt.Println(e.Source.ID, e.Type, e.Name, e.UserID, string(e.Properties))
	}
	return nil
})

// exampleRequest is what a client sends.
func exampleRequest(path, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("X-Write-Key", "ILoveData123")
	return r
}

// answerOf serves a request and prints the answer.
func answerOf(h http.Handler, r *http.Request) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
}

func ExampleNew() {
	h, err := inlet.New(printing, nil)
	if err != nil {
		panic(err)
	}
	r := exampleRequest("/v1/track", `{"userId":"u1","event":"Signed Up","properties":{"plan":"pro"}}`)
	answerOf(h, r) // not authenticated
	answerOf(h, inlet.WithSource(r, &inlet.Source{ID: "web"}))
	// Output:
	// 401 {"success":false,"code":"missing_key","message":"a write key is required","error":"a write key is required","field":"Authorization"}
	// web track Signed Up u1 {"plan":"pro"}
	// 200 {"success":true}
}

func ExampleNewKeys() {
	keys, err := inlet.NewKeys(map[string]inlet.Source{
		"ILoveData123": {ID: "web", Origins: []string{"https://shop.example"}},
		"ILoveData456": {ID: "server"},
	})
	if err != nil {
		panic(err)
	}
	source, err := keys.Authenticate(context.Background(), inlet.Credentials{Key: "ILoveData456"})
	fmt.Println(source.ID, err)
	_, err = keys.Authenticate(context.Background(), inlet.Credentials{Key: "guessed"})
	fmt.Println(errors.Is(err, inlet.ErrUnknownKey))
	// Output:
	// server <nil>
	// true
}

func ExampleMustKeys() {
	defer func() { fmt.Println(recover()) }()
	inlet.MustKeys(map[string]inlet.Source{"ILoveData123": {}})
	// Output: inlet: NewKeys: a source has no ID
}

// The layer as package middleware has it, with errors instead of panics.
func ExampleAuthenticate() {
	auth, err := inlet.Authenticate(inlet.MustKeys(map[string]inlet.Source{"ILoveData123": {ID: "web"}}), nil)
	if err != nil {
		panic(err)
	}
	h, err := inlet.New(printing, nil)
	if err != nil {
		panic(err)
	}
	answerOf(auth(h), exampleRequest("/v1/page", `{"userId":"u1","name":"Home","properties":{}}`))
	// Output:
	// web page Home u1 {}
	// 200 {"success":true}
}

func ExampleReadPayload() {
	read, err := inlet.ReadPayload(&inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytes: 20}})
	if err != nil {
		panic(err)
	}
	h := read(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d bytes", len(body))
	}))
	answerOf(h, exampleRequest("/v1/page", `{"userId":"u1"}`))
	answerOf(h, exampleRequest("/v1/page", `{"userId":"u1","name":"Home"}`))
	// Output:
	// 200 15 bytes
	// 400 {"success":false,"code":"payload_too_large","message":"the payload is larger than 20 bytes","error":"the payload is larger than 20 bytes"}
}

func ExampleSinkFunc() {
	var kept []*inlet.Event
	sink := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		kept = append(kept, inlet.CloneEvents(events)...) // they are lent
		return nil
	})
	err := sink.Write(context.Background(), []*inlet.Event{{Type: inlet.TypePage, Name: "Home"}})
	fmt.Println(len(kept), kept[0].Name, err)
	// Output: 1 Home <nil>
}

func ExampleAuthenticatorFunc() {
	store := map[string]*inlet.Source{"ILoveData123": {ID: "web"}}
	lookup := inlet.AuthenticatorFunc(func(_ context.Context, c inlet.Credentials) (*inlet.Source, error) {
		if source := store[c.Key]; source != nil {
			return source, nil
		}
		return nil, inlet.ErrUnknownKey // any other error would mean that keys cannot be checked now
	})
	_, err := lookup.Authenticate(context.Background(), inlet.Credentials{Key: "guessed"})
	fmt.Println(err)
	// Output: unknown_key: the write key is not known
}

func ExampleWriteError() {
	maintenance := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeOverloaded, Message: "back in a minute", RetryAfter: time.Minute})
	})
	w := httptest.NewRecorder()
	maintenance.ServeHTTP(w, exampleRequest("/v1/track", `{}`))
	fmt.Println(w.Code, w.Header().Get("Retry-After"), w.Body)
	// Output: 503 60 {"success":false,"code":"overloaded","message":"back in a minute","error":"back in a minute"}
}

func ExamplePermanent() {
	err := fmt.Errorf("table events: %w", inlet.Permanent(errors.New("no such column")))
	fmt.Println(err, inlet.IsPermanent(err))
	fmt.Println(inlet.IsPermanent(errors.Join(err, errors.New("connection lost"))))
	// Output:
	// table events: no such column true
	// false
}

func ExampleRetryAfter() {
	err := inlet.RetryAfter(errors.New("quota is used up"), time.Minute)
	wait, ok := inlet.RetryDelay(err)
	fmt.Println(err, wait, ok, inlet.IsPermanent(err))
	// Output: quota is used up 1m0s true false
}

func ExampleBatchError() {
	sink := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		failed := new(inlet.BatchError)
		for i, e := range events {
			if e.Name == "" {
				failed.Items = append(failed.Items, inlet.ItemError{Index: i, Err: inlet.Permanent(&inlet.Problem{
					Code: inlet.CodeInvalidEvent, Message: "this store needs a name", Field: "name",
				})})
			}
		}
		if len(failed.Items) > 0 {
			return failed // the others are stored
		}
		return nil
	})
	h, err := inlet.New(sink, &inlet.Options{AllowAnonymous: true})
	if err != nil {
		panic(err)
	}
	answerOf(h, exampleRequest("/v1/batch", `{"batch":[{"type":"page","userId":"u1","name":"Home"},{"type":"page","userId":"u1","messageId":"m2"}]}`))
	// Output: 200 {"success":true,"accepted":1,"rejected":[{"index":1,"messageId":"m2","code":"invalid_event","message":"this store needs a name","field":"name"}]}
}

func ExampleValidator() {
	named := func(e *inlet.Event) *inlet.Problem {
		if e.Type == inlet.TypeTrack && strings.ToLower(e.Name) == e.Name {
			return &inlet.Problem{Code: inlet.CodeInvalidEvent, Message: "names of events begin with a capital", Field: "event"}
		}
		return nil
	}
	h, err := inlet.New(printing, &inlet.Options{AllowAnonymous: true, Validators: []inlet.Validator{named}})
	if err != nil {
		panic(err)
	}
	r := exampleRequest("/v1/track", `{"userId":"u1","event":"signed up"}`)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var answer struct{ Code, Message, Field string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		panic(err)
	}
	fmt.Println(w.Code, answer)
	// Output: 400 {invalid_event names of events begin with a capital event}
}

func ExampleEnricher() {
	region := func(_ context.Context, e *inlet.Event) {
		_ = e.Set("properties.region", "eu") // it fails only for a path that cannot be
	}
	h, err := inlet.New(printing, &inlet.Options{AllowAnonymous: true, Enrichers: []inlet.Enricher{region}})
	if err != nil {
		panic(err)
	}
	answerOf(h, exampleRequest("/v1/track", `{"userId":"u1","event":"Signed Up"}`))
	// Output:
	// anonymous track Signed Up u1 {"region":"eu"}
	// 200 {"success":true}
}

// A handler that speaks Segment's protocol alone.
func ExampleSegment() {
	protocol := &inlet.Protocol{Dialects: []inlet.Dialect{inlet.Segment()}}
	h, err := inlet.New(printing, &inlet.Options{Protocol: protocol, AllowAnonymous: true})
	if err != nil {
		panic(err)
	}
	send(h, "POST", "/v1/page", `{"userId":"u1","name":"Home","properties":{"path":"/"}}`)
	send(h, "POST", "/api/s/page", `{"userId":"u1","name":"Home"}`) // Jitsu's path
	// Output:
	// anonymous page Home u1 {"path":"/"}
	// 200 {"success":true}
	// 404 {"success":false,"code":"not_found","message":"there is no such endpoint","error":"there is no such endpoint"}
}

// A sink that writes the events of each source to a place of its own.
func ExampleSourceFromContext() {
	sink := inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
		fmt.Println(len(events), "for", inlet.SourceFromContext(ctx).ID)
		return nil
	})
	h, err := inlet.New(sink, nil)
	if err != nil {
		panic(err)
	}
	r := exampleRequest("/v1/page", `{"userId":"u1"}`)
	answerOf(h, inlet.WithSource(r, &inlet.Source{ID: "web"}))
	// Output:
	// 1 for web
	// 200 {"success":true}
}

// A layer that counts refused events, after the handler has answered.
func ExampleOutcomeFromContext() {
	h, err := inlet.New(new(sinks.Discard), &inlet.Options{AllowAnonymous: true})
	if err != nil {
		panic(err)
	}
	counting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = inlet.WithRequestID(r, "r1") // so that the request has an outcome
		h.ServeHTTP(w, r)
		o := inlet.OutcomeFromContext(r.Context())
		fmt.Println(o.Path, o.Status, o.Accepted, o.Rejected)
	})
	counting.ServeHTTP(httptest.NewRecorder(), exampleRequest("/v1/batch", `{"batch":[{"type":"page","userId":"u1"},{"type":"page"}]}`))
	// Output:
	// /v1/batch 200 1 1
}

// The events of a Write are lent: a sink that keeps them copies them.
func ExampleCloneEvents() {
	lent := []*inlet.Event{{Type: inlet.TypePage, Name: "Home"}}
	kept := inlet.CloneEvents(lent)
	lent[0].Name = "the next request's"
	fmt.Println(kept[0].Name)
	// Output: Home
}

func ExampleDurabilityOf() {
	fmt.Println(inlet.DurabilityOf(new(sinks.Memory)))
	fmt.Println(inlet.DurabilityOf(printing)) // which declares none
	// Output:
	// memory
	// unknown
}

func ExampleHandler_Ingest() {
	h, err := inlet.New(printing, nil)
	if err != nil {
		panic(err)
	}
	server := &inlet.Source{ID: "server"}
	invoice := struct {
		Amount int `json:"amount"`
	}{10}
	fmt.Println(h.Ingest(context.Background(), server, inlet.NewTrack("u1", "Invoice Sent", invoice)))
	fmt.Println(h.Ingest(context.Background(), server, inlet.NewTrack("", "Invoice Sent", nil)))
	// Output:
	// server track Invoice Sent u1 {"amount":10}
	// <nil>
	// inlet: 1 events failed, first at index 0: userId: userId or anonymousId is required
}

func ExampleNewTrack() {
	e := inlet.NewTrack("u1", "Order Completed", map[string]any{"total": 19.9})
	e.Timestamp = time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)
	fmt.Println(string(e.AppendJSON(nil)))
	// Output: {"type":"track","event":"Order Completed","userId":"u1","timestamp":"2026-11-20T14:00:00Z","properties":{"total":19.9}}
}

func ExampleNewIdentify() {
	fmt.Println(string(inlet.NewIdentify("u1", map[string]string{"plan": "pro"}).AppendJSON(nil)))
	// Output: {"type":"identify","userId":"u1","traits":{"plan":"pro"}}
}

func ExampleNewPage() {
	fmt.Println(string(inlet.NewPage("u1", "Home", nil).AppendJSON(nil)))
	// Output: {"type":"page","name":"Home","userId":"u1"}
}

func ExampleNewScreen() {
	fmt.Println(string(inlet.NewScreen("u1", "Cart", json.RawMessage(`{"items":2}`)).AppendJSON(nil)))
	// Output: {"type":"screen","name":"Cart","userId":"u1","properties":{"items":2}}
}

func ExampleNewGroup() {
	fmt.Println(string(inlet.NewGroup("u1", "team-7", map[string]int{"seats": 5}).AppendJSON(nil)))
	// Output: {"type":"group","userId":"u1","groupId":"team-7","traits":{"seats":5}}
}

func ExampleNewAlias() {
	fmt.Println(string(inlet.NewAlias("u1", "visitor-3").AppendJSON(nil)))
	// Output: {"type":"alias","userId":"u1","previousId":"visitor-3"}
}

// What is refused is kept, with its reason. In production both sinks are journals.
func ExampleOptions_rejects() {
	rejects := new(sinks.Memory)
	catalogue := func(e *inlet.Event) *inlet.Problem {
		if e.Type == inlet.TypeTrack && e.Name != "Order Completed" {
			return &inlet.Problem{Code: "not_in_catalogue", Message: "the plan has no such event", Field: "event"}
		}
		return nil
	}
	h, err := inlet.New(printing, &inlet.Options{
		AllowAnonymous: true, Validators: []inlet.Validator{catalogue}, Rejects: rejects,
	})
	if err != nil {
		panic(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, exampleRequest("/v1/track", `{"userId":"u1","event":"Order Complete"}`))
	fmt.Println(w.Code)
	for _, letter := range rejects.Events() {
		why, _ := sinks.RefusalOf(letter)
		fmt.Println(letter.Name, why.Code, why.Field, why.Error)
	}
	// Output:
	// 400
	// Order Complete not_in_catalogue event the plan has no such event
}

// counting counts what becomes of requests.
type counting struct{ statuses []int }

func (c *counting) ObserveRequest(_ context.Context, o *inlet.Outcome) {
	c.statuses = append(c.statuses, o.Status)
}

// A layer of a team's own that notifies an observer of every request. [middleware.Observe] is one
// that also does for answers of other code, and for panics.
func ExampleWithObserver() {
	observer := new(counting)
	h, err := inlet.New(printing, &inlet.Options{Observer: observer})
	if err != nil {
		panic(err)
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"AnotherKey": {ID: "web"}})
	authenticate, err := inlet.Authenticate(keys, nil)
	if err != nil {
		panic(err)
	}
	api := authenticate(h)
	layer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, first := inlet.WithObserver(r, observer)
		api.ServeHTTP(w, r)
		if first {
			o := inlet.OutcomeFromContext(r.Context())
			observer.ObserveRequest(r.Context(), &o)
		}
	})
	layer.ServeHTTP(httptest.NewRecorder(), exampleRequest("/v1/track", `{}`)) // with an unknown key
	fmt.Println(observer.statuses)
	// Output: [401]
}

func ExampleEvent_Get() {
	e := &inlet.Event{Properties: json.RawMessage(`{"cart":{"items":[{"sku":"A-1"},{"sku":"B-2"}]},"utm.source":"mail"}`)}
	sku, ok := e.Get("properties.cart.items.1.sku")
	fmt.Println(string(sku), ok)
	source, ok := e.Get(`properties.utm\.source`)
	fmt.Println(string(source), ok)
	_, ok = e.Get("traits.email")
	fmt.Println(ok)
	// Output:
	// "B-2" true
	// "mail" true
	// false
}

func ExampleEvent_Set() {
	e := &inlet.Event{Properties: json.RawMessage(`{"total":"19.9","card":"4111 1111"}`)}
	for path, value := range map[string]any{"properties.total": 19.9, "properties.card": nil, "context.app.name": "shop"} {
		if err := e.Set(path, value); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(string(e.Properties), string(e.Context))
	fmt.Println(e.Set("properties.total.net", 16.7))
	// Output:
	// {"total":19.9} {"app":{"name":"shop"}}
	// inlet: Event.Set: path "properties.total.net": "net" has no place: its parent is neither an object nor an array
}

func ExampleHarden() {
	server := inlet.Harden(&http.Server{Addr: ":8080", IdleTimeout: 90 * time.Second})
	fmt.Println(server.ReadHeaderTimeout, server.IdleTimeout, server.MaxHeaderBytes)
	// Output: 5s 1m30s 65536
}

// The description at /openapi.json, for generators of clients and for tools that show it.
func ExampleOpenAPI() {
	store := new(sinks.Memory)
	api, err := inlet.New(store, &inlet.Options{Protocol: &inlet.Protocol{OpenAPI: true}})
	if err != nil {
		panic(err)
	}
	answer := httptest.NewRecorder()
	api.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))

	var description struct {
		OpenAPI string
		Servers []struct{ URL string }
		Paths   map[string]any
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &description); err != nil {
		panic(err)
	}
	fmt.Println(description.OpenAPI, description.Servers[0].URL, description.Paths["/v1/track"] != nil)
	// Output: 3.1.0 http://example.com true
}

func ExampleRedactURL() {
	u, err := url.Parse("/v1/t?writeKey=ILoveData123&page=2")
	if err != nil {
		panic(err)
	}
	fmt.Println(inlet.RedactURL(u))
	// Output: /v1/t?writeKey=REDACTED&page=2
}

// An enricher of a team's own.
func ExampleVisitorFromContext() {
	agent := func(ctx context.Context, e *inlet.Event) {
		fmt.Println(e.Name, "by", inlet.VisitorFromContext(ctx).UserAgent)
	}
	h, err := inlet.New(new(sinks.Memory), &inlet.Options{AllowAnonymous: true, Enrichers: []inlet.Enricher{agent}})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest("POST", "/v1/track", strings.NewReader(`{"event":"Signed Up","userId":"u1"}`))
	r = inlet.WithVisitor(r, inlet.Visitor{UserAgent: "Mozilla/5.0"}) // as middleware.Identity does
	h.ServeHTTP(httptest.NewRecorder(), r)
	// Output: Signed Up by Mozilla/5.0
}

// Events without a user or an anonymous id get the id of the browser's cookie.
func ExampleOptions_fillAnonymousID() {
	events := new(sinks.Memory)
	h, err := inlet.New(events, &inlet.Options{
		AllowAnonymous:  true,
		FillAnonymousID: true,
	})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest("POST", "/v1/track", strings.NewReader(`{"event":"Signed Up"}`))
	r = inlet.WithVisitor(r, inlet.Visitor{AnonymousID: "a1b2"}) // as middleware.Identity does
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, events.Events()[0].AnonymousID)
	// Output: 200 a1b2
}

// importer is the protocol of an invented vendor: POST /example/import?project=KEY takes
// {"batch":[{"id":…,"name":…,"user":…,"at":…,"data":{…}}]}, with Unix times.
type importer struct{}

func (importer) Name() string { return "example" }

func (importer) KeyPlaces() (query, members []string) {
	return []string{"project"}, nil
}

func (i importer) Routes() []inlet.Route {
	return []inlet.Route{{
		Method: http.MethodPost, Path: "/example/import", Batch: true, Decode: i.decode,
	}}
}

// decode adds an event for each usable item, and refuses those that cannot be
// one. What every event needs is checked behind it.
func (i importer) decode(in *inlet.Input) error {
	items, listed := in.Items()
	if !listed {
		return &inlet.Error{Code: inlet.CodeBatchNotArray, Field: "batch"}
	}
	for place, item := range items {
		if item.Len() == 0 {
			continue // refused already
		}
		if p := i.fill(in, in.Add(place), item); p != nil {
			in.Withdraw(p)
		}
	}
	return nil
}

func (importer) fill(in *inlet.Input, e *inlet.Event, item inlet.Object) *inlet.Problem {
	e.Type, e.Name, e.MessageID = inlet.TypeTrack, in.Text(item.Get("name")), in.Text(item.Get("id"))
	if item.Repaired() {
		e.Warnings |= inlet.WarnTextRepaired
	}
	if p := in.SetID(e, &e.UserID, item.Get("user"), "user"); p != nil {
		return p
	}
	in.SetTime(e, &e.Timestamp, item.Get("at"))
	return in.SetObject(e, &e.Properties, item.Get("data"), inlet.CodePropertiesNotObject, "data")
}

// A dialect of a team's own in addition to the built-in ones. The layer that looks for keys
// must know it too.
func ExampleDialect() {
	protocol := &inlet.Protocol{Dialects: append(inlet.Dialects(), importer{})}
	h, err := inlet.New(inlet.SinkFunc(printEvents), &inlet.Options{Protocol: protocol})
	if err != nil {
		panic(err)
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"K": {ID: "crm"}})
	api := middleware.Auth(keys, &inlet.AuthOptions{Protocol: protocol})(h)

	send(api, "POST", "/example/import?project=K", `{"batch":[
		{"id":"e-1","name":"Signed Up","user":7,"at":1772366400,"data":{"plan":"pro"}},
		{"id":"e-2","name":"Signed Up","user":"u-8","data":"pro"}]}`)
	// Output:
	// track "Signed Up" of 7, crm, by example: {"plan":"pro"} [timestamp_guessed id_not_string]
	// 200 {"success":true,"accepted":1,"rejected":[{"index":1,"messageId":"e-2","code":"properties_not_object","message":"properties must be an object","field":"data"}]}
}

// Any JSON is an event if its metadata has a name and a user.
func ExampleMetaRouter() {
	send(exampleAPI(), "POST", "/v1/custom/event",
		`{"_metarouter":{"writeKey":"K","eventName":"Order Shipped","eventID":"o-1","userID":"7"},"parcels":2}`)
	// Output:
	// track "Order Shipped" of 7, crm, by metarouter: {"parcels":2} []
	// 200 {"success":true}
}

// RudderStack's browser SDK asks for its configuration on its start.
func ExampleRudderStack() {
	send(exampleAPI(), "GET", "/sourceConfig/?writeKey=K", "")
	// Output:
	// 200 {"source":{"id":"inlet","name":"Inlet","writeKey":"K","enabled":true,"workspaceId":"inlet","updatedAt":"1970-01-01T00:00:00.000Z","config":{"statsCollection":{"errors":{"enabled":false},"metrics":{"enabled":false}}},"destinations":[]}}
}

// The key of Jitsu's SDK is in a header; in the body it is masked.
func ExampleJitsu() {
	r := httptest.NewRequest("POST", "/api/s/track", strings.NewReader(
		`{"type":"track","event":"Order Shipped","userId":"7","messageId":"m-1","writeKey":"id:***"}`))
	r.Header.Set("X-Write-Key", "id:secret")
	answerOf(exampleAPI(), r)
	// Output:
	// track "Order Shipped" of 7, web, by jitsu:  []
	// 200 {"success":true}
}

// A handler that speaks nothing but SegmentStream.
func ExampleSegmentStream() {
	protocol := &inlet.Protocol{Dialects: []inlet.Dialect{inlet.SegmentStream()}}
	sink := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		for _, e := range events {
			fmt.Println(e.Type, e.Name, e.UserID, e.Timestamp)
		}
		return nil
	})
	api, err := inlet.New(sink, &inlet.Options{Protocol: protocol})
	if err != nil {
		fmt.Println(err)
		return
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"abc123": {ID: "shop"}})
	h := middleware.Auth(keys, &inlet.AuthOptions{Protocol: protocol})(api)

	r := httptest.NewRequest("POST", "/track", strings.NewReader(
		`{"hitId":"h1","sentAt":"2024-02-21T10:56:10Z","event":{"name":"Registered","user":{"userId":"u1"}}}`))
	r.SetBasicAuth("abc123", "")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output:
	// track Registered u1 2024-02-21 10:56:10 +0000 UTC
	// 204
}

// A handler that speaks nothing but Commanders Act. An event that is refused is
// named in the answer, whose status is 200 as the vendor documents it.
func ExampleCommandersAct() {
	protocol := &inlet.Protocol{Dialects: []inlet.Dialect{inlet.CommandersAct()}}
	sink := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		for _, e := range events {
			fmt.Println(e.Type, e.Name, e.UserID, string(e.Properties))
		}
		return nil
	})
	api, err := inlet.New(sink, &inlet.Options{Protocol: protocol})
	if err != nil {
		fmt.Println(err)
		return
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"my-source-key": {ID: "site"}})
	h := middleware.Auth(keys, &inlet.AuthOptions{Protocol: protocol})(api)

	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/events/batch?tc_s=1234&token=my-source-key", strings.NewReader(
		`{"batch":[{"event_name":"search","search_term":"boots","user":{"id":"c1"},"context":{"event_id":"e1"}},{"user":{"id":"c2"}}]}`)))
	fmt.Println(w.Code, w.Body)
	// Output:
	// track search c1 {"search_term":"boots"}
	// 200 {"success":true,"accepted":1,"rejected":[{"index":1,"code":"event_not_defined","message":"event_name is required","field":"event_name"}]}
}

// Segment's browser SDK asks on its start where to send events.
func ExampleOptions_publicURL() {
	h, err := inlet.New(inlet.SinkFunc(printEvents), &inlet.Options{PublicURL: "https://shop.example/ingest"})
	if err != nil {
		panic(err)
	}
	send(h, "GET", "/v1/projects/K/settings", "")
	// Output:
	// 200 {"integrations":{"Segment.io":{"apiKey":"K","apiHost":"shop.example/ingest/v1","protocol":"https"}},"metrics":{"sampleRate":0}}
}

// exampleAPI is a handler with all dialects, whose sink prints events.
func exampleAPI() http.Handler {
	h, err := inlet.New(inlet.SinkFunc(printEvents), nil)
	if err != nil {
		panic(err)
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"K": {ID: "crm"}, "id:secret": {ID: "web"}})
	return middleware.Auth(keys, nil)(h)
}

func printEvents(_ context.Context, events []*inlet.Event) error {
	for _, e := range events {
		var codes []string
		for code := range e.Warnings.Codes() {
			codes = append(codes, code)
		}
		fmt.Printf("%s %q of %s, %s, by %s: %s %v\n", e.Type, e.Name, e.UserID, e.Source.ID, e.Dialect, string(e.Properties), codes)
	}
	return nil
}

func send(h http.Handler, method, path, body string) {
	answerOf(h, httptest.NewRequest(method, path, strings.NewReader(body)))
}
