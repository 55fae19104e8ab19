package inlet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

// enrich prints what an enricher makes of an event from a page.
func enrich(enrich inlet.Enricher, visitor inlet.Visitor) {
	r := httptest.NewRequest("POST", "/v1/track", nil)
	r = inlet.WithVisitor(inlet.WithClientIP(r, netip.MustParseAddr("203.0.113.77")), visitor)
	e := &inlet.Event{
		Type: inlet.TypeTrack, Name: "Signed Up", UserID: "u1",
		Source:  &inlet.Source{ID: "web", Origins: []string{"https://shop.example"}},
		Traits:  json.RawMessage(`{"email":"jane@example.com","plan":"pro"}`),
		Context: json.RawMessage(`{"locale":"nl"}`),
	}
	enrich(r.Context(), e)
	fmt.Printf("%.12s %s %s\n", e.UserID, e.Traits, e.Context)
}

func ExampleRedactPaths() {
	redact, err := inlet.RedactPaths("traits.email", "context.locale")
	if err != nil {
		panic(err)
	}
	enrich(redact, inlet.Visitor{})
	// Output: u1 {"plan":"pro"} {}
}

func ExampleHashPaths() {
	hash, err := inlet.HashPaths([]byte("a secret of thirty-two bytes ..."), "userId")
	if err != nil {
		panic(err)
	}
	enrich(hash, inlet.Visitor{})
	// Output: 5c451fd765f8 {"email":"jane@example.com","plan":"pro"} {"locale":"nl"}
}

// The network of browsers, and what servers say of their users.
func ExampleContextIP() {
	addresses, err := inlet.ContextIP(&inlet.ContextIPOptions{
		Browsers: inlet.IPRule{Fill: inlet.IPFillAlways, Policy: inlet.IPTruncate},
	})
	if err != nil {
		panic(err)
	}
	enrich(addresses, inlet.Visitor{})
	// Output: u1 {"email":"jane@example.com","plan":"pro"} {"locale":"nl","ip":"203.0.113.0"}
}

func ExampleContextUserAgent() {
	enrich(inlet.ContextUserAgent(nil), inlet.Visitor{UserAgent: "Mozilla/5.0"})
	// Output: u1 {"email":"jane@example.com","plan":"pro"} {"locale":"nl","userAgent":"Mozilla/5.0"}
}

func ExampleFlagBots() {
	flag, err := inlet.FlagBots(nil)
	if err != nil {
		panic(err)
	}
	enrich(flag, inlet.Visitor{UserAgent: "ExampleBot/1.0 (+https://example.com/bot)"})
	// Output: u1 {"email":"jane@example.com","plan":"pro"} {"locale":"nl","bot":true}
}

func ExampleWhenOptedOut() {
	redact, err := inlet.RedactPaths("userId", "traits.email")
	if err != nil {
		panic(err)
	}
	enrich(inlet.WhenOptedOut(redact), inlet.Visitor{})
	enrich(inlet.WhenOptedOut(redact), inlet.Visitor{OptedOut: true})
	// Output:
	// u1 {"email":"jane@example.com","plan":"pro"} {"locale":"nl"}
	//  {"plan":"pro"} {"locale":"nl"}
}

// Events that name nobody get the id of the browser's cookie.
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
	enrich(agent, inlet.Visitor{UserAgent: "Mozilla/5.0"})
	// Output:
	// Signed Up by Mozilla/5.0
	// u1 {"email":"jane@example.com","plan":"pro"} {"locale":"nl"}
}

func ExampleRedactURL() {
	u, err := url.Parse("/v1/t?writeKey=ILoveData123&page=2")
	if err != nil {
		panic(err)
	}
	fmt.Println(inlet.RedactURL(u))
	// Output: /v1/t?writeKey=REDACTED&page=2
}
