package httpsink_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks/httpsink"
	"github.com/inlet-go/inlet/sinks/journal"
)

// No answer of a proxy moves a queue to the dead letters: it waits, visibly, and is delivered
// once the proxy is repaired.
func TestQueueWaits(t *testing.T) {
	t.Parallel()
	const n = 40
	always := func(answer func() *http.Response) func(*http.Request) *http.Response {
		return func(*http.Request) *http.Response { return answer() }
	}
	for name, broken := range map[string]func(*http.Request) *http.Response{
		"a page":             always(func() *http.Response { return respond(400, "<html><h1>400 Bad Request</h1></html>") }),
		"an empty body":      always(func() *http.Response { return respond(400, "") }),
		"an invalid API key": always(func() *http.Response { return respond(400, `{"message":"Invalid API key"}`) }),
		"a page, 422":        always(func() *http.Response { return respond(422, "<!doctype html>") }),
		"a limit of 100 bytes": func(r *http.Request) *http.Response {
			if r.ContentLength > 100 {
				return respond(413, "<html><h1>413 Request Entity Too Large</h1></html>")
			}
			return success()
		},
		"a removed Content-Encoding": func(r *http.Request) *http.Response {
			var body any
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				return respond(400, `{"success":false,"code":"invalid_json","message":"`+fmt.Sprintf("%.20s", err)+`"}`)
			}
			return success()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				j, err := journal.Open(t.TempDir(), &journal.Options{Logger: quiet})
				require.NoError(t, err)
				ids := make([]string, n)
				for i := range ids {
					ids[i] = fmt.Sprint("m", i)
				}
				require.NoError(t, j.Write(t.Context(), events(ids...)))
				var repaired atomic.Bool
				var arrived []string
				s := newOffline(t, func(r *http.Request) (*http.Response, error) {
					if !repaired.Load() {
						return broken(r), nil
					}
					arrived = append(arrived, idsOf(t, r)...)
					return success(), nil
				}, nil)
				d, err := j.Deliver("next", s, &journal.DeliverOptions{MaxEvents: 4})
				require.NoError(t, err)
				time.Sleep(time.Hour)
				stats := d.Stats()
				require.Zero(t, stats.Refused)
				require.Zero(t, stats.Delivered)
				require.ErrorAs(t, stats.Err, new(*httpsink.StatusError), "it is visible why")
				require.EqualValues(t, n, stats.Behind)
				repaired.Store(true)
				require.NoError(t, d.Drain(t.Context()))
				require.Equal(t, ids, arrived)
				require.NoError(t, j.Close(t.Context()))
				require.Zero(t, j.Stats().DeadLetters)
			})
		})
	}
}
