package inlet_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

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
