package inlet_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/sinks"
)

func TestDialectKeys(t *testing.T) {
	t.Parallel()
	t.Run("a key in a body is not stored", func(t *testing.T) {
		t.Parallel()
		for path, body := range map[string]string{
			"/v1/track":          `{"appId":"K","writeKey":"K","writekey":"K","event":"E","userId":"u","messageId":"m"}`,
			"/v1/batch":          `{"writeKey":"K","batch":[{"type":"track","appId":"K","writeKey":"K","event":"E","userId":"u"}]}`,
			"/v1/custom/event":   `{"appId":"K","writeKey":"K","_metarouter":{"writeKey":"K","eventName":"E","userID":"u"}}`,
			"/v1/w?writeKey=K":   `{"type":"track","event":"E","userId":"u","writeKey":"K"}`,
			"/api/s/track":       `{"event":"E","userId":"u","writeKey":"K"}`,
			"/beacon/v1/batch":   `{"batch":[{"type":"page","anonymousId":"a","writeKey":"K"}],"writeKey":"K"}`,
			"/v1/w":              `{"\u0077riteKey":"K","type":"track","event":"E","userId":"u"}`,
			"/v1/custom/event//": `{"_metarouter":{"\u0077riteKey":"K","eventName":"E","userID":"u"}}`,
		} {
			t.Run(path, func(t *testing.T) {
				t.Parallel()
				s := newDialectServer(t)
				w := s.post(strings.ReplaceAll(path, "=K", "="+appID), "", strings.ReplaceAll(body, `"K"`, `"`+appID+`"`))
				require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
				require.NotContains(t, string(s.only(t).AppendJSON(nil)), appID)
			})
		}
	})
}

// A dialect of a host's own, for what the built-in ones do not do.
type customDialect struct{ routes []inlet.Route }

func (customDialect) Name() string { return "own" }

func (d customDialect) Routes() []inlet.Route { return d.routes }

func (customDialect) KeyPlaces() (query, members []string) { return nil, nil }

// customProtocol returns a protocol with routes of a host's own alone.
func customProtocol(routes ...inlet.Route) *inlet.Protocol {
	return &inlet.Protocol{Dialects: []inlet.Dialect{customDialect{routes}}}
}

func TestCustomDialect(t *testing.T) {
	t.Parallel()
	t.Run("routes", func(t *testing.T) {
		t.Parallel()
		sink := new(testsink.Keeper)
		decode := func(in *inlet.Input) error {
			items, listed := in.Items()
			if !listed {
				return &inlet.Error{Code: inlet.CodeBatchNotArray, Field: "batch"}
			}
			for i, item := range items {
				if item.Len() == 0 {
					continue
				}
				e := in.Add(i)
				e.Type, e.UserID, e.MessageID = inlet.TypePage, in.Text(item.Get("user")), in.Text(item.Get("id"))
				e.Properties, e.Timestamp = item.Get("data"), in.ReceivedAt
			}
			return nil
		}
		h := mustNew(t, sink, &inlet.Options{Protocol: customProtocol(
			inlet.Route{Method: "POST", Path: "/sites/{site}/hits", Batch: true, Form: inlet.FormLenient, Decode: decode},
			inlet.Route{Method: "PUT", Path: "/sites/{site}/hits", Batch: true, Form: inlet.FormEmpty, Decode: decode},
			inlet.Route{Method: "GET", Path: "/settings/{site}", Open: true, Reply: func(q *inlet.Inquiry) ([]byte, error) {
				return []byte(`{"site":"` + q.Request.PathValue("site") + `"}`), nil
			}},
		)})
		hit := `{"user":"u","id":"m","data":{"n":12345678901234567890}}`
		requireSuccess(t, serve(h, authenticated("/sites/s1/hits/", batchOf(hit))))
		require.JSONEq(t, `{"n":12345678901234567890}`, string(sink.Events()[0].Properties))
		require.Equal(t, "own", sink.Events()[0].Dialect)

		// Items that the dialect gets as refused already must be rejected.
		w := serve(h, authenticated("/sites/s1/hits", batchOf(hit, `{"user":"u","user":"v"}`, `7`, padTo(33_000))))
		require.Equal(t, 200, w.Code)
		require.Equal(t, "[1:duplicate_name 2:not_object 3:event_too_large]", rejects(readReply(t, w)))

		put := authenticated("/sites/s1/hits", batchOf(hit))
		put.Method = "PUT"
		w = serve(h, put)
		require.Equal(t, 204, w.Code)
		require.Empty(t, w.Body.String())

		w = serve(h, authenticated("/sites/s1/hits", batchOf(`{"id":"m"}`, `{"id":"n"}`)))
		require.Equal(t, 200, w.Code, "a lenient route answers 200 where everything was refused")
		require.False(t, *readReply(t, w).Success)

		w = serve(h, request("GET", "/settings/s1", nil))
		require.Equal(t, 200, w.Code)
		require.JSONEq(t, `{"site":"s1"}`, w.Body.String())
		w = serve(h, request("DELETE", "/sites/s1/hits", nil))
		require.Equal(t, "POST, PUT", w.Header().Get("Allow"))
		requireRefused(t, serve(h, authenticated("/sites//hits", batchOf(hit))), 404, inlet.CodeNotFound)
	})
	t.Run("no host", func(t *testing.T) {
		t.Parallel()
		const answer = `{"a":1}`
		mounted := func(q *inlet.Inquiry) ([]byte, error) {
			q.Mount()
			q.Header.Set("Content-Length", strconv.Itoa(len(answer)))
			return []byte(answer), nil
		}
		dialects := append(inlet.Dialects(), customDialect{routes: []inlet.Route{
			{Method: "GET", Path: "/mounted", Open: true, Reply: mounted},
			{Method: "GET", Path: "/other", Open: true, Reply: func(*inlet.Inquiry) ([]byte, error) { return []byte(answer), nil }},
		}})
		ask := func(o *inlet.Options, method, path, host string) *httptest.ResponseRecorder {
			o.Protocol = &inlet.Protocol{Dialects: dialects, OpenAPI: true}
			r := request(method, path, nil)
			r.Host = host
			return serve(mustNew(t, new(testsink.Keeper), o), r)
		}
		for _, host := range []string{"", ":8080", "[]", "[]:1", ":"} {
			for _, path := range []string{"/v1/projects/k/settings", "/openapi.json", "/mounted"} {
				w := ask(&inlet.Options{}, "GET", path, host)
				require.Equal(t, "Host", requireRefused(t, w, 400, inlet.CodeInvalidRequest).Field, "%s %q", path, host)
				require.NotContains(t, w.Header(), "Content-Length", "of the answer that is dropped")
				require.NotContains(t, w.Header(), "Cache-Control")
				require.Equal(t, 200, ask(&inlet.Options{PublicURL: "https://shop.example"}, "GET", path, host).Code)
			}
			require.Equal(t, 400, ask(&inlet.Options{}, "HEAD", "/openapi.json", host).Code)
			require.Equal(t, 200, ask(&inlet.Options{}, "GET", "/other", host).Code, "its answer names no address")
			require.Equal(t, 200, ask(&inlet.Options{}, "GET", "/sourceConfig?writeKey=k", host).Code)
		}
	})
	// A dialect of a host's own is treated by layers and handler as the built-in ones are.
	t.Run("input and layers", func(t *testing.T) {
		t.Parallel()
		decode := func(in *inlet.Input) error {
			root, ok := in.Single()
			if !ok {
				return nil
			}
			e := in.Add(0)
			e.Type, e.Name = inlet.TypeTrack, in.Text(root.Get("event"))
			if root.Repaired() {
				e.Warnings |= inlet.WarnTextRepaired
			}
			if p := in.SetID(e, &e.UserID, root.Get("userId"), "userId"); p != nil {
				in.Withdraw(p)
				return nil
			}
			in.SetTime(e, &e.Timestamp, root.Get("at"))
			e.Context = in.AppendRaw(func(dst []byte) []byte { return append(dst, `{"own":true}`...) })
			in.SetExtra(e, root, func(i int) (extra, client bool) {
				switch string(root.Name(i)) {
				case `"event"`, `"userId"`, `"at"`:
					return false, false
				case `"sourceId"`:
					return true, true
				}
				return true, false
			})
			return nil
		}
		protocol := customProtocol(inlet.Route{Method: "POST", Path: "/own", Form: inlet.FormEmpty, Decode: decode},
			inlet.Route{Method: "GET", Path: "/own.gif", Form: inlet.FormPixel, Decode: decode})
		keys := inlet.MustKeys(map[string]inlet.Source{"K": {ID: "shop"}})
		sink := new(testsink.Keeper)
		h := mustAuth(t, keys, &inlet.AuthOptions{Protocol: protocol})(mustNew(t, sink, &inlet.Options{Protocol: protocol}))

		t.Run("has repaired text marked", func(t *testing.T) {
			body := "{\"event\":\"\xff\",\"userId\":\"u\",\"x\":1,\"sourceId\":\"mine\"}"
			w := serve(h, request("POST", "/own", strings.NewReader(body), "X-Write-Key", "K"))
			require.Equal(t, 204, w.Code, "%s", w.Body)
			e := sink.Events()[0]
			require.Equal(t, "\ufffd", e.Name)
			require.True(t, e.Warnings.Has(inlet.WarnTextRepaired))
			require.JSONEq(t, `{"own":true}`, string(e.Context))
			require.JSONEq(t, `{"x":1,"_client":{"sourceId":"mine"}}`, string(e.Extra))
		})
		t.Run("can withdraw an event", func(t *testing.T) {
			w := serve(h, request("POST", "/own", strings.NewReader(`{"event":"E","userId":[]}`), "X-Write-Key", "K"))
			requireRefused(t, w, 400, inlet.CodeIDNotString)
		})
		t.Run("answers refusals of its layers in its own form", func(t *testing.T) {
			w := serve(h, request("GET", "/own.gif", nil))
			require.Equal(t, 200, w.Code)
			require.Equal(t, "image/gif", w.Header().Get("Content-Type"))
			require.Equal(t, string(inlet.CodeMissingKey), w.Header().Get("X-Inlet-Error"))

			inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeRateLimited})
			})
			limited := mustAuth(t, keys, &inlet.AuthOptions{Protocol: protocol})(inner)
			w = serve(limited, request("GET", "/own.gif", nil, "X-Write-Key", "K"))
			require.Equal(t, "image/gif", w.Header().Get("Content-Type"))
		})
		t.Run("is unknown to layers without its protocol", func(t *testing.T) {
			w := serve(mustAuth(t, keys, nil)(http.NotFoundHandler()), request("GET", "/own.gif", nil))
			requireRefused(t, w, 401, inlet.CodeMissingKey)
		})
	})
}

// silentWriter is a writer that allocates nothing, as that of net/http does not
// once its connection is warm.
type silentWriter struct{ header http.Header }

func (w *silentWriter) Header() http.Header { return w.header }

func (w *silentWriter) Write(b []byte) (int, error) { return len(b), nil }

func (w *silentWriter) WriteHeader(int) {}

func (w *silentWriter) SetReadDeadline(time.Time) error { return nil }

// handlerAllocs returns how many allocations it costs to take in a body that
// an authentication layer has let through.
func handlerAllocs(t *testing.T, path, body string) float64 {
	h := mustNew(t, new(sinks.Discard), nil)
	r := authenticated(path, body)
	w := &silentWriter{http.Header{}}
	reader := strings.NewReader(body)
	closer := io.NopCloser(reader)
	return testing.AllocsPerRun(200, func() {
		clear(w.header)
		reader.Reset(body)
		r.Body = closer
		h.ServeHTTP(w, r)
	})
}

func TestDialectAllocs(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	acts := strings.Replace(goodActs, `"login"`, `"login","search_term":"x","items":[{"id":"1"}]`, 1)
	single := handlerAllocs(t, "/v1/track", goodTrack)
	batch := handlerAllocs(t, "/v1/batch", batchOf(repeated(100, `{"type":"track",`+goodTrack[1:])...))
	for _, tt := range []struct {
		name, path, body string
		most             float64
	}{
		{"a hit", "/track", goodHit, single},
		{"a hit with members that no field holds", "/collect", `{"type":"event","website":{},` + goodHit[1:], single},
		{"a hit without an id", "/track", `{"event":{"name":"Registered","user":{"anonymousId":"a1"}}}`, single},
		{"an event", "/events", acts, single},
		{"an event of a site", actsPath, acts, single},
		{"a batch of a hundred events", "/events/batch?tc_s=3311", batchOf(repeated(100, acts)...), batch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := handlerAllocs(t, tt.path, tt.body)
			t.Logf("%v allocations, of %v", n, tt.most)
			require.LessOrEqual(t, n, tt.most)
		})
	}
}

func TestRedactURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, url, want string }{
		{"a key", "/v1/t?writeKey=secret&page=2", "/v1/t?writeKey=REDACTED&page=2"},
		{"keys of every dialect", "/x?writekey=secret&token=secret&b=1", "/x?writekey=REDACTED&token=REDACTED&b=1"},
		{"a key in another case", "/v1/t?WRITEKEY=secret", "/v1/t?WRITEKEY=REDACTED"},
		{"a key whose name is escaped", "/v1/t?%77riteKey=secret", "/v1/t?%77riteKey=REDACTED"},
		{"a name that cannot be read", "/v1/t?%zz=secret", "/v1/t?%zz=REDACTED"},
		{"a key without a value", "/v1/t?writeKey=&writeKey", "/v1/t?writeKey=&writeKey"},
		{"a key with signs of its own", "/v1/t?writeKey=sec=ret==", "/v1/t?writeKey=REDACTED"},
		{"a pixel's data", "/v1/pixel/track?data=c2VjcmV0", "/v1/pixel/track?data=REDACTED"},
		{"all values of a pixel", "/v1/pixel/track?userId=secret&traits.email=secret", "/v1/pixel/track?userId=REDACTED&traits.email=REDACTED"},
		{"a pixel below a mount, with slashes", "/analytics//pixel/page/?userId=secret", "/analytics//pixel/page/?userId=REDACTED"},
		{"a key in a path", "/v1/projects/secret/settings", "/v1/projects/REDACTED/settings"},
		{"a key in a path below a mount", "/analytics/projects/sec%2Fret/settings/?a=1", "/analytics/projects/REDACTED/settings?a=1"},
		{"a key in the path of a script", "/cdn/Analytics.js/v1/secret/analytics.min.js?a=1", "/cdn/Analytics.js/v1/REDACTED/analytics.min.js?a=1"},
		{"a key in a path in another case", "/V1//Projects/secret/Settings/more", "/V1//Projects/REDACTED/Settings"},
		{"a key in a path that is escaped twice", "/v1%252Fprojects%252Fsecret", "/v1/projects/REDACTED"},
		{"a user and a fragment", "https://secret:secret@shop.example/a%2Fb?x=1#secret", "https://shop.example/a%2Fb?x=1"},
		{"nothing to hide", "https://shop.example/search?q=a+b&page=2", "https://shop.example/search?q=a+b&page=2"},
		{"no query", "/v1/t", "/v1/t"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(tt.url)
			require.NoError(t, err)
			require.Equal(t, tt.want, inlet.RedactURL(u))
			require.Equal(t, tt.url, u.String(), "the URL is read-only")
		})
	}
	require.Empty(t, inlet.RedactURL(nil))
}

// What RudderStack's SDKs for Swift and Kotlin require of the configuration of a source.
func TestSourceConfig(t *testing.T) {
	t.Parallel()
	get := func(target string, header map[string]string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		for name, value := range header {
			r.Header.Set(name, value)
		}
		return newDialectServer(t).do(r)
	}
	for _, tt := range []struct {
		name, target string
		header       map[string]string
		key          string
	}{
		{"in the query", "/sourceConfig?p=ios&writeKey=K", nil, "K"},
		{"in the query, escaped", "/sourceConfig/?writeKey=a%2B%22b%22+c", nil, `a+"b"+c`},
		{"as the Basic user name", "/sourceConfig?p=android", map[string]string{"Authorization": "Basic Szo="}, "K"},
		{"as the Basic user name without its colon", "/sourceConfig", map[string]string{"Authorization": "Basic Sw"}, "K"},
		{"with a colon", "/sourceConfig", map[string]string{"Authorization": "basic  aWQ6c2VjcmV0Og=="}, "id:secret"},
		{"in X-Write-Key", "/sourceConfig", map[string]string{"X-Write-Key": "K"}, "K"},
		{"in a header and in the query", "/sourceConfig?writeKey=other", map[string]string{"Authorization": "Basic Szo="}, "K"},
		{"twice", "/sourceConfig?writeKey=&writeKey=K&writeKey=L", nil, "K"},
		{"with a bad escape", "/sourceConfig?writeKey=%zz", nil, "%zz"},
		{"none", "/sourceConfig", nil, ""},
	} {
		t.Run("the key "+tt.name, func(t *testing.T) {
			t.Parallel()
			w := get(tt.target, tt.header)
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			var config struct {
				Source struct {
					ID, Name, WriteKey, WorkspaceID, UpdatedAt *string
					Enabled                                    *bool
					Config                                     *struct {
						StatsCollection *struct{ Errors, Metrics *struct{ Enabled *bool } }
					}
					Destinations *[]any
				}
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &config))
			s := config.Source
			for _, text := range []*string{s.ID, s.Name, s.WorkspaceID, s.UpdatedAt} {
				require.NotNil(t, text)
				require.NotEmpty(t, *text)
			}
			require.Equal(t, tt.key, *s.WriteKey)
			require.True(t, *s.Enabled)
			require.False(t, *s.Config.StatsCollection.Errors.Enabled)
			require.False(t, *s.Config.StatsCollection.Metrics.Enabled)
			require.Empty(t, *s.Destinations)
			_, err := time.Parse(time.RFC3339, *s.UpdatedAt)
			require.NoError(t, err)
		})
	}
	t.Run("a key that is too long", func(t *testing.T) {
		t.Parallel()
		requireRefused(t, get("/sourceConfig?writeKey="+strings.Repeat("k", 256), nil), 400, inlet.CodeInvalidRequest)
		requireRefused(t, get("/sourceConfig?writeKey="+strings.Repeat("k", 1<<17), nil), 400, inlet.CodePayloadTooLarge)
	})
}

func TestFillAnonymousID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, id, body string
		status         int
		want           []string // user id and anonymous id of each event
	}{
		{"an event without ids", "id", `{"event":"E"}`, 200, []string{"", "id"}},
		{"an event with a user", "id", `{"event":"E","userId":"u"}`, 200, []string{"u", ""}},
		{"an event with an id of its own", "id", `{"event":"E","anonymousId":"a"}`, 200, []string{"", "a"}},
		{"an id with white space around it", " id\t", `{"event":"E"}`, 200, []string{"", "id"}},
		{"without an id there is none", "", `{"event":"E"}`, 400, nil},
		{"the events of a batch", "id", `{"batch":[{"type":"track","event":"E"},{"type":"track","event":"E","userId":"u"}]}`, 200, []string{"", "id", "u", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			memory := new(sinks.Memory)
			h, err := inlet.New(memory, &inlet.Options{AllowAnonymous: true, FillAnonymousID: true})
			require.NoError(t, err)
			path := "/v1/track"
			if strings.Contains(tt.body, "batch") {
				path = "/v1/batch"
			}
			r := inlet.WithVisitor(httptest.NewRequest("POST", path, strings.NewReader(tt.body)), inlet.Visitor{AnonymousID: tt.id})
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			var got []string
			for _, e := range memory.Events() {
				got = append(got, e.UserID, e.AnonymousID)
				require.Equal(t, strings.TrimSpace(tt.id) != tt.id, e.Warnings.Has(inlet.WarnIDTrimmed))
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func FuzzCustomEvent(f *testing.F) {
	for _, body := range goldenRequests(f, "metarouter/*.golden") {
		f.Add(body, "", "")
		f.Add(`{"a":1}`, body, "")
	}
	f.Add(`{"_metarouter":{"eventName":"B","userID":"b"},"writeKey":"K"}`, `{"userID":7,"x":null,"\u0069p":"y"}`, "Q")
	f.Add(`{"a":1}`, ` {"userID":"u"}`, "Q")
	f.Add(`{}`, `[`, "Q")
	f.Add(`{"_metarouter":{"userID":"u"}}`, `[]x`, "Q")
	do := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, body, metadata, name string) {
		r := authenticated("/v1/custom/event?eventName="+url.QueryEscape(name), body)
		r.Header.Set("X-Event-Metadata", metadata)
		got := do(t, r)
		if got.status != 200 {
			require.Equal(t, 400, got.status)
			require.Empty(t, got.events)
			return
		}
		require.Len(t, got.events, 1)
		requireCanonical(t, got.events[0])
		requireCustom(t, got.events[0])
	})
}

// requireCustom checks what holds of every custom event that is stored.
func requireCustom(t *testing.T, e *inlet.Event) {
	t.Helper()
	require.Equal(t, inlet.TypeTrack, e.Type)
	require.NotEmpty(t, e.Name)
	require.NotEmpty(t, e.UserID+e.AnonymousID)
	var properties map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(e.Properties, &properties))
	require.NotContains(t, properties, "_metarouter")
}

// A list in a single event is data, even if it has the name of the list of events: a fault in
// it refuses the event, and what is stored can be read back.
func TestListInSingleEvent(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 199) + strings.Repeat("]", 199)
	for _, tt := range []struct {
		name, list string
		code       inlet.Code
	}{
		{"a name twice in a list", `[[{"a":1,"a":2}]]`, inlet.CodeDuplicateName},
		{"a name twice in an object", `[{"a":1,"a":2}]`, inlet.CodeDuplicateName},
		{"a name twice, once with escapes", `[1,[{"b":{"a":1,"\u0061":2}}]]`, inlet.CodeDuplicateName},
		{"a name twice after an object", `[{"a":1},[[{"a":1,"a":2}]]]`, inlet.CodeDuplicateName},
		{"too deep in a list", `[` + deep + `]`, inlet.CodeTooDeep},
		{"too deep in an object", `[{"a":` + deep + `}]`, inlet.CodeTooDeep},
		{"too many members", `[` + strings.Repeat(`{"a":{"b":{}}},`, 20) + `[` + strings.Repeat(`{"":0},`, 60) + `{}]]`, inlet.CodeTooManyMembers},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			routes := 0
			for _, dialect := range inlet.Dialects() {
				for _, route := range dialect.Routes() {
					if route.Method != http.MethodPost || route.Batch || route.Decode == nil || strings.Contains(route.Path, "{") {
						continue
					}
					routes++
					sink := new(testsink.Keeper)
					h := mustNew(t, sink, &inlet.Options{Protocol: &inlet.Protocol{Limits: inlet.Limits{Members: 100}}})
					body := `{"event":"E","event_name":"E","userId":"u","groupId":"g","previousId":"p","context":{},"batch":` + tt.list + `}`
					w := serve(h, authenticated(route.Path, body))
					require.Contains(t, w.Body.String(), string(tt.code), route.Path)
					require.Empty(t, sink.Events())
				}
			}
			require.Greater(t, routes, 12)
		})
	}
}

// pixelRoutes are the pixels of all built-in dialects.
func pixelRoutes() (all []inlet.Route) {
	for _, d := range inlet.Dialects() {
		for _, route := range d.Routes() {
			if route.Form == inlet.FormPixel {
				all = append(all, route)
			}
		}
	}
	return all
}

// One parameter of a pixel, whatever it is, loses itself at most: on each pixel, in each
// place of the query.
func TestPixelParameters(t *testing.T) {
	t.Parallel()
	testkit.SlowUnderRace(t)
	const key = "known"
	// The extra members that a parameter makes, where they are the same in all dialects.
	odd := map[string]string{
		"a=http://x/a;jsessionid=1": `"a":"http://x/a;jsessionid=1"`, "a;b=1;c=2": `"a;b":"1;c=2"`, ";": `";":""`,
		"a=50%": `"a":"50%"`, "a=%u20AC": `"a":"%u20AC"`, "a%=1": `"a%":"1"`, "%=%": `"%":"%"`, "a=%zz%41": `"a":"%zzA"`,
		"amp;a=1": `"amp;a":"1"`, "a=b=c": `"a":"b=c"`, "=1": `"":"1"`, "a": `"a":""`, "a=": `"a":""`, "a=1+2": `"a":"1 2"`,
		"a=%FF": "\"a\":\"\ufffd\"", "a=%E2%82": "\"a\":\"\ufffd\"", "%FE=1": "\"\ufffd\":\"1\"", "a=%00": `"a":"\u0000"`, "a=%22%5C": `"a":"\"\\"`,
		"a=1&a=2": ``, "a=1&a.b=2&a[c]=3": ``, "a[=1": `"a[":"1"`, "a]=1": `"a]":"1"`, "a[b]c=1": `"a[b]c":"1"`, "[a]=1": `"[a]":"1"`,
		"": ``, "&&": ``, ".=1": ``, "a[]=1&a[x]=2&a[]=3": ``, "userId=x": ``, "event=x": ``, "event_name=x": ``, "type=x": ``,
		"userId[]=x": ``, "userId.a=x": ``, "messageId.a": ``, "event.a=x": ``, "event_name[a]=x": ``, "type.a=x": ``, "event[a]=1": ``,
		"properties=x": ``, "traits=": ``, "context=x": ``, "context[]=x": ``, "integrations=All": ``, "data=": ``, "writeKey=": ``, "token=": ``,
		"user=x": ``, "user[]=x": ``, "user[0]=x": ``, "user[id][]=x": ``, "user[consistent_anonymous_id][a]=x": ``, "context[event_id][]=x": ``, "event_id[]=x": ``,
		"timestamp=yesterday": ``, "sentAt=%": ``, "receivedAt=x": ``,
	}
	var stored []*inlet.Event
	sink := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		for _, e := range events {
			stored = append(stored, e.Clone())
		}
		return nil
	})
	chain := mustAuth(t, inlet.MustKeys(map[string]inlet.Source{key: {ID: "web"}}), nil)(mustNew(t, sink, nil))
	for _, route := range pixelRoutes() {
		parts := []string{"writeKey=" + key, "token=" + key, "event=E", "event_name=E", "userId=u", "groupId=g", "previousId=p", "z=9"}
		if strings.HasSuffix(route.Path, "/event") {
			parts = append(parts, "type=page")
		}
		for part, want := range odd {
			for i := range len(parts) + 1 {
				// Before the parameter that it has the name of, it is the one that counts.
				query := strings.Join(slices.Insert(slices.Clone(parts), i, part), "&")
				name, _, _ := strings.Cut(part, "=")
				name, _, _ = strings.Cut(strings.TrimSuffix(name, "[]"), ".")
				if first := slices.IndexFunc(parts, func(p string) bool { return strings.HasPrefix(p, name+"=") }); name != "" && first >= i {
					continue
				}
				stored = nil
				requirePixelStored(t, chain, route.Path, query)
				require.Len(t, stored, 1, "%s?%s", route.Path, query)
				e := stored[0]
				requireCanonical(t, e)
				line := string(e.AppendJSON(nil))
				require.Contains(t, line, `"z":"9"`, "%s?%s", route.Path, query)
				require.Contains(t, line, want, "%s?%s", route.Path, query)
				require.Equal(t, strings.Contains(part, "%F") || strings.Contains(part, "%E2"), e.Warnings.Has(inlet.WarnTextRepaired), "%s?%s", route.Path, query)
			}
		}
	}
}

func requirePixelStored(t *testing.T, h http.Handler, path, query string) {
	t.Helper()
	r := request(http.MethodGet, path, nil)
	r.URL.RawQuery = query
	w := serve(h, r)
	require.Empty(t, w.Header().Get("X-Inlet-Error"), "%s?%s", path, query)
	requirePixel(t, w, "")
}

// Empty metadata of a custom event in one place gives way to the metadata in another place, and
// no metadata is lost.
func TestCustomMetadata(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, header, want string }{
		{"null", `{"a":1,"_metarouter":null}`, `{"eventName":"E","userID":"u"}`, `"event":"E","userId":"u"`},
		{"an empty list of PHP", `{"a":1,"_metarouter":[ ]}`, `{"eventName":"E","userID":"u"}`, `"event":"E","userId":"u"`},
		{"an empty list in the header", `{"a":1,"_metarouter":{"eventName":"E","userID":"u"}}`, `[]`, `"event":"E","userId":"u"`},
		{"null in the header", `{"a":1,"_metarouter":{"eventName":"E","userID":"u"}}`, `{"eventName":null,"userID":null}`, `"event":"E","userId":"u"`},
		{"empty text in the header", `{"a":1,"_metarouter":{"eventName":"E","userID":"u"}}`, `{"eventName":"","userID":" "}`, `"event":"E","userId":"u"`},
		{"a time of null in the header", `{"a":1,"_metarouter":{"timestamp":"2026-01-02T00:00:00Z"}}`, `{"eventName":"E","userID":"u","timestamp":null}`,
			`"event":"E","userId":"u","originalTimestamp":"2026-01-02T00:00:00Z"`},
		{"both", `{"a":1,"_metarouter":{"eventName":"F","userID":"v"}}`, `{"eventName":"E","userID":"u"}`, `"event":"E","userId":"u"`},
		{"an address that is none", `{"a":1,"_metarouter":{"ip":7}}`, `{"eventName":"E","userID":"u"}`, `"event":"E","userId":"u","_metarouter":{"ip":7}`},
		{"an empty address", `{"a":1,"_metarouter":{"ip":""}}`, `{"eventName":"E","userID":"u"}`, `"event":"E","userId":"u"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t)
			requireSuccess(t, s.do(request(http.MethodPost, "/v1/custom/event", strings.NewReader(tt.body),
				"X-Write-Key", twoPartKey, "X-Event-Metadata", tt.header)))
			var got map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(s.only(t).AppendJSON(nil), &got))
			for _, name := range []string{"messageId", "timestamp", "receivedAt", "sourceId", "dialect", "warnings"} {
				delete(got, name)
			}
			text, err := json.Marshal(got)
			require.NoError(t, err)
			require.JSONEq(t, `{"type":"track","properties":{"a":1},`+tt.want+`}`, string(text))
		})
	}
}

// A header that is not JSON refuses the event, with a key and without one.
func TestCustomMetadataBroken(t *testing.T) {
	t.Parallel()
	for _, header := range []string{
		"[", "{", "[ ", "{ ", "[\t", "]", "}", "[x", "[]x", "[] []", "[}", "{]", "{}x", "{} {}", `{"a"`, `{"a":`, `{"a":[`, `"`, `"\`, `"\u`, "n", "-", "1", "true", "\xff",
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t)
			body := `{"a":1,"_metarouter":{"eventName":"E","userID":"u"}}`
			send := func(key string) *httptest.ResponseRecorder {
				return s.do(request(http.MethodPost, "/v1/custom/event", strings.NewReader(body), "X-Event-Metadata", header, "X-Write-Key", key))
			}
			requireRefused(t, send(twoPartKey), 400, inlet.CodeInvalidRequest)
			require.Equal(t, 401, send("").Code)
		})
	}
}

func TestPixelForms(t *testing.T) {
	t.Parallel()
	data := func(object string) string { return "data=" + base64.StdEncoding.EncodeToString([]byte(object)) }
	for _, tt := range []struct{ name, path, query, want string }{
		{"parameters next to Jitsu's data", "/api/px/track", data(`{"event":"E","anonymousId":"a","properties":{"x":1,"y":2}}`) + "&properties.y=3&properties.z=4&context.page.url=u&v=5&event=F",
			`{"type":"track","event":"F","anonymousId":"a","properties":{"x":1,"y":"3","z":"4"},"context":{"page":{"url":"u"}},"v":"5"}`},
		{"in front of it", "/api/px/page", "userId=u&" + data(`{"properties":null,"userId":7}`) + "&properties.a=1", `{"type":"page","userId":"u","properties":{"a":"1"}}`},
		{"repeated parameters of Jitsu", "/api/px/page", "userId=u&properties.t=a&properties.t=b&properties.t=c&v=1&v=2&properties.o=1", `{"type":"page","userId":"u","properties":{"o":"1","t":["a","b","c"]},"v":["1","2"]}`},
		{"repeated next to data", "/api/px/page", data(`{"properties":{"t":["z"]}}`) + "&properties.t=a&properties.t=b", `{"type":"page","properties":{"t":["a","b"]}}`},
		{"repeated ids of Jitsu are the first", "/api/px/page", "userId=u&userId=v&anonymousId=a&anonymousId=b", `{"type":"page","userId":"u","anonymousId":"a"}`},
		{"what Jitsu's server is told is no data", "/api/px/page", "userId=u&cookie_domain=x&process_headers=false", `{"type":"page","userId":"u"}`},
		{"Jitsu's data as JSON", "/api/px/page", "data=" + url.QueryEscape(`{"userId":"u"}`) + "&a=1", `{"type":"page","userId":"u","a":"1"}`},
		{"Jitsu's data alone", "/api/px/page", data(`{"userId":"u","n":1e400}`) + "&writekey=" + twoPartKey, `{"type":"page","userId":"u","n":1e400}`},
		{"Segment's data alone counts", "/v1/pixel/page", data(`{"userId":"u"}`) + "&a=1&userId=v", `{"type":"page","userId":"u"}`},
		{"of Segment's repeated parameters the first", "/v1/pixel/page", "userId=u&properties.t=a&properties.t=b", `{"type":"page","userId":"u","properties":{"t":"a"}}`},
		{"RudderStack's anonymous id in quotes", "/pixel/v1/page", "anonymousId=%22a-1%22&properties.a=%22b%22", `{"type":"page","anonymousId":"a-1","properties":{"a":"\"b\""}}`},
		{"with one quote", "/pixel/v1/page", "anonymousId=%22a-1", `{"type":"page","anonymousId":"\"a-1"}`},
		{"that is a quote", "/pixel/v1/page", "anonymousId=%22", `{"type":"page","anonymousId":"\""}`},
		{"without quotes", "/pixel/v1/page", "anonymousId=a-1", `{"type":"page","anonymousId":"a-1"}`},
		{"in quotes twice", "/pixel/v1/page", "anonymousId=%22%22a%22%22", `{"type":"page","anonymousId":"\"a\""}`},
		{"Segment's anonymous id in quotes", "/v1/pixel/page", "anonymousId=%22a-1%22", `{"type":"page","anonymousId":"\"a-1\""}`},
		{"padding and a newline", "/v1/pixel/page", data(`{"userId":"user"}`) + "%0A", `{"type":"page","userId":"user"}`},
		{"lines of base64", "/api/px/page", "data=eyJ1c2VySWQi%0D%0AOiJ1c2VyIn0%3D%0D%0A", `{"type":"page","userId":"user"}`},
		{"both alphabets", "/v1/pixel/page", "data=" + strings.Replace(base64.StdEncoding.EncodeToString([]byte(`{"userId":"~~~???>>>"}`)), "/", "_", 1), `{"type":"page","userId":"~~~???>>>"}`},
		{"a time whose plus is not escaped", "/pixel/v1/page", "userId=u&timestamp=2026-02-03T14:00:00+02:00", `{"type":"page","userId":"u","originalTimestamp":"2026-02-03T12:00:00Z"}`},
		{"an & that was escaped as in HTML", "/pixel/v1/page", "userId=u&amp;properties.a=1&amp;b=2", `{"type":"page","userId":"u","amp;b":"2","amp;properties":{"a":"1"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t)
			r := request(http.MethodGet, tt.path, nil, "X-Write-Key", twoPartKey)
			r.URL.RawQuery = tt.query
			requirePixel(t, s.do(r), "")
			e := s.only(t)
			var got map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(e.AppendJSON(nil), &got))
			for _, name := range []string{"messageId", "timestamp", "receivedAt", "sourceId", "dialect", "warnings"} {
				delete(got, name)
			}
			text, err := json.Marshal(got)
			require.NoError(t, err)
			require.Equal(t, canonicalText(t, tt.want), canonicalText(t, string(text)))
		})
	}
	for _, tt := range []struct {
		name, query string
		code        inlet.Code
	}{
		{"no id in RudderStack's quotes", "anonymousId=%22%22", inlet.CodeNoUserAnonID},
		{"broken data next to parameters", data(`{"userId":"u"`) + "&a=1", inlet.CodeInvalidJSON},
		{"a name twice in the data next to parameters", data(`{"a":{"b":1,"b":2}}`) + "&a=1", inlet.CodeDuplicateName},
		{"data that is not an object next to parameters", data(`[1]`) + "&a=1", inlet.CodeInvalidRequest},
		{"data that is no base64 next to parameters", "data=*&a=1", inlet.CodeInvalidEncoding},
		{"too many parameters", strings.Repeat("a=1&", 1001), inlet.CodeTooManyMembers},
		{"too many levels", "properties" + strings.Repeat(".a", 1001) + "=1", inlet.CodeTooManyMembers},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t)
			path := "/api/px/page"
			if tt.code == inlet.CodeNoUserAnonID {
				path = "/pixel/v1/page"
			}
			r := request(http.MethodGet, path, nil, "X-Write-Key", twoPartKey)
			r.URL.RawQuery = tt.query
			requirePixel(t, s.do(r), tt.code)
			require.Empty(t, s.events)
		})
	}
}

// canonicalText returns JSON with its members in order.
func canonicalText(t *testing.T, text string) string {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(text), &members))
	for name, value := range members {
		if value[0] == '{' {
			members[name] = json.RawMessage(canonicalText(t, string(value)))
		}
	}
	sorted, err := json.Marshal(members)
	require.NoError(t, err)
	return string(sorted)
}

// Levels and parameters are counted before anything is made of them. Not
// parallel: allocations are counted for the whole process.
func TestPixelLevels(t *testing.T) {
	h := mustAuth(t, inlet.MustKeys(map[string]inlet.Source{"k": {ID: "web"}}), nil)(mustNew(t, new(testsink.Keeper), nil))
	for _, route := range pixelRoutes() {
		separators := []string{".", "%2E", ".a"}
		if route.Path == "/events" {
			separators = []string{"[b]", "%5Bb%5d", "[]", "[7]"}
		}
		var queries []string
		for _, separator := range separators {
			name := "a" + strings.Repeat(separator, 60_000/len(separator))
			queries = append(queries, name+"=1", name, strings.Repeat("a"+strings.Repeat(separator, 10)+"=1&", 60_000/(10*len(separator)+4)))
		}
		queries = append(queries, strings.Repeat("a=1&", 15_000), strings.Repeat("&", 1_000)+strings.Repeat("b&", 29_000))
		for _, query := range queries {
			r := request(http.MethodGet, route.Path, nil)
			r.URL.RawQuery = query
			var code string
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range 10 {
				code = serve(h, r).Header().Get("X-Inlet-Error")
			}
			runtime.ReadMemStats(&after)
			require.Contains(t, []string{string(inlet.CodeTooDeep), string(inlet.CodeTooManyMembers)}, code, "%s?%.20s", route.Path, query)
			require.Less(t, (after.TotalAlloc-before.TotalAlloc)/10, uint64(20_000), "%s?%.20s", route.Path, query)
		}
	}
}

// HEAD asks about an image that is not shown: it is answered as GET, and stores nothing.
func TestPixelHead(t *testing.T) {
	t.Parallel()
	s := newDialectServer(t)
	server := httptest.NewServer(s)
	defer server.Close()
	for _, route := range pixelRoutes() {
		for _, query := range []string{"", "?writeKey=" + appID + "&userId=u&event=E&token=" + actsToken + "&event_name=E", "?a=" + strings.Repeat("x", 1000)} {
			response, err := http.Head(server.URL + route.Path + query)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, 200, response.StatusCode, route.Path)
			require.Equal(t, "image/gif", response.Header.Get("Content-Type"))
			require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
			require.Equal(t, int64(43), response.ContentLength)
			require.Empty(t, response.Header.Get("X-Inlet-Error"))
		}
	}
	require.Empty(t, s.events)
	t.Run("a dialect's own HEAD", func(t *testing.T) {
		t.Parallel()
		own := func(*inlet.Inquiry) ([]byte, error) { return []byte(`{}`), nil }
		h := mustNew(t, new(testsink.Keeper), &inlet.Options{Protocol: customProtocol(
			inlet.Route{Method: "GET", Path: "/v1/{a}/gif", Form: inlet.FormPixel, Decode: func(*inlet.Input) error { return nil }},
			inlet.Route{Method: "GET", Path: "/gif", Form: inlet.FormPixel, Decode: func(*inlet.Input) error { return nil }},
			inlet.Route{Method: "HEAD", Path: "/gif", Open: true, Reply: own},
			inlet.Route{Method: "GET", Path: "/json", Decode: func(*inlet.Input) error { return nil }},
		)})
		require.Equal(t, "application/json", serve(h, request("HEAD", "/gif", nil)).Header().Get("Content-Type"))
		require.Equal(t, "image/gif", serve(h, request("HEAD", "/v1/b/gif", nil)).Header().Get("Content-Type"))
		require.Equal(t, "image/gif", serve(h, request("HEAD", "/b/gif", nil)).Header().Get("Content-Type"))
		require.Equal(t, 405, serve(h, request("HEAD", "/json", nil)).Code)
	})
}

// A pixel that is not stored is in the log once for each source and cause, and counted each
// time. Not parallel: it replaces the default logger.
func TestPixelWarnings(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	before := slog.Default()
	slog.SetDefault(logger)
	defer slog.SetDefault(before)
	sources := map[string]inlet.Source{"k": {ID: "one"}, "l": {ID: "two"}, "off": {ID: "three", Disabled: true}}
	for i := range 2000 {
		sources[fmt.Sprint("key", i)] = inlet.Source{ID: fmt.Sprint("many", i)}
	}
	sink, seen := new(testsink.Keeper), new(observer)
	h := mustAuth(t, inlet.MustKeys(sources), nil)(mustNew(t, sink, &inlet.Options{Logger: logger, Observer: seen}))
	get := func(query string, code inlet.Code) {
		t.Helper()
		requirePixel(t, serve(h, request("GET", "/v1/pixel/page?"+query, nil)), code)
	}
	for range 3 {
		for _, key := range []string{"k", "l"} {
			get("writeKey="+key, inlet.CodeNoUserAnonID)
			get("data=***", inlet.CodeInvalidEncoding)
			get("data=***&writeKey="+key, inlet.CodeInvalidEncoding)
			get("userId=u&timestamp=x&writeKey="+key, "")
		}
		get("userId=u", inlet.CodeMissingKey)
		get("userId=u&writeKey=unknown", inlet.CodeUnknownKey)
		get("userId=u&writeKey=off", inlet.CodeSourceDisabled)
		require.Equal(t, 401, serve(h, request("POST", "/v1/page", strings.NewReader("{}"))).Code)
	}
	for code, lines := range map[inlet.Code]int{
		inlet.CodeNoUserAnonID: 2, inlet.CodeInvalidEncoding: 3, inlet.CodeMissingKey: 1, inlet.CodeUnknownKey: 1, inlet.CodeSourceDisabled: 1,
	} {
		require.Equal(t, lines, strings.Count(log.String(), "code="+string(code)+" path=/v1/pixel/page"), "%s: %s", code, log.String())
	}
	require.Equal(t, 3, strings.Count(log.String(), "source=one")+strings.Count(log.String(), "code=source_disabled"), "%s", log.String())
	refused := 0
	for _, record := range seen.records {
		if record.Code != "" {
			refused++
		}
	}
	require.Equal(t, 12, refused, "the handler's")
	require.Len(t, sink.Events(), 6)

	log.Reset()
	for i := range 2000 {
		get(fmt.Sprint("writeKey=key", i), inlet.CodeNoUserAnonID)
	}
	require.Equal(t, 1024-4, strings.Count(log.String(), "\n"), "what is remembered is bounded")
}
