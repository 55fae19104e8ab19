package inlettest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inlettest"
	"github.com/inlet-go/inlet/sinktest"
)

// The ways to reach a server.
func TestServer(t *testing.T) {
	t.Parallel()
	const body = `{"event":"E","userId":"u"}`
	t.Run("a listener", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, nil)
		require.Equal(t, srv.URL(), srv.URL())
		require.Equal(t, 200, send(t, http.DefaultClient, srv.URL()+"/v1/track", srv.Key(), body))
		require.Equal(t, "u", srv.RequireTracked(t, "E", nil).UserID)
	})
	t.Run("a client without a listener", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, &inlettest.Options{Key: "k", Source: inlet.Source{ID: "shop"}})
		require.Equal(t, 200, send(t, srv.Client(), "https://anywhere.test/v1/t", "k", body))
		require.Equal(t, "shop", srv.RequireTracked(t, "E", nil).Source.ID)
	})
	t.Run("ServeHTTP", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, nil)
		r := httptest.NewRequest(http.MethodPost, "/v1/batch", strings.NewReader(
			`{"writeKey":"inlettest","batch":[{"type":"identify","userId":"u","traits":{"plan":"pro"}}]}`))
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		require.Equal(t, 200, w.Code)
		srv.RequireIdentified(t, "u", inlettest.Props{"plan": "pro"})
	})
	t.Run("a handler of the host's own", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, nil)
		api, err := inlet.New(srv.Sink(), &inlet.Options{RequireDurability: inlet.DurabilityFsync})
		require.NoError(t, err)
		require.NoError(t, api.Ingest(t.Context(), &inlet.Source{ID: "jobs"},
			&inlet.Event{Type: inlet.TypeTrack, Name: "Invoice Sent", UserID: "u"}))
		srv.RequireTracked(t, "Invoice Sent", nil)
	})
	t.Run("options of the handler", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, &inlettest.Options{Handler: &inlet.Options{
			Validators: []inlet.Validator{func(*inlet.Event) *inlet.Problem {
				return &inlet.Problem{Code: "unplanned", Message: "not in the plan"}
			}},
		}})
		require.Equal(t, 400, track(t, srv, "E", `{}`))
		srv.RequireNone(t)
	})
	t.Run("other keys are refused", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, nil)
		require.Equal(t, 401, send(t, srv.Client(), "http://x/v1/track", "other", body))
		srv.RequireNone(t)
	})
	t.Run("pages of any origin", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, nil)
		r := httptest.NewRequest(http.MethodOptions, "/v1/track", http.NoBody)
		r.Header.Set("Origin", "http://localhost:3000")
		r.Header.Set("Access-Control-Request-Method", "POST")
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
	})
	t.Run("limits of the source", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, &inlettest.Options{Source: inlet.Source{Rate: 1e-6, Burst: 1}})
		require.Equal(t, 200, track(t, srv, "A", `{}`))
		require.Equal(t, 429, track(t, srv, "B", `{}`))
		srv.Wait(t, 1)
		srv.RequireNone(t, inlettest.Want{Name: "B"})
	})
	t.Run("the layers of production", func(t *testing.T) {
		t.Parallel()
		observer := new(counts)
		srv := inlettest.New(t, &inlettest.Options{Handler: &inlet.Options{Observer: observer}})
		r := httptest.NewRequest(http.MethodPost, "/v1/track", strings.NewReader(body))
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		require.Equal(t, 401, w.Code)
		require.NotEmpty(t, w.Header().Get("X-Request-Id"))
		require.Equal(t, 200, track(t, srv, "A", `{}`))
		require.Equal(t, counts{http.StatusUnauthorized: 1, http.StatusOK: 1}, *observer)
	})
	t.Run("Reset", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, nil)
		srv.FailNext(errors.New("down"))
		srv.Reset()
		require.Equal(t, 200, track(t, srv, "A", `{}`))
		srv.Reset()
		srv.RequireNone(t)
		require.Equal(t, 200, track(t, srv, "B", `{}`))
		require.Len(t, srv.Wait(t, 1), 1)
	})
	t.Run("options out of range", func(t *testing.T) {
		t.Parallel()
		for want, o := range map[string]inlettest.Options{
			"inlettest: Options: Timeout is -1ns": {Timeout: -1},
			"is negative":                         {Source: inlet.Source{Rate: -1}},
			"WriteTimeout is -1ns":                {Handler: &inlet.Options{WriteTimeout: -1}},
		} {
			require.Contains(t, attempt(func(t testing.TB) { inlettest.New(t, &o) }), want)
		}
	})
}

// counts has how often each status was observed. It is not safe for concurrent use.
type counts map[int]int

func (c *counts) ObserveRequest(_ context.Context, o *inlet.Outcome) {
	if *c == nil {
		*c = counts{}
	}
	(*c)[o.Status]++
}

// Events that come later are waited for, on the clock of the bubble.
func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := inlettest.New(t, &inlettest.Options{Timeout: time.Hour})
		begin := time.Now()
		for i := range 3 {
			time.AfterFunc(time.Duration(i+1)*10*time.Minute, func() { track(t, srv, fmt.Sprint("E", i), `{}`) })
		}
		srv.RequireTracked(t, "E1", nil)
		require.Equal(t, 20*time.Minute, time.Since(begin))
		require.Len(t, srv.Wait(t, 3), 3)
		require.Equal(t, 30*time.Minute, time.Since(begin))

		failure := attempt(func(t testing.TB) { srv.Wait(t, 4) })
		require.Contains(t, failure, "inlettest: 3 of 4 events received after 1h0m0s")
		require.Equal(t, 90*time.Minute, time.Since(begin))
	})
}

func TestFailNext(t *testing.T) {
	t.Parallel()
	const batch = `{"batch":[{"type":"track","event":"A","userId":"u"},{"type":"track","event":"B","userId":"u"}]}`
	for _, tt := range []struct {
		name     string
		failures []error
		statuses []int
		stored   int // of the two events of each request
	}{
		{"the sink", []error{errors.New("down")}, []int{503, 200}, 2},
		{"several", []error{errors.New("a"), errors.New("b")}, []int{503, 503, 200}, 2},
		{"a code", []error{&inlet.Error{Code: inlet.CodeRateLimited}}, []int{429, 200}, 2},
		{"codes and the sink in order", []error{
			errors.New("down"), &inlet.Error{Code: inlet.CodeRateLimited}, errors.New("down"), &inlet.Error{Code: inlet.CodeInternal},
		}, []int{503, 429, 503, 500, 200}, 2},
		{"permanently", []error{inlet.Permanent(errors.New("never"))}, []int{400, 200}, 2},
		{"one event", []error{&inlet.BatchError{Items: []inlet.ItemError{{Index: 1, Err: inlet.Permanent(&inlet.Error{Code: inlet.CodeInvalidEvent})}}}}, []int{200, 200}, 3},
		{"none", []error{nil, errors.New("down")}, []int{200, 503, 200}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := inlettest.New(t, nil)
			for _, f := range tt.failures {
				srv.FailNext(f)
			}
			settings := httptest.NewRequest(http.MethodGet, "/v1/projects/k/settings", http.NoBody)
			w := httptest.NewRecorder()
			srv.ServeHTTP(w, settings)
			require.Equal(t, 200, w.Code, "requests without events do not fail")
			for _, want := range tt.statuses {
				require.Equal(t, want, send(t, srv.Client(), "http://x/v1/batch", srv.Key(), batch))
			}
			require.Len(t, srv.Events(), tt.stored)
		})
	}
}

// What an SDK is configured with leads back to the server.
func TestSegment(t *testing.T) {
	t.Parallel()
	srv := inlettest.New(t, &inlettest.Options{Key: "a key?#"})
	settings := srv.Segment(t)
	require.Equal(t, srv.URL(), settings.Host)
	require.Equal(t, "http://"+settings.APIHost, settings.Host+"/v1")
	for name, text := range map[string]json.RawMessage{
		"given": settings.CDNSettings,
		"asked": body(t, settings.CDNURL+"/v1/projects/a%20key%3F%23/settings"),
	} {
		var booted struct {
			Integrations map[string]struct{ APIKey, APIHost, Protocol string } `json:"integrations"`
		}
		require.NoError(t, json.Unmarshal(text, &booted), name)
		sdk := booted.Integrations["Segment.io"]
		require.Equal(t, 200, send(t, http.DefaultClient, sdk.Protocol+"://"+sdk.APIHost+"/t", sdk.APIKey,
			fmt.Sprintf(`{"event":%q,"userId":"u"}`, name)), name)
		srv.RequireTracked(t, name, nil)
	}
	load, err := json.Marshal(settings)
	require.NoError(t, err)
	require.JSONEq(t, fmt.Sprintf(`{"writeKey":"a key?#","cdnURL":%q,"cdnSettings":%s}`, srv.URL(), settings.CDNSettings), string(load))

	require.Contains(t, attempt(func(t testing.TB) {
		inlettest.New(t, &inlettest.Options{Handler: &inlet.Options{PublicURL: "https://shop.example/in"}}).Segment(t)
	}), `the settings lead to "shop.example/in/v1", not to this server`)
}

func body(t *testing.T, url string) json.RawMessage {
	t.Helper()
	answer, err := http.Get(url)
	require.NoError(t, err)
	defer func() { require.NoError(t, answer.Body.Close()) }()
	var text json.RawMessage
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&text))
	return text
}

func TestSink(t *testing.T) {
	t.Parallel()
	srv := inlettest.New(t, nil)
	var all []*inlettest.Server
	sinktest.Run(t, sinktest.Harness{
		New: func(t testing.TB) inlet.Sink {
			srv = inlettest.New(t, nil)
			all = append(all, srv)
			return srv.Sink()
		},
		Read: func(testing.TB, inlet.Sink) []*inlet.Event {
			var events []*inlet.Event
			for _, srv := range all {
				events = append(events, srv.Events()...)
			}
			return events
		},
		Features: sinktest.Features{Ordered: true},
	})
}

// What fits, and the words for what does not.
func TestWant(t *testing.T) {
	t.Parallel()
	type item struct {
		SKU string `json:"sku"`
	}
	const properties = `{"total":49.90,"big":9007199254740993,"n":-0.0,"on":true,"none":null,"text":"a <b>","items":[{"sku":"a","n":1},{"sku":"b"}],"ship":{"to":{"zip":"1"}}}`
	for _, tt := range []struct {
		name  string
		props inlettest.Props
		fault string
	}{
		{"nothing wanted", nil, ""},
		{"a number", inlettest.Props{"total": 49.9}, ""},
		{"a number as it is written", inlettest.Props{"total": json.Number("4990e-2")}, ""},
		{"another number", inlettest.Props{"total": 49.91}, "properties.total is 49.90, not 49.91"},
		{"a large integer", inlettest.Props{"big": int64(9007199254740993)}, ""},
		{"a large integer rounded", inlettest.Props{"big": int64(9007199254740992)}, "properties.big is 9007199254740993, not 9007199254740992"},
		{"zero", inlettest.Props{"n": 0}, ""},
		{"a number as text", inlettest.Props{"total": "49.90"}, `properties.total is 49.90, not "49.90"`},
		{"a boolean", inlettest.Props{"on": true}, ""},
		{"another boolean", inlettest.Props{"on": false}, "properties.on is true, not false"},
		{"null", inlettest.Props{"none": nil}, ""},
		{"null for absence", inlettest.Props{"missing": nil}, "properties.missing is missing, want null"},
		{"text", inlettest.Props{"text": "a <b>"}, ""},
		{"other text", inlettest.Props{"text": "a"}, `properties.text is "a <b>", not "a"`},
		{"part of an object", inlettest.Props{"ship": inlettest.Props{"to": map[string]string{"zip": "1"}}}, ""},
		{"another object", inlettest.Props{"ship": inlettest.Props{"to": inlettest.Props{"zip": 1}}}, `properties.ship.to.zip is "1", not 1`},
		{"a list of parts", inlettest.Props{"items": []item{{"a"}, {"b"}}}, ""},
		{"a shorter list", inlettest.Props{"items": []item{{"a"}}}, "properties.items has 2 elements, not 1"},
		{"another list", inlettest.Props{"items": []item{{"a"}, {"c"}}}, `properties.items[1].sku is "b", not "c"`},
		{"an object for text", inlettest.Props{"text": inlettest.Props{}}, `properties.text is "a <b>", not {}`},
		{"a list for an object", inlettest.Props{"ship": []int{}}, "properties.ship is {"},
		{"text for an object", inlettest.Props{"ship": "x"}, "properties.ship is {"},
		{"several", inlettest.Props{"on": false, "zzz": 1}, "properties.zzz is missing, want 1"},
		{"no JSON", inlettest.Props{"c": make(chan int)}, "inlettest: the properties that the test wants are not JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := inlettest.New(t, &inlettest.Options{Timeout: time.Nanosecond})
			require.Equal(t, 200, track(t, srv, "E", properties))
			failure := attempt(func(t testing.TB) { srv.RequireTracked(t, "E", tt.props) })
			if tt.fault == "" {
				require.Empty(t, failure)
				require.Contains(t, attempt(func(t testing.TB) {
					srv.RequireNone(t, inlettest.Want{Name: "E", Properties: tt.props})
				}), "there must be no event \"E\"")
				return
			}
			require.Contains(t, failure, tt.fault)
		})
	}
	t.Run("fields", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, &inlettest.Options{Timeout: time.Nanosecond})
		require.Equal(t, 200, send(t, srv.Client(), "http://x/v1/group", srv.Key(),
			`{"userId":"u","anonymousId":"a","groupId":"g","traits":{"plan":"x"},"context":{"ip":"1.2.3.4"}}`))
		full := inlettest.Want{
			Type: inlet.TypeGroup, UserID: "u", AnonymousID: "a", GroupID: "g",
			Traits: inlettest.Props{"plan": "x"}, Context: inlettest.Props{"ip": "1.2.3.4"},
		}
		require.Equal(t, "g", srv.Require(t, full).GroupID)
		for want, change := range map[string]func(w *inlettest.Want){
			"the call is group, not track":               func(w *inlettest.Want) { w.Type = inlet.TypeTrack },
			`the name is "", not "E"`:                    func(w *inlettest.Want) { w.Name = "E" },
			`userId is "u", not "v"`:                     func(w *inlettest.Want) { w.UserID = "v" },
			`anonymousId is "a", not "v"`:                func(w *inlettest.Want) { w.AnonymousID = "v" },
			`groupId is "g", not "v"`:                    func(w *inlettest.Want) { w.GroupID = "v" },
			`traits.plan is "x", not "y"`:                func(w *inlettest.Want) { w.Traits = inlettest.Props{"plan": "y"} },
			`context.ip is "1.2.3.4", not "1"`:           func(w *inlettest.Want) { w.Context = inlettest.Props{"ip": "1"} },
			`properties.total is missing, want 1`:        func(w *inlettest.Want) { w.Properties = inlettest.Props{"total": 1} },
			`no group event with the userId "u" with th`: func(w *inlettest.Want) { w.Name, w.Type = "", inlet.TypeGroup; w.Traits = inlettest.Props{"a": 1} },
		} {
			other := full
			change(&other)
			require.Contains(t, attempt(func(t testing.TB) { srv.Require(t, other) }), want)
		}
	})
}

// A failure shows what was received, the nearest first, and what was refused.
func TestReport(t *testing.T) {
	t.Parallel()
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, &inlettest.Options{Timeout: time.Millisecond})
		require.Equal(t, "inlettest: no track event \"E\" received after 1ms\nno event was received",
			attempt(func(t testing.TB) { srv.RequireTracked(t, "E", nil) }))
	})
	t.Run("the nearest first", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, &inlettest.Options{Timeout: time.Millisecond})
		track(t, srv, "Cart Viewed", `{"total":1,"currency":"EUR"}`)
		send(t, srv.Client(), "http://x/v1/page", srv.Key(), `{"name":"Order Completed","userId":"u","properties":{"total":1}}`)
		track(t, srv, "order completed ", `{}`)
		track(t, srv, "Order Completed", `{"total":2}`)
		track(t, srv, "Order Completed", `{"total":1,"currency":"USD"}`)
		failure := attempt(func(t testing.TB) {
			srv.RequireTracked(t, "Order Completed", inlettest.Props{"total": 1, "currency": "EUR"})
		})
		require.Contains(t, failure, `no track event "Order Completed" with the properties {"currency":"EUR","total":1} received`)
		requireOrder(t, failure,
			"received 5 events, the nearest first:",
			`1. {"type":"track"`, `"currency":"USD"`, `properties.currency is "USD", not "EUR"`,
			`2. {"type":"track"`, `properties.currency is missing, want "EUR"`, "properties.total is 2, not 1",
			`3. {"type":"track"`, `the name is "order completed ", not "Order Completed"`,
			`4. {"type":"track"`, `the name is "Cart Viewed", not "Order Completed"`,
			`5. {"type":"page"`, "the call is page, not track")
	})
	t.Run("refusals", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, &inlettest.Options{Timeout: time.Millisecond})
		send(t, srv.Client(), "http://x/v1/track", "a-wrong-key", `{}`)
		send(t, srv.Client(), "http://x/v1/batch", srv.Key(), `{"batch":[{"type":"track","userId":"u","event":"A"},{"type":"track","userId":"u"}]}`)
		send(t, srv.Client(), "http://x/v1/track", srv.Key(), `{`)
		send(t, srv.Client(), "http://x/nowhere", srv.Key(), `{}`)
		for range 30 {
			srv.FailNext(&inlet.Error{Code: inlet.CodeRateLimited})
			track(t, srv, "B", `{}`)
		}
		failure := attempt(func(t testing.TB) { srv.Wait(t, 2) })
		requireOrder(t, failure, "1 of 2 events received after 1ms", "received 1 event:", `"event":"A"`,
			"refused 34 requests, in whole or in part:",
			"POST /v1/track: 401 unknown_key", "POST /v1/batch: 200; event 1: ", "POST /v1/track: 400 ",
			"POST /nowhere: 404", "POST /v1/track: 429 rate_limited", "and 14 more")
		require.NotContains(t, failure, "a-wrong-key")
	})
	t.Run("much", func(t *testing.T) {
		t.Parallel()
		srv := inlettest.New(t, &inlettest.Options{Timeout: time.Millisecond})
		for range 40 {
			track(t, srv, "A", `{"text":"`+strings.Repeat("č", 10_000)+`"}`)
		}
		failure := attempt(func(t testing.TB) { srv.RequireTracked(t, "B", inlettest.Props{"text": "x"}) })
		require.Contains(t, failure, "and 30 more")
		require.Less(t, len(failure), 30_000)
	})
}

// requireOrder requires that the parts are in the text, one after the other.
func requireOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, ok := strings.Cut(rest, part)
		require.True(t, ok, "%q is not in its place:\n%s", part, text)
		rest = after
	}
}

// The code and the failure that docs/TESTING.md shows are those of the examples.
func TestDocument(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "TESTING.md"))
	require.NoError(t, err)
	examples, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	for mark, indent := range map[string]string{"test": "\t\t", "failure": "\t// "} {
		_, block, ok := strings.Cut(string(page), "<!-- "+mark+" -->\n```")
		require.True(t, ok, mark)
		_, block, _ = strings.Cut(block, "\n")
		block, _, _ = strings.Cut(block, "```\n<!-- /"+mark+" -->")
		require.Contains(t, strings.ReplaceAll(string(examples), "\n"+indent, "\n"), "\n"+block, mark)
	}
}
