package enrichers_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/netip"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
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

func ExampleRedact() {
	redact, err := enrichers.Redact("traits.email", "context.locale")
	if err != nil {
		panic(err)
	}
	enrich(redact, inlet.Visitor{})
	// Output: u1 {"plan":"pro"} {}
}

func ExampleHash() {
	hash, err := enrichers.Hash([]byte("a secret of thirty-two bytes ..."), "userId")
	if err != nil {
		panic(err)
	}
	enrich(hash, inlet.Visitor{})
	// Output: 5c451fd765f8 {"email":"jane@example.com","plan":"pro"} {"locale":"nl"}
}

// The network of browsers, and what servers send about their users.
func ExampleIP() {
	addresses, err := enrichers.IP(&enrichers.IPOptions{
		Browsers: enrichers.IPRule{Fill: enrichers.IPFillAlways, Policy: enrichers.IPTruncate},
	})
	if err != nil {
		panic(err)
	}
	enrich(addresses, inlet.Visitor{})
	// Output: u1 {"email":"jane@example.com","plan":"pro"} {"locale":"nl","ip":"203.0.113.0"}
}

func ExampleUserAgent() {
	agent, err := enrichers.UserAgent(nil)
	if err != nil {
		panic(err)
	}
	enrich(agent, inlet.Visitor{UserAgent: "Mozilla/5.0"})
	// Output: u1 {"email":"jane@example.com","plan":"pro"} {"locale":"nl","userAgent":"Mozilla/5.0"}
}

func ExampleBots() {
	flag, err := enrichers.Bots(nil)
	if err != nil {
		panic(err)
	}
	enrich(flag, inlet.Visitor{UserAgent: "ExampleBot/1.0 (+https://example.com/bot)"})
	// Output: u1 {"email":"jane@example.com","plan":"pro"} {"locale":"nl","bot":true}
}

func ExampleOptOut() {
	redact, err := enrichers.Redact("userId", "traits.email")
	if err != nil {
		panic(err)
	}
	enrich(enrichers.OptOut(redact), inlet.Visitor{})
	enrich(enrichers.OptOut(redact), inlet.Visitor{OptedOut: true})
	// Output:
	// u1 {"email":"jane@example.com","plan":"pro"} {"locale":"nl"}
	//  {"plan":"pro"} {"locale":"nl"}
}
