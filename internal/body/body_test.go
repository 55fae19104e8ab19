package body_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/account"
	"github.com/inlet-go/inlet/internal/body"
	"github.com/inlet-go/inlet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// The bounds of these tests: bodies may hold 4 MiB together, or 128 small ones.
const (
	maxBytes = 1 << 20
	budget   = 4 << 20
	minBytes = 32 << 10 // what a small body holds
	allSmall = budget / minBytes
)

// A reader reads bodies, each in an account of its own, within one budget.
type reader struct {
	*body.Reader
	budget *account.Budget
}

// newReader returns a reader with these bounds, changed by each of change.
func newReader(change ...func(*body.Options)) *reader {
	o := body.Options{MaxBytes: maxBytes, MaxWireBytes: maxBytes, MaxRatio: 1 << 20, ReadTimeout: time.Minute}
	for _, f := range change {
		f(&o)
	}
	return &reader{body.NewReader(o), account.NewBudget(budget)}
}

// read reads a body of at most limit bytes.
func (rd *reader) read(w http.ResponseWriter, r *http.Request, limit int64) (*body.Buffer, int64, error) {
	a := new(account.Account)
	a.Enter(rd.budget, 0)
	buf, size, err := rd.Read(w, r, body.Terms{Account: a, Limit: limit, Arrived: time.Now(), Begin: time.Now(), MinRate: 1 << 10})
	if err != nil {
		a.Leave()
	}
	return buf, size, err
}

// request returns a request with a body in an encoding, "" for none.
func request(encoding string, src io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", src)
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	return r
}

// read has a reader read a request.
func read(rd *reader, r *http.Request) (*body.Buffer, int64, error) {
	return rd.read(httptest.NewRecorder(), r, maxBytes)
}

// compressed returns text in an encoding; "flate" is deflate without its zlib header.
func compressed(t testing.TB, encoding, text string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "flate":
		w, err = flate.NewWriter(&b, flate.BestCompression)
	case "zstd":
		w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	default:
		return text
	}
	require.NoError(t, err)
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, minBytes, minBytes + 1, 200_000, maxBytes} {
		text := strings.Repeat("text", size/4+1)[:size]
		for _, tt := range []struct{ header, form string }{
			{"", ""}, {"identity", ""}, {"gzip", "gzip"}, {" X-GZIP ", "gzip"}, {"deflate", "deflate"}, {"deflate", "flate"}, {"zstd", "zstd"},
		} {
			t.Run(fmt.Sprintf("%d bytes, %s as %q", size, tt.form, tt.header), func(t *testing.T) {
				t.Parallel()
				rd, sent := newReader(), compressed(t, tt.form, text)
				for _, known := range []bool{true, false} {
					r := request(tt.header, strings.NewReader(sent))
					if !known {
						r.ContentLength = -1
					}
					buf, wire, err := read(rd, r)
					require.NoError(t, err)
					require.Equal(t, text, string(buf.Bytes))
					require.EqualValues(t, len(sent), wire)
					buf.Free()
				}
			})
		}
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		for _, none := range []io.ReadCloser{nil, http.NoBody} {
			r := request("", nil)
			r.Body = none
			buf, wire, err := read(newReader(), r)
			require.NoError(t, err)
			require.Empty(t, buf.Bytes)
			require.Zero(t, wire)
			buf.Free()
		}
	})
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", maxBytes+1)
	for _, tt := range []struct {
		name, encoding string
		src            io.Reader
		want           error
	}{
		{"an unknown encoding", "br", strings.NewReader("x"), body.ErrUnsupportedEncoding},
		{"two encodings", "gzip, gzip", strings.NewReader("x"), body.ErrUnsupportedEncoding},
		{"not gzip", "gzip", strings.NewReader(large[:100]), body.ErrCorrupt},
		{"not deflate", "deflate", strings.NewReader("\xff\xff\xff\xff"), body.ErrCorrupt},
		{"not zstd", "zstd", strings.NewReader(large[:100]), body.ErrCorrupt},
		{"half of gzip", "gzip", strings.NewReader(compressed(t, "gzip", large)[:20]), body.ErrIncomplete},
		{"half of zstd", "zstd", strings.NewReader(compressed(t, "zstd", large)[:9]), body.ErrIncomplete},
		{"a connection that breaks", "", io.MultiReader(strings.NewReader("x"), iotest.ErrReader(errors.New("gone"))), body.ErrIncomplete},
		{"a deadline", "", iotest.ErrReader(fmt.Errorf("read: %w", os.ErrDeadlineExceeded)), body.ErrTimeout},
		{"growth by gzip", "gzip", strings.NewReader(compressed(t, "gzip", large[:200_000])), body.ErrExpandsTooMuch},
		{"growth by zstd", "zstd", strings.NewReader(compressed(t, "zstd", large[:200_000])), body.ErrExpandsTooMuch},
		{"a zstd window of 9 MiB", "zstd", strings.NewReader("\x28\xb5\x2f\xfd\x00\x69\x09\x00\x00x"), body.ErrZstdWindow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rd := newReader(func(o *body.Options) { o.MaxRatio = 10 })
			buf, _, err := read(rd, request(tt.encoding, tt.src))
			require.ErrorIs(t, err, tt.want)
			require.Nil(t, buf)
		})
	}
	for _, tt := range []struct {
		name, encoding string
		src            io.Reader
		limit          int64
	}{
		{"too large as announced", "", strings.NewReader(large), maxBytes},
		{"too large as sent", "", io.MultiReader(strings.NewReader(large)), maxBytes},
		{"too large by gzip", "gzip", strings.NewReader(compressed(t, "gzip", large)), maxBytes},
		{"too large by zstd", "zstd", strings.NewReader(compressed(t, "zstd", large)), maxBytes},
		{"too large for the server", "", http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(large)), 10), 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := read(newReader(), request(tt.encoding, tt.src))
			var tooLarge *body.TooLargeError
			require.ErrorAs(t, err, &tooLarge)
			require.Equal(t, tt.limit, tooLarge.Limit)
		})
	}
}

// fill reads bodies until the budget is used up, and returns the others.
func fill(t testing.TB, rd *reader, encoding, sent string) (bodies []*body.Buffer) {
	t.Helper()
	for range 1000 {
		buf, _, err := read(rd, request(encoding, strings.NewReader(sent)))
		if err != nil {
			require.ErrorIs(t, err, account.ErrOverBudget)
			return bodies
		}
		bodies = append(bodies, buf)
	}
	t.Fatal("the budget is not used up")
	return nil
}

func free(bodies []*body.Buffer) {
	for _, buf := range bodies {
		buf.Free()
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	small, large := strings.Repeat("x", 100), strings.Repeat("x", 500_000)
	for _, tt := range []struct {
		name, encoding, body string
		least, most          int
	}{
		{"small bodies hold 32 KiB each", "", small, allSmall, allSmall},
		{"large bodies hold their size", "", large, 4, 8},
		{"gzip holds its size when decompressed", "gzip", compressed(t, "gzip", large), 4, 8},
		{"deflate holds its size when decompressed", "deflate", compressed(t, "flate", large), 4, 8},
		{"zstd of unknown size", "zstd", compressed(t, "zstd", large), 3, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rd := newReader()
			for range 3 { // all of it is returned
				bodies := fill(t, rd, tt.encoding, tt.body)
				require.GreaterOrEqual(t, len(bodies), tt.least)
				require.LessOrEqual(t, len(bodies), tt.most)
				free(bodies)
			}
		})
	}
	t.Run("is returned after an error", func(t *testing.T) {
		t.Parallel()
		rd := newReader()
		large := strings.Repeat("x", 700_000)
		for _, bad := range []struct {
			name, encoding, sent string
			err                  error // after what was sent, nil for none
			announced            bool
		}{
			{"breaks off", "", large, errors.New("gone"), false},
			{"announced too large", "", large + large, nil, true},
			{"too large", "", large + large, nil, false},
			{"not gzip", "gzip", large, nil, true},
			{"not deflate", "deflate", strings.Repeat("\xff", 700_000), nil, true},
			{"not zstd", "zstd", large, nil, true},
			{"gzip too large", "gzip", compressed(t, "gzip", large+large), nil, true},
			{"zstd too large", "zstd", compressed(t, "zstd", large+large), nil, true},
			{"zstd one byte too large", "zstd", compressed(t, "zstd", strings.Repeat("x", maxBytes+1)), nil, true},
			{"gzip breaks off", "gzip", compressed(t, "gzip", large)[:500], nil, true},
		} {
			for range 10 {
				var src io.Reader = strings.NewReader(bad.sent)
				if bad.err != nil {
					src = io.MultiReader(src, iotest.ErrReader(bad.err))
				}
				r := request(bad.encoding, src)
				if !bad.announced {
					r.ContentLength = -1
				}
				_, _, err := read(rd, r)
				require.Error(t, err, bad.name)
				require.NotErrorIs(t, err, account.ErrOverBudget, bad.name)
			}
		}
		bodies := fill(t, rd, "", "x")
		require.Len(t, bodies, allSmall)
		free(bodies)
	})
}

// A stalled body sends nothing until it is let go.
type stalled struct {
	reading *atomic.Int64
	letGo   chan struct{}
}

func (stalled) Close() error { return nil }

func (s stalled) Read([]byte) (int, error) {
	s.reading.Add(1)
	<-s.letGo
	return 0, io.ErrUnexpectedEOF
}

// Ten thousand bodies that are only announced cost little. Not parallel: memory is measured
// for the whole process.
func TestAnnouncedBodies(t *testing.T) {
	const all, announced = 16 << 20, 4 << 20
	synctest.Test(t, func(t *testing.T) {
		rd := newReader(func(o *body.Options) { o.MaxBytes, o.MaxWireBytes = announced, announced })
		rd.budget = account.NewBudget(all)
		s := stalled{new(atomic.Int64), make(chan struct{})}
		var before, after runtime.MemStats
		var done sync.WaitGroup
		runtime.ReadMemStats(&before)
		for range 10_000 {
			r := &http.Request{Method: http.MethodPost, Body: s, ContentLength: announced}
			done.Go(func() {
				if _, _, err := rd.read(nil, r, announced); err == nil {
					t.Error("read a body that never arrived")
				}
			})
		}
		synctest.Wait()
		runtime.ReadMemStats(&after)
		waiting := s.reading.Load()
		close(s.letGo)
		done.Wait()
		// One that announces 4 MiB waits only if so much is left.
		require.LessOrEqual(t, waiting, int64(all/minBytes))
		require.GreaterOrEqual(t, waiting, int64((all-announced)/minBytes))
		allocated := after.TotalAlloc - before.TotalAlloc
		t.Logf("%d wait; %d MiB allocated, the requests included", waiting, allocated>>20)
		require.Less(t, allocated, uint64(all+20<<20))
	})
}

// FuzzRead checks, for any bytes in any encoding, that what is read is within the limit, and
// that the budget is returned: one that lost some would be used up.
func FuzzRead(f *testing.F) {
	for _, text := range []string{"", "text", strings.Repeat("ab", 30_000)} {
		for form, header := range map[string]string{"": "", "gzip": "gzip", "deflate": "deflate", "flate": "deflate", "zstd": "zstd"} {
			f.Add(header, []byte(compressed(f, form, text)), uint16(len(text)))
		}
	}
	f.Add("br", []byte("text"), uint16(100))
	rd := newReader()
	rd.budget = account.NewBudget(2 << 20)
	f.Fuzz(func(t *testing.T, encoding string, sent []byte, limit uint16) {
		r := request("", bytes.NewReader(sent))
		r.Header["Content-Encoding"] = []string{encoding}
		buf, wire, err := rd.read(httptest.NewRecorder(), r, int64(limit))
		if err != nil {
			require.NotErrorIs(t, err, account.ErrOverBudget)
			require.Nil(t, buf)
			return
		}
		require.LessOrEqual(t, len(buf.Bytes), int(limit))
		require.EqualValues(t, len(sent), wire)
		if encoding == "" {
			require.Equal(t, string(sent), string(buf.Bytes))
		}
		buf.Free()
	})
}
