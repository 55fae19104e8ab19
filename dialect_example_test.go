package inlet_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

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

// A dialect of a team's own beside the built-in ones. The layer that looks for
// keys must know it, too.
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

// Any JSON is an event, if metadata says its name and its user.
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
	// 200 {"source":{"id":"inlet","name":"Inlet","enabled":true,"config":{"statsCollection":{"errors":{"enabled":false},"metrics":{"enabled":false}}},"destinations":[]}}
}

// The key of Jitsu's SDK stands in a header; in the body it is masked.
func ExampleJitsu() {
	r := httptest.NewRequest("POST", "/api/s/track", strings.NewReader(
		`{"type":"track","event":"Order Shipped","userId":"7","messageId":"m-1","writeKey":"id:***"}`))
	r.Header.Set("X-Write-Key", "id:secret")
	answer(exampleAPI(), r)
	// Output:
	// track "Order Shipped" of 7, web, by jitsu:  []
	// 200 {"success":true}
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
	answer(h, httptest.NewRequest(method, path, strings.NewReader(body)))
}

func answer(h http.Handler, r *http.Request) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
}
