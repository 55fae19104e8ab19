package middleware_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

// A slowUpload is a body that arrives evenly over a time.
type slowUpload struct {
	parts [][]byte
	pause time.Duration
	begun bool // the first part has been waited for
}

// newSlowUpload returns a body whose bytes take the time to arrive.
func newSlowUpload(body string, takes time.Duration) *slowUpload {
	const parts = 70
	u := &slowUpload{pause: takes / parts}
	for i := range parts {
		u.parts = append(u.parts, []byte(body[len(body)*i/parts:len(body)*(i+1)/parts]))
	}
	return u
}

func (u *slowUpload) Read(b []byte) (int, error) {
	if len(u.parts) == 0 {
		return 0, io.EOF
	}
	if !u.begun {
		time.Sleep(u.pause)
		u.begun = true
	}
	n := copy(b, u.parts[0])
	if u.parts[0] = u.parts[0][n:]; len(u.parts[0]) == 0 {
		u.parts, u.begun = u.parts[1:], false
	}
	return n, nil
}

// readsBody is a host's layer that reads the body before it passes the request on.
func readsBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// waits is a host's layer that takes its time before it passes the request on.
func waits(d time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(d)
			next.ServeHTTP(w, r)
		})
	}
}

// withState is a host's layer that reads what the layers inside have found out.
func withState(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, inlet.WithState(r)) })
}

// The arrival is noted by the outermost layer of this module, whatever the body takes, and is
// what the client's clock is compared with.
func TestArrival(t *testing.T) {
	t.Parallel()
	type layer = func(http.Handler) http.Handler
	rate := func(key func(*http.Request) (middleware.RateKey, bool)) layer {
		return middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, Key: key})
	}
	all := map[string]func() layer{
		"Recover":         func() layer { return middleware.Recover(&middleware.RecoverOptions{Logger: quiet}) },
		"RequestID":       func() layer { return middleware.RequestID(nil) },
		"AccessLog":       func() layer { return middleware.AccessLog(&middleware.AccessLogOptions{Logger: quiet}) },
		"ClientIP":        func() layer { return middleware.ClientIP(nil) },
		"CORS":            func() layer { return middleware.CORS(nil) },
		"RateLimit by IP": func() layer { return rate(middleware.ByIP) },
		"RateLimit, unlimited": func() layer {
			return rate(func(*http.Request) (middleware.RateKey, bool) { return middleware.RateKey{}, false })
		},
		"IPPolicy":               func() layer { return middleware.IPPolicy(nil) },
		"Identity":               func() layer { return middleware.Identity(nil) },
		"Payload":                func() layer { return middleware.Payload(nil) },
		"Auth":                   func() layer { return middleware.Auth(keys, nil) },
		"Migrate":                func() layer { return middleware.Migrate(inlet.CommandersActV1(), nil) },
		"a host's, by WithState": func() layer { return withState },
	}
	const upload, before = 7 * time.Second, 3 * time.Second
	for name, newLayer := range all {
		for form, tt := range map[string]struct {
			chain func(outermost layer) []layer
			wait  time.Duration
		}{
			"alone":                             {func(l layer) []layer { return []layer{l} }, 0},
			"outside of a host's that reads":    {func(l layer) []layer { return []layer{l, readsBody} }, 0},
			"outside of a host's and Payload":   {func(l layer) []layer { return []layer{l, waits(before), middleware.Payload(nil)} }, 0},
			"outside of another":                {func(l layer) []layer { return []layer{l, waits(before), middleware.ClientIP(nil)} }, 0},
			"inside of a host's that waits":     {func(l layer) []layer { return []layer{waits(before), l} }, before},
			"inside of a host's that reads all": {func(l layer) []layer { return []layer{readsBody, l} }, upload},
		} {
			if name == "Payload" && form == "outside of a host's and Payload" {
				continue // a chain has one
			}
			t.Run(name+"/"+form, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					sink := new(testsink.Keeper)
					h := middleware.Chain(append(tt.chain(newLayer()), middleware.Auth(keys, nil))...)(newHandler(t, sink))
					sent := time.Now().UTC()
					happened := sent.Add(-time.Minute)
					body := fmt.Sprintf(`{"userId":"u","event":"E","timestamp":%q,"sentAt":%q,"properties":{"text":%q}}`,
						happened.Format(time.RFC3339Nano), sent.Format(time.RFC3339Nano), strings.Repeat("x", 16<<10))
					r := httptest.NewRequest(http.MethodPost, "/v1/track", newSlowUpload(body, upload))
					r.ContentLength = int64(len(body))
					r.SetBasicAuth(writeKey, "")
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
					require.GreaterOrEqual(t, time.Since(sent), upload)
					e := sink.Events()[0]
					require.Equal(t, sent.Add(tt.wait), e.ReceivedAt)
					if tt.wait <= before { // as short as latency, which is no skew
						require.Equal(t, happened, e.Timestamp)
					}
				})
			})
		}
	}
}

// A migration gets the same arrival as the handler.
func TestArrivalOfMigration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := new(testsink.Keeper)
		arrived := time.Now().UTC()
		h := middleware.Chain(middleware.RequestID(nil), waits(time.Second), middleware.Auth(keys, nil),
			middleware.Migrate(stamping{}, nil))(newHandler(t, sink))
		w := call{key: writeKey, body: track}.do(h)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, arrived, sink.Events()[0].ReceivedAt)
		require.JSONEq(t, `{"arrival":`+string(mustJSON(t, arrived))+`}`, string(sink.Events()[0].Extra))
	})
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	out, err := json.Marshal(v)
	require.NoError(t, err)
	return out
}

// stamping is a migration that stores the arrival that it got.
type stamping struct{}

func (stamping) Applies(*http.Request) bool { return true }

func (stamping) Migrate(dst, src []byte, o inlet.MigrateOptions) ([]byte, inlet.MigrationReport, error) {
	at, err := o.ReceivedAt.MarshalJSON()
	dst = append(append(append(dst, `{"arrival":`...), at...), ',')
	return append(dst, src[1:]...), inlet.MigrationReport{}, err
}
