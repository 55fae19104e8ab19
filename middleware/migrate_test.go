package middleware_test

import (
	"context"
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
	"github.com/inlet-go/inlet/middleware"
)

func ExampleMigrate() {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	h := middleware.Migrate(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{
		Report: func(_ context.Context, _ *http.Request, report inlet.MigrationReport) {
			fmt.Println("migrated", report.LogValue())
		},
	})(echo)

	v1 := `{"event":"login","eventId":"E1","eventTimestamp":1639044446636,"properties":{"method":"mail","user":{"consistent_anonymous_id":"a1"}}}`
	ask(h, httptest.NewRequest("POST", "/events", strings.NewReader(v1)))
	ask(h, httptest.NewRequest("POST", "/v1/track", strings.NewReader(`{"event":"login"}`)))
	// Output:
	// migrated [events=1 migrated=1 failed=0 renamed=3]
	// 200 {"event_name":"login","method":"mail","user":{"consistent_anonymous_id":"a1"},"context":{"event_id":"E1","event_timestamp":1639044446636,"version":2}}
	// 200 {"event":"login"}
}

// In shadow mode a report comes of every payload, and the payload stays.
func ExampleMigrate_shadow() {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	h := middleware.Migrate(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{
		Shadow: true,
		Report: func(_ context.Context, r *http.Request, report inlet.MigrationReport) {
			fmt.Println(r.URL.Path, "would migrate", report.Migrated, "of", report.Events)
		},
	})(echo)

	ask(h, httptest.NewRequest("POST", "/events/batch", strings.NewReader(`{"batch":[{"event":"a","properties":{}},{"event_name":"b"}]}`)))
	// Output:
	// /events/batch would migrate 1 of 2
	// 200 {"batch":[{"event":"a","properties":{}},{"event_name":"b"}]}
}

const v1Body = `{"event":"login","eventId":"E1","eventTimestamp":1639044446636,"properties":{"method":"mail"}}`

func TestMigrate(t *testing.T) {
	t.Parallel()
	t.Run("a migration that is nil is a mistake of the program", func(t *testing.T) {
		t.Parallel()
		require.Panics(t, func() { middleware.Migrate(nil, nil) })
		require.Panics(t, func() { middleware.Migrate(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Shadow: true}) })
	})
	t.Run("a body that is too large is refused", func(t *testing.T) {
		t.Parallel()
		h := middleware.Migrate(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytes: 8}}})(http.NotFoundHandler())
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/events", strings.NewReader(v1Body)))
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Contains(t, w.Body.String(), "payload_too_large")
	})
	t.Run("the layers before see what the client sent", func(t *testing.T) {
		t.Parallel()
		var after string
		last := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Len(t, body, int(r.ContentLength))
			after = string(body)
		})
		migrate := middleware.Migrate(inlet.CommandersActV1(), nil)(last)
		h := middleware.Payload(nil)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			migrate.ServeHTTP(w, r)
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Equal(t, v1Body, string(body))
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/events", strings.NewReader(v1Body)))
		require.Contains(t, after, `"version":2`)
	})
}

// A handler that outlives the layer, as behind http.TimeoutHandler, must not read
// the bytes of another request.
func TestMigrateAndALateReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		done := make(chan error, 1)
		late := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			go func() {
				time.Sleep(time.Second)
				_, err := io.ReadAll(r.Body)
				done <- err
			}()
		})
		h := middleware.Migrate(inlet.CommandersActV1(), nil)(late)
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/events", strings.NewReader(v1Body)))
		require.ErrorIs(t, <-done, http.ErrBodyReadAfterClose)
	})
}
