package inlettest_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inlettest"
)

// A shop is the code under test. It sends events by HTTP.
type shop struct {
	url, key string
	client   *http.Client
}

func (s *shop) checkout(user string, total float64) {
	body := fmt.Sprintf(`{"event":"Order Completed","userId":%q,"messageId":"1","timestamp":"2026-03-01T12:00:00Z","properties":{"total":%g,"currency":"EUR"}}`, user, total)
	for range 3 {
		r, err := http.NewRequest(http.MethodPost, s.url+"/v1/track", strings.NewReader(body))
		if err != nil {
			return
		}
		r.SetBasicAuth(s.key, "")
		answer, err := s.client.Do(r)
		if err == nil && answer.Body.Close() == nil && answer.StatusCode < 429 {
			return
		}
	}
}

func ExampleNew() {
	testCheckout := func(t testing.TB) {
		srv := inlettest.New(t, nil)
		shop := &shop{srv.URL(), srv.Key(), http.DefaultClient}

		shop.checkout("user-1", 49.90)
		order := srv.RequireTracked(t, "Order Completed", inlettest.Props{"total": 49.9})
		fmt.Println(order.UserID)
	}
	fmt.Println(attempt(testCheckout))
	// Output: user-1
}

// Without a listener: the client of the server passes requests on, whatever host they are for.
func ExampleServer_Client() {
	testCheckout := func(t testing.TB) {
		srv := inlettest.New(t, nil)
		shop := &shop{"https://api.segment.test", srv.Key(), srv.Client()}

		shop.checkout("user-1", 49.90)
		fmt.Println(len(srv.Wait(t, 1)))
	}
	fmt.Println(attempt(testCheckout))
	// Output: 1
}

// The code under test must send an event again that was not stored, and must not send one twice
// that was.
func ExampleServer_FailNext() {
	testRetry := func(t testing.TB) {
		srv := inlettest.New(t, nil)
		shop := &shop{"https://api.segment.test", srv.Key(), srv.Client()}

		srv.FailNext(&inlet.Error{Code: inlet.CodeRateLimited})
		srv.FailNext(errors.New("the disk is full"))
		shop.checkout("user-1", 49.90)
		fmt.Println(len(srv.Wait(t, 1)))
	}
	fmt.Println(attempt(testRetry))
	// Output: 1
}

// A test that fails says why.
func ExampleServer_RequireTracked() {
	testCheckout := func(t testing.TB) {
		srv := inlettest.New(t, &inlettest.Options{Timeout: time.Millisecond})
		shop := &shop{"https://api.segment.test", srv.Key(), srv.Client()}

		shop.checkout("user-1", 49.90)
		srv.RequireTracked(t, "Order Completed", inlettest.Props{"total": 50, "coupon": "SPRING"})
	}
	for line := range strings.Lines(attempt(testCheckout)) {
		fmt.Printf("%.100s\n", strings.TrimSpace(line))
	}
	// Output:
	// inlettest: no track event "Order Completed" with the properties {"coupon":"SPRING","total":50} recei
	// received 1 event:
	// 1. {"type":"track","event":"Order Completed","messageId":"1","userId":"user-1","timestamp":"2026-03-
	// properties.coupon is missing, want "SPRING"
	// properties.total is 49.9, not 50
}

// A browser SDK boots from the server: it asks CDNURL for its settings, which name the API.
func ExampleServer_Segment() {
	testPage := func(t testing.TB) {
		settings := inlettest.New(t, nil).Segment(t)
		fmt.Println(settings.WriteKey, strings.HasPrefix(settings.CDNURL, "http://127.0.0.1:"))
		// json.Marshal(settings) is the argument of AnalyticsBrowser.load.
	}
	fmt.Println(attempt(testPage))
	// Output: inlettest true
}

// A host that mounts Inlet tests its own handler, with its own layers and enrichers.
func ExampleServer_Sink() {
	testHost := func(t testing.TB) {
		srv := inlettest.New(t, nil)
		api, err := inlet.New(srv.Sink(), &inlet.Options{AllowAnonymous: true}) // as the host does
		if err != nil {
			t.Fatal(err)
		}
		shop := &shop{"https://shop.test", "any", &http.Client{Transport: handlerTransport{api}}}

		shop.checkout("user-1", 49.90)
		fmt.Println(srv.Require(t, inlettest.Want{Type: inlet.TypeTrack, UserID: "user-1"}).Name)
	}
	fmt.Println(attempt(testHost))
	// Output: Order Completed
}
