package inlet_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
)

// A migration is a pure function of its payload, so it can be used on files and queues as
// well as on requests.
func ExampleMigration() {
	v1 := `{"event":"search","eventId":"E1","eventTimestamp":"1639044446636",` +
		`"properties":{"search_term":"t-shirts","user":{"consistent_anonymous_id":"a1"}},"device":{"userAgent":"Mozilla/5.0"}}`
	v2, report, err := inlet.CommandersActV1().Migrate(nil, []byte(v1), inlet.MigrateOptions{ReceivedAt: time.Now()})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(v2))
	for _, note := range report.Notes {
		fmt.Println(note.Code, note.Field, "→", note.To)
	}
	// Output:
	// {"event_name":"search","search_term":"t-shirts","user":{"consistent_anonymous_id":"a1"},"context":{"event_id":"E1","event_timestamp":1639044446636,"device":{"user_agent":"Mozilla/5.0"},"version":2}}
	// renamed event → event_name
	// renamed eventId → context.event_id
	// renamed eventTimestamp → context.event_timestamp
	// renamed device.userAgent → context.device.user_agent
}

func ExampleCommandersActV1() {
	m := inlet.CommandersActV1()
	for _, path := range []string{"/events?tc_s=1", "/cdp/events/", "/events/batch", "/v1/track"} {
		fmt.Println(path, m.Applies(httptest.NewRequest(http.MethodPost, path, nil)))
	}
	// Output:
	// /events?tc_s=1 true
	// /cdp/events/ true
	// /events/batch true
	// /v1/track false
}

// The layer as package middleware has it, with errors instead of panics.
func ExampleMigratePayload() {
	layer, err := inlet.MigratePayload(inlet.CommandersActV1(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	h := layer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.ContentLength, string(body))
	}))
	v1 := `{"event":"login","eventId":"E1","eventTimestamp":1639044446636,"properties":{"method":"mail"}}`
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(v1)))
	// Output:
	// 110 {"event_name":"login","method":"mail","context":{"event_id":"E1","event_timestamp":1639044446636,"version":2}}
}
