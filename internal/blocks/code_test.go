//go:build unix

package blocks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinktest"
)

// Code of the documents that is not shown by an Example of its package, and runs here.

const writeKey = "my-write-key"

var keys = inlet.MustKeys(map[string]inlet.Source{writeKey: {ID: "website"}})

// post sends a body with the write key, and returns the response.
func post(h http.Handler, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("X-Write-Key", writeKey)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A destination sends what it is given to a function.
type destination func(events []*inlet.Event) error

func (d destination) Write(_ context.Context, events []*inlet.Event) error { return d(events) }

// need skips the test without a program, unless all programs have to be there.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		require.NotEqual(t, "1", os.Getenv("INLET_REQUIRE_CLIENTS"), "INLET_REQUIRE_CLIENTS=1, but there is no %s", program)
		t.Skip("there is no " + program)
	}
}

// shell returns what a script prints in a directory.
func shell(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", script, out)
	return string(out)
}

// The API in front of a mux gets paths as they are sent.
func TestBeforeMux(t *testing.T) {
	t.Parallel()
	var stored sinks.Memory
	api, err := inlet.New(&stored, nil)
	require.NoError(t, err)
	ingestion := middleware.Standard(keys, &middleware.StandardOptions{Prefix: "/t"})(api)
	mux := http.NewServeMux()
	server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/t/") {
			ingestion.ServeHTTP(w, r) // the API in its layers
			return
		}
		mux.ServeHTTP(w, r)
	})
	require.Equal(t, 200, post(server, "/t//v1/track", `{"event":"E","userId":"u"}`).Code)
	require.Equal(t, 404, post(server, "/elsewhere", "").Code)
	require.Len(t, stored.Events(), 1)
}

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	clients := middleware.ClientIP(&middleware.ClientIPOptions{
		Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	for proxy, want := range map[string]string{"10.1.2.3": "203.0.113.9", "192.0.2.1": "192.0.2.1"} {
		h := clients(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, inlet.ClientIPFromContext(r.Context()).String())
		}))
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = proxy + ":1234"
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, want, w.Body.String())
	}
}

// runReading runs the commands that read a journal while it is written to.
func runReading(t *testing.T, b block) {
	need(t, "jq")
	dir := t.TempDir()
	store, err := journal.Open(dir, &journal.Options{SegmentBytes: 1})
	require.NoError(t, err)
	require.NoError(t, store.Write(t.Context(), []*inlet.Event{{Type: inlet.TypeTrack, Name: "Sealed", MessageID: "m1"}}))
	require.NoError(t, store.Close(context.Background()))
	store, err = journal.Open(dir, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close(context.Background())) }()
	require.NoError(t, store.Write(t.Context(), []*inlet.Event{{Type: inlet.TypeTrack, Name: "Open", MessageID: "m2"}}))

	commands := strings.Split(strings.TrimSpace(strings.ReplaceAll(b.text, "DIR", ".")), "\n")
	require.Len(t, commands, 3)
	require.Equal(t, "\"Sealed\"\n", shell(t, dir, commands[0]))
	require.Contains(t, shell(t, dir, commands[1]), `"event":"Open"`)
	require.Contains(t, commands[2], " -F ")
	require.Contains(t, follow(t, dir, commands[2], func(n int) {
		id := fmt.Sprint("followed", n)
		require.NoError(t, store.Write(t.Context(), []*inlet.Event{{Type: inlet.TypeTrack, Name: "Followed", MessageID: id}}))
	}), `"event":"Followed"`)
}

func TestDestination(t *testing.T) {
	t.Parallel()
	store, err := journal.Open(t.TempDir(), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close(context.Background())) }()
	ctx, fixed := t.Context(), new(atomic.Bool)
	delivery, err := store.Deliver("warehouse", destination(func([]*inlet.Event) error {
		if fixed.Load() {
			return nil
		}
		return inlet.Permanent(errors.New("no such column"))
	}), nil)
	require.NoError(t, err)
	since := time.Now().Add(-time.Hour)
	require.NoError(t, store.Write(ctx, []*inlet.Event{{Type: inlet.TypePage, MessageID: "m1"}}))
	require.NoError(t, delivery.Drain(ctx))

	t.Run("skip", func(t *testing.T) {
		err := delivery.Skip(ctx)                            // now, this event
		options := &journal.DeliverOptions{MaxAttempts: 200} // by itself, after 200 attempts alone
		require.Error(t, err, "no event blocks the destination")
		require.Equal(t, 200, options.MaxAttempts)
	})
	fixed.Store(true)
	t.Run("redrive some", func(t *testing.T) {
		n, err := delivery.Redrive(ctx, func(letter *inlet.Event) bool {
			r, _ := sinks.RefusalOf(letter)
			return r.At.After(since)
		})
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
	})
	t.Run("redrive all", func(t *testing.T) {
		n, err := delivery.Redrive(ctx, nil) // all that were not sent again before
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

// runMigration compares the two events of the document: the second is the first, migrated.
func runMigration(t *testing.T, b block) {
	old, migrated, ok := strings.Cut(b.text, "\n\n")
	require.True(t, ok)
	got, _, err := inlet.CommandersActV1().Migrate(nil, []byte(old), inlet.MigrateOptions{})
	require.NoError(t, err)
	require.JSONEq(t, migrated, string(got))
}

func TestMigration(t *testing.T) {
	t.Parallel()
	const old = `{"event_name":"search","event_id":"E1","properties":{"user":{"id":"12345"}}}`
	var stored sinks.Memory
	api, err := inlet.New(&stored, nil)
	require.NoError(t, err)
	t.Run("migrated", func(t *testing.T) {
		migrate := middleware.Migrate(inlet.CommandersActV1(), nil)
		require.Equal(t, 200, post(middleware.Chain(middleware.Auth(keys, nil), migrate)(api), "/events", old).Code)
		require.Len(t, stored.Events(), 1)
	})
	t.Run("in the shadow", func(t *testing.T) {
		var logged bytes.Buffer
		slog := slog.New(slog.NewTextHandler(&logged, nil))
		migrate := middleware.Migrate(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{
			Shadow: true,
			Report: func(ctx context.Context, _ *http.Request, report inlet.MigrationReport) {
				slog.InfoContext(ctx, "migration", "report", report)
			},
		})
		post(middleware.Chain(middleware.Auth(keys, nil), migrate)(api), "/events", old)
		require.Contains(t, logged.String(), "msg=migration report.")
	})
}

// The names that docs/SINKS.md supposes.
func newMySink(testing.TB) inlet.Sink { return new(sinks.Memory) }

func stored(_ testing.TB, s inlet.Sink) []*inlet.Event { return s.(*sinks.Memory).Events() }

func newMyDecorator(t testing.TB, inner inlet.Sink) inlet.Sink {
	d, err := sinks.NewFilter(inner, func(*inlet.Event) bool { return true })
	require.NoError(t, err)
	return d
}

func TestSink(t *testing.T) {
	sinktest.Run(t, sinktest.Harness{
		New:  func(t testing.TB) inlet.Sink { return newMySink(t) },
		Read: func(t testing.TB, s inlet.Sink) []*inlet.Event { return stored(t, s) },
	})
}

func TestDecorator(t *testing.T) {
	sinktest.RunDecorator(t, sinktest.DecoratorHarness{
		New: func(t testing.TB, inner inlet.Sink) inlet.Sink { return newMyDecorator(t, inner) },
	})
}
