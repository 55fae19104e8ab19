package inlet_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

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

func ExampleRedactURL() {
	u, err := url.Parse("/v1/t?writeKey=ILoveData123&page=2")
	if err != nil {
		panic(err)
	}
	fmt.Println(inlet.RedactURL(u))
	// Output: /v1/t?writeKey=REDACTED&page=2
}
