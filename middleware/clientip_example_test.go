package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
	"github.com/inlet-go/inlet/middleware"
)

// sayIP answers with the address that it is told.
var sayIP = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, inlet.ClientIP(r))
})

// Behind a load balancer in 10.0.0.0/8, which appends to X-Forwarded-For.
func ExampleClientIP() {
	h := middleware.ClientIP(&middleware.ClientIPOptions{
		Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})(sayIP)

	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", "1.2.3.4, 203.0.113.77") // the first is the client's own word
	ask(h, r)
	// Output: 200 203.0.113.77
}

func ExampleIPPolicy() {
	h := middleware.IPPolicy(&middleware.IPPolicyOptions{Policy: enrichers.IPTruncate})(sayIP)

	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "203.0.113.77:4711"
	ask(h, r)
	// Output: 200 203.0.113.0
}

func ExampleIdentity() {
	h := middleware.Identity(&middleware.IdentityOptions{
		Cookie: &middleware.IdentityCookie{Name: "__Host-shop-id"},
	})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%+v", inlet.VisitorFromContext(r.Context()))
	}))

	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("User-Agent", "Mozilla/5.0")
	r.Header.Set("Cookie", "__Host-shop-id=0123456789abcdef0123456789abcdef")
	ask(h, r)
	r.Header.Set("Sec-GPC", "1")
	fmt.Println(ask(h, r).Get("Set-Cookie"))
	// Output:
	// 200 {UserAgent:Mozilla/5.0 AnonymousID:0123456789abcdef0123456789abcdef OptedOut:false}
	// 200 {UserAgent:Mozilla/5.0 AnonymousID: OptedOut:true}
	// __Host-shop-id=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax
}
