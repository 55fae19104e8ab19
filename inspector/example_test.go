package inspector_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inspector"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// The inspector is mounted below a prefix, with its layer around the API and its decorator around
// the sink.
func ExampleNew() {
	keys, err := inlet.NewKeys(map[string]inlet.Source{"WRITE-KEY": {ID: "shop"}})
	if err != nil {
		panic(err)
	}
	insp, err := inspector.New(&inspector.Options{Authorize: inspector.Loopback})
	if err != nil {
		panic(err)
	}
	defer insp.Close()

	h, err := inlet.New(insp.Sink(new(sinks.Memory)), nil)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", insp.Layer(middleware.Standard(keys, nil)(h)))
	mux.Handle("/inspector/", http.StripPrefix("/inspector", insp))

	for _, from := range []string{"127.0.0.1:4711", "203.0.113.7:4711"} {
		r := httptest.NewRequest(http.MethodGet, "http://localhost/inspector/", nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, strings.Contains(w.Body.String(), "<title>Inlet inspector</title>"))
	}
	// Output:
	// 200 true
	// 403 false
}
