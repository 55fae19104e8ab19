package inlet_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

// A handler that speaks nothing but Commanders Act. An event that is refused is
// named in the answer, whose status is 200 as the vendor documents it.
func ExampleCommandersAct() {
	protocol := &inlet.Protocol{Dialects: []inlet.Dialect{inlet.CommandersAct()}}
	sink := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		for _, e := range events {
			fmt.Println(e.Type, e.Name, e.UserID, string(e.Properties))
		}
		return nil
	})
	api, err := inlet.New(sink, &inlet.Options{Protocol: protocol})
	if err != nil {
		fmt.Println(err)
		return
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"my-source-key": {ID: "site"}})
	h := middleware.Auth(keys, &inlet.AuthOptions{Protocol: protocol})(api)

	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/events/batch?tc_s=1234&token=my-source-key", strings.NewReader(
		`{"batch":[{"event_name":"search","search_term":"boots","user":{"id":"c1"},"context":{"event_id":"e1"}},{"user":{"id":"c2"}}]}`)))
	fmt.Println(w.Code, w.Body)
	// Output:
	// track search c1 {"search_term":"boots"}
	// 200 {"success":true,"accepted":1,"rejected":[{"index":1,"code":"event_not_defined","message":"event_name is required","field":"event_name"}]}
}
