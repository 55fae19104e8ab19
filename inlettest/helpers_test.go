package inlettest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/inlettest"
	"github.com/inlet-go/inlet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A trial is a test that may fail: of the examples, and of the tests about failures.
type trial struct {
	testing.TB
	failure  string
	cleanups []func()
}

// attempt runs a test to its end or its first failure, and returns the text of that, or "".
func attempt(test func(t testing.TB)) string {
	t := new(trial)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range slices.Backward(t.cleanups) {
				f()
			}
			if p := recover(); p != nil && t.failure == "" {
				t.failure = fmt.Sprint("panic: ", p)
			}
		}()
		test(t)
	}()
	<-done
	return t.failure
}

func (t *trial) Helper()                        {}
func (t *trial) Cleanup(f func())               { t.cleanups = append(t.cleanups, f) }
func (t *trial) Output() io.Writer              { return io.Discard }
func (t *trial) Fatalf(format string, a ...any) { t.Fatal(fmt.Sprintf(format, a...)) }

func (t *trial) Fatal(a ...any) {
	t.failure = fmt.Sprint(a...)
	panic(t.failure)
}

// send posts a body to a path of the API and returns the status.
func send(t testing.TB, client *http.Client, url, key, body string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.SetBasicAuth(key, "")
	answer, err := client.Do(r)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}

// track sends a track call without a listener.
func track(t testing.TB, srv *inlettest.Server, name, properties string) int {
	t.Helper()
	return send(t, srv.Client(), "http://segment.test/v1/track", srv.Key(),
		fmt.Sprintf(`{"event":%q,"userId":"user-1","messageId":%q,"properties":%s}`, name, "of "+name, properties))
}

// handlerTransport passes requests to a handler.
type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}
