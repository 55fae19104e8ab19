package body_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/body"
)

// pieces are a body whose pieces arrive one after another, each after a pause. It fails once its
// deadline has passed, as a connection does, unless it has none.
type pieces struct {
	*httptest.ResponseRecorder
	pieces  []string
	pause   time.Duration
	refuses bool // deadlines are not supported
	began   time.Time

	mu       sync.Mutex // for the watch
	set      []deadline
	deadline time.Time
}

// A deadline that was set, and when, both since the request began; zero for one that was lifted.
type deadline struct{ at, until time.Duration }

func newPieces(pause time.Duration, all ...string) *pieces {
	return &pieces{ResponseRecorder: httptest.NewRecorder(), pieces: all, pause: pause, began: time.Now()}
}

// SetReadDeadline notes the deadline.
func (p *pieces) SetReadDeadline(when time.Time) error {
	if p.refuses {
		return http.ErrNotSupported
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	d := deadline{at: time.Since(p.began)}
	if !when.IsZero() {
		d.until = when.Sub(p.began)
	}
	p.set, p.deadline = append(p.set, d), when
	return nil
}

// Read returns the next piece after the pause, or the end without one.
func (p *pieces) Read(dst []byte) (int, error) {
	if len(p.pieces) == 0 {
		return 0, io.EOF
	}
	time.Sleep(p.pause)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.deadline.IsZero() && !time.Now().Before(p.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(dst, p.pieces[0])
	p.pieces = p.pieces[1:]
	return n, nil
}

// request returns the request with the body, and its length if that is known.
func (p *pieces) request(known bool) *http.Request {
	r := request("", p)
	if r.ContentLength = -1; known {
		r.ContentLength = int64(len(strings.Join(p.pieces, "")))
	}
	return r
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, tt := range []struct {
		name    string
		pause   time.Duration
		pieces  []string
		timeout time.Duration // of bodies; 0 for the usual one
		server  *http.Server
		known   bool
		want    []deadline
	}{
		{"a body that arrives at once sets none", 0, []string{"text"}, 0, nil, true, nil},
		{"a body that takes a moment sets none", 100 * ms, []string{"te", "xt"}, 0, nil, true, nil},
		{"a body of unknown length sets none if it takes a moment", 100 * ms, []string{"te", "xt"}, 0, nil, false, nil},
		{"a body that takes longer sets the one that it has had all the time", 1800 * ms, []string{"text"}, 0, nil, true,
			[]deadline{{500 * ms, 2000 * ms}, {1800 * ms, 0}}},
		{"what arrives moves it", 900 * ms, []string{strings.Repeat("x", 1024), "text"}, 0, nil, true,
			[]deadline{{500 * ms, 2000 * ms}, {900 * ms, 3000 * ms}, {1800 * ms, 0}}},
		{"a short one is set at once", 0, []string{"text"}, 900 * ms, nil, true, []deadline{{0, 900 * ms}, {0, 0}}},
		{"it replaces at once that of a server that may pass soon", 0, []string{"text"}, 0,
			&http.Server{ReadTimeout: 6 * time.Second}, true, []deadline{{0, 2000 * ms}, {0, 0}}},
		{"a slow header leaves too little of the server's time", 0, []string{"text"}, 0,
			&http.Server{ReadTimeout: 6 * time.Second, ReadHeaderTimeout: 5500 * ms}, true, []deadline{{0, 2000 * ms}, {0, 0}}},
		{"a server whose own passes later needs none", 0, []string{"text"}, 0,
			&http.Server{ReadTimeout: 6 * time.Second, ReadHeaderTimeout: 5000 * ms}, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rd := newReader(func(o *body.Options) { o.ReadTimeout = cmp.Or(tt.timeout, o.ReadTimeout) })
				p := newPieces(tt.pause, tt.pieces...)
				r := p.request(tt.known)
				if tt.server != nil {
					r = r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, tt.server))
				}
				buf, _, err := rd.read(p, r, maxBytes)
				require.NoError(t, err)
				require.Equal(t, strings.Join(tt.pieces, ""), string(buf.Bytes))
				buf.Free()
				require.Equal(t, tt.want, p.set)
			})
		})
	}
	t.Run("a body that stops is ended", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := newPieces(2*time.Second, "text")
			_, _, err := newReader().read(p, p.request(true), maxBytes)
			require.ErrorIs(t, err, body.ErrTimeout)
			require.Equal(t, []deadline{{500 * ms, 2 * time.Second}}, p.set, "the server reads the rest, so it is kept")
		})
	})
	t.Run("a body that is refused leaves one for its rest", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := newPieces(0, strings.Repeat("x", 200))
			_, _, err := newReader().read(p, p.request(false), 100)
			var tooLarge *body.TooLargeError
			require.ErrorAs(t, err, &tooLarge)
			require.Equal(t, []deadline{{0, 2 * time.Second}}, p.set)
		})
	})
	t.Run("a server without deadlines refuses what came too late", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := newPieces(3*time.Second, "text")
			p.refuses = true
			_, _, err := newReader().read(p, p.request(true), maxBytes)
			require.ErrorIs(t, err, body.ErrTimeout)
		})
	})
	t.Run("a reader that panics leaves nothing to watch", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			rd, p := newReader(), newPieces(0)
			require.Panics(t, func() { _, _, _ = rd.read(p, request("", panicking{}), maxBytes) })
			time.Sleep(time.Minute)
			require.Empty(t, p.set)
		})
	})
}

// A panicking body panics.
type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic(errors.New("the reader is broken")) }
