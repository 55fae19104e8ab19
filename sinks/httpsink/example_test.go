package httpsink_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/httpsink"
)

// Events go from this process to another Inlet. Here it is on the same machine and
// without TLS, which the options allow.
func ExampleNew() {
	var store sinks.Memory
	api, err := inlet.New(&store, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"the-write-key": {ID: "edge"}})
	other := httptest.NewServer(middleware.Auth(keys, nil)(api))
	defer other.Close()

	sink, err := httpsink.New(other.URL, "the-write-key", &httpsink.Options{AllowHTTP: true, AllowPrivate: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer sink.Close(ctx)
	fmt.Println(sink.Write(ctx, events("a", "b")))
	for _, e := range store.Events() {
		fmt.Println(e.Source.ID, e.Name, e.MessageID, e.Timestamp)
	}
	// Output:
	// <nil>
	// edge Signed Up a 2026-01-02 03:04:05 +0000 UTC
	// edge Signed Up b 2026-01-02 03:04:05 +0000 UTC
}

// A host that watches for a wrong write key checks the status.
func ExampleStatusError() {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeUnknownKey})
	}))
	defer other.Close()

	sink, err := httpsink.New(other.URL, "an-old-write-key", &httpsink.Options{AllowHTTP: true, AllowPrivate: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer sink.Close(ctx)
	err = sink.Write(ctx, events("a"))
	if status, ok := errors.AsType[*httpsink.StatusError](err); ok {
		fmt.Println(status.Status, inlet.IsPermanent(err))
	}
	fmt.Println(err)
	// Output:
	// 401 false
	// httpsink: the receiver answered 401 Unauthorized, the write key may be wrong: "unknown_key: the write key is not known"
}
