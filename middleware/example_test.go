package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// ask makes a request to h and prints the response.
func ask(h http.Handler, r *http.Request) http.Header {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprintln(w.Code, w.Body)))
	return w.Header()
}

// A mount below a prefix, for the pages of a shop and its subdomains.
func ExampleStandard() {
	events := new(sinks.Memory)
	handler, err := inlet.New(events, nil)
	if err != nil {
		panic(err)
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"ILoveData123": {ID: "web"}})

	mux := http.NewServeMux()
	mux.Handle("/t/", middleware.Standard(keys, &middleware.StandardOptions{
		Prefix:      "/t",
		Origins:     []string{"https://shop.example", "https://*.shop.example"},
		PerIP:       middleware.Rate{Events: 50, Burst: 100},
		PerSource:   middleware.Rate{Events: 500, Burst: 1000},
		Migrations:  []inlet.Migration{inlet.CommandersActV1()},
		NoAccessLog: true,
	})(handler))

	r := httptest.NewRequest("POST", "/t/v1/track", strings.NewReader(`{"userId":"u1","event":"Signed Up"}`))
	r.SetBasicAuth("ILoveData123", "")
	r.Header.Set("Origin", "https://www.shop.example")
	header := ask(mux, r)
	fmt.Println(header.Get("Access-Control-Allow-Origin"))
	// Output:
	// 200 {"success":true}
	// https://www.shop.example
}

// The layers that most hosts need, in the usual order.
func ExampleChain() {
	events := new(sinks.Memory)
	handler, err := inlet.New(events, nil)
	if err != nil {
		panic(err)
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"ILoveData123": {ID: "web"}})

	mux := http.NewServeMux()
	mux.Handle("/", middleware.Chain(
		middleware.Recover(nil),
		middleware.RequestID(nil),
		middleware.CORS(&middleware.CORSOptions{Origins: []string{"https://shop.example"}}),
		middleware.RateLimit(&middleware.RateLimitOptions{Rate: 50, Burst: 100, Key: middleware.ByIP}),
		middleware.Payload(nil),
		middleware.Auth(keys, nil),
		middleware.RateLimit(&middleware.RateLimitOptions{Rate: 500, Burst: 1000, Key: middleware.BySource}),
	)(handler))

	r := httptest.NewRequest("POST", "/v1/track", strings.NewReader(`{"userId":"u1","event":"Signed Up"}`))
	r.SetBasicAuth("ILoveData123", "")
	ask(mux, r)
	fmt.Println(events.Events()[0].Name, "from", events.Events()[0].Source.ID)
	// Output:
	// 200 {"success":true}
	// Signed Up from web
}

func ExampleAuth() {
	keys := inlet.MustKeys(map[string]inlet.Source{"ILoveData123": {ID: "web"}})
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello ", inlet.SourceFromContext(r.Context()).ID)
	})
	h := middleware.Auth(keys, nil)(hello)

	ask(h, httptest.NewRequest("GET", "/hello?writeKey=ILoveData123", nil))
	ask(h, httptest.NewRequest("GET", "/hello?writeKey=nope", nil))
	// Output:
	// 200 hello web
	// 401 {"success":false,"code":"unknown_key","message":"the write key is not known","error":"the write key is not known"}
}

func ExamplePayload() {
	shout := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, strings.ToUpper(string(body)))
	})
	h := middleware.Payload(&middleware.PayloadOptions{
		Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytes: 8}},
	})(shout)

	ask(h, httptest.NewRequest("POST", "/", strings.NewReader("hello")))
	ask(h, httptest.NewRequest("POST", "/", strings.NewReader("hello, world")))
	// Output:
	// 200 HELLO
	// 400 {"success":false,"code":"payload_too_large","message":"the payload is larger than 8 bytes","error":"the payload is larger than 8 bytes"}
}

func ExampleRateLimit() {
	h := middleware.RateLimit(&middleware.RateLimitOptions{
		Rate: 0.01, Burst: 1, Key: middleware.ByIP,
	})(http.NotFoundHandler())

	ask(h, httptest.NewRequest("GET", "/", nil))
	header := ask(h, httptest.NewRequest("GET", "/", nil))
	fmt.Println(header.Get("RateLimit-Policy"))
	// Output:
	// 404 404 page not found
	// 429 {"success":false,"code":"rate_limited","message":"too many requests","error":"too many requests"}
	// "default";q=1;w=100
}

// A limit by a key of the host, with a limit of its own for some.
func ExampleRateLimit_byTenant() {
	byTenant := func(r *http.Request) (middleware.RateKey, bool) {
		tenant := r.PathValue("tenant")
		key := middleware.RateKey{Name: tenant}
		if tenant == "large" {
			key.Rate, key.Burst = 1000, 2000
		}
		return key, tenant != ""
	}
	limit := middleware.RateLimit(&middleware.RateLimitOptions{Rate: 0.01, Key: byTenant})
	mux := http.NewServeMux()
	mux.Handle("/{tenant}/", limit(http.NotFoundHandler()))

	for _, path := range []string{"/small/", "/small/", "/large/", "/large/"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(path, w.Code)
	}
	// Output:
	// /small/ 404
	// /small/ 429
	// /large/ 404
	// /large/ 404
}

func ExampleCORS() {
	h := middleware.CORS(&middleware.CORSOptions{Origins: []string{"https://shop.example"}})(http.NotFoundHandler())

	r := httptest.NewRequest("OPTIONS", "/v1/track", nil)
	r.Header.Set("Origin", "https://shop.example")
	r.Header.Set("Access-Control-Request-Method", "POST")
	r.Header.Set("Access-Control-Request-Headers", "authorization,x-retry-count")
	header := ask(h, r)
	fmt.Println(header.Get("Access-Control-Allow-Origin"))
	fmt.Println(header.Get("Access-Control-Allow-Headers"))
	// Output:
	// 204
	// https://shop.example
	// authorization,x-retry-count
}

func ExampleRecover() {
	h := middleware.Recover(&middleware.RecoverOptions{
		Logger: slog.New(slog.DiscardHandler),
	})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") }))

	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Code)
	// Output: 500
}

func ExampleRequestID() {
	h := middleware.RequestID(&middleware.RequestIDOptions{TrustIncoming: true})(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, inlet.RequestIDFromContext(r.Context()))
		}))

	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Request-Id", "from-the-proxy-17")
	ask(h, r)
	// Output: 200 from-the-proxy-17
}

func ExampleAccessLog() {
	withoutTimes := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "duration" {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTimes}))
	h := middleware.AccessLog(&middleware.AccessLogOptions{Logger: logger})(http.NotFoundHandler())

	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/nowhere?token=secret", nil))
	// Output: level=WARN msg="middleware: request" method=GET path=/nowhere status=404 bytes=19 clientIP=192.0.2.1
}

// sayIP answers with the address of the client.
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
	r.Header.Set("X-Forwarded-For", "1.2.3.4, 203.0.113.77") // the first was sent by the client
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

func ExampleMigrate() {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	h := middleware.Migrate(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{
		Report: func(_ context.Context, _ *http.Request, report inlet.MigrationReport) {
			fmt.Println("migrated", report.LogValue())
		},
	})(echo)

	v1 := `{"event":"login","eventId":"E1","eventTimestamp":1639044446636,"properties":{"method":"mail","user":{"consistent_anonymous_id":"a1"}}}`
	ask(h, httptest.NewRequest("POST", "/events", strings.NewReader(v1)))
	ask(h, httptest.NewRequest("POST", "/v1/track", strings.NewReader(`{"event":"login"}`)))
	// Output:
	// migrated [events=1 migrated=1 failed=0 renamed=3]
	// 200 {"event_name":"login","method":"mail","user":{"consistent_anonymous_id":"a1"},"context":{"event_id":"E1","event_timestamp":1639044446636,"version":2}}
	// 200 {"event":"login"}
}

// In shadow mode every payload is reported, and none is changed.
func ExampleMigrate_shadow() {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	h := middleware.Migrate(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{
		Shadow: true,
		Report: func(_ context.Context, r *http.Request, report inlet.MigrationReport) {
			fmt.Println(r.URL.Path, "would migrate", report.Migrated, "of", report.Events)
		},
	})(echo)

	ask(h, httptest.NewRequest("POST", "/events/batch", strings.NewReader(`{"batch":[{"event":"a","properties":{}},{"event_name":"b"}]}`)))
	// Output:
	// /events/batch would migrate 1 of 2
	// 200 {"batch":[{"event":"a","properties":{}},{"event_name":"b"}]}
}

func ExampleByIP() {
	r := httptest.NewRequest("GET", "/", nil)
	for _, from := range []string{"203.0.113.7:1234", "[2001:db8::7]:1234"} {
		r.RemoteAddr = from
		key, limited := middleware.ByIP(r)
		fmt.Println(key.IP, limited)
	}
	// Output:
	// 203.0.113.7 true
	// 2001:db8:: true
}

func ExampleBySource() {
	r := httptest.NewRequest("GET", "/", nil)
	_, limited := middleware.BySource(r)
	fmt.Println(limited)

	r = inlet.WithSource(r, &inlet.Source{ID: "web", Rate: 100})
	key, limited := middleware.BySource(r)
	fmt.Println(key.Name, key.Rate, limited)
	// Output:
	// false
	// web 100 true
}

// Two layers that count together, such as those around two handlers of one API.
func ExampleNewMemoryLimiter() {
	limiter, err := middleware.NewMemoryLimiter(&middleware.MemoryLimiterOptions{MaxKeys: 1 << 18})
	if err != nil {
		fmt.Println(err)
		return
	}
	limit := func(h http.Handler) http.Handler {
		return middleware.RateLimit(&middleware.RateLimitOptions{Rate: 0.01, Burst: 2, Key: middleware.ByIP, Limiter: limiter})(h)
	}
	one, other := limit(http.NotFoundHandler()), limit(http.NotFoundHandler())
	for _, h := range []http.Handler{one, other, one} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Println(w.Code)
	}
	// Output:
	// 404
	// 404
	// 429
}

// All 256 addresses of a network have one limit.
func ExampleByNetwork() {
	h := middleware.RateLimit(&middleware.RateLimitOptions{
		Rate: 0.01, Burst: 1, Key: middleware.ByNetwork(24, 56),
	})(http.NotFoundHandler())
	for _, from := range []string{"203.0.113.7:1234", "203.0.113.8:1234", "203.0.114.7:1234"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(from, w.Code)
	}
	// Output:
	// 203.0.113.7:1234 404
	// 203.0.113.8:1234 429
	// 203.0.114.7:1234 404
}

// A sharedStore takes the place of a store that several processes share.
type sharedStore struct{ up bool }

func (s *sharedStore) Take(context.Context, middleware.Charge) (middleware.Quota, error) {
	if !s.up {
		return middleware.Quota{}, errors.New("connection refused")
	}
	return middleware.Quota{OK: true}, nil
}

// While the shared store is down, each process limits on its own.
func ExampleLimiter() {
	h := middleware.RateLimit(&middleware.RateLimitOptions{
		Rate: 0.01, Burst: 1, Key: middleware.ByIP,
		Limiter: &sharedStore{}, OnError: middleware.FallBackLocal,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})(http.NotFoundHandler())
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Println(w.Code)
	}
	// Output:
	// 404
	// 429
}

// counts is an observer.
type counts map[inlet.Code]int

func (c counts) ObserveRequest(_ context.Context, o *inlet.Outcome) { c[o.Code]++ }

func ExampleObserve() {
	observer := counts{} // in a program it needs a lock
	api, err := inlet.New(new(sinks.Discard), &inlet.Options{Observer: observer})
	if err != nil {
		panic(err)
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"ILoveData123": {ID: "web"}})
	h := middleware.Chain(middleware.Observe(observer), middleware.Recover(nil), middleware.Auth(keys, nil))(api)
	for _, key := range []string{"ILoveData123", "unknown"} {
		r := httptest.NewRequest("POST", "/v1/track", strings.NewReader(`{"userId":"u1","event":"Signed Up"}`))
		r.SetBasicAuth(key, "")
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	fmt.Println(observer)
	// Output: map[:1 unknown_key:1]
}

func ExampleNewBufferedLog() {
	file := new(strings.Builder) // in a program an *os.File
	buffered, err := middleware.NewBufferedLog(file, &middleware.BufferedLogOptions{JSON: true})
	if err != nil {
		panic(err)
	}
	h := middleware.AccessLog(&middleware.AccessLogOptions{Logger: slog.New(buffered)})(http.NotFoundHandler())
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/favicon.ico", nil))
	fmt.Println(file.Len())
	if err := buffered.Close(); err != nil { // when the server has shut down
		panic(err)
	}
	_, line, _ := strings.Cut(file.String(), `"msg"`)
	fmt.Println(line[:strings.Index(line, `,"duration"`)])
	// Output:
	// 0
	// :"middleware: request","method":"GET","path":"/favicon.ico","status":404,"bytes":19
}
