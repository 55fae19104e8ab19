package middleware_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// ask has h serve a request and prints the answer.
func ask(h http.Handler, r *http.Request) http.Header {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprintln(w.Code, w.Body)))
	return w.Header()
}

// The usual order of layers around an ingestion handler.
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

// A limit by whatever the host likes, with a limit of its own for some.
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
	// Output: level=WARN msg=request method=GET path=/nowhere status=404 bytes=19 clientIP=192.0.2.1
}
