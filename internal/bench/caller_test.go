package bench

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A caller calls a handler in process with one request that is used again and
// again, so that it allocates nothing itself. Not for concurrent use.
type caller struct {
	handler http.Handler
	request *http.Request
	body    body
	answer  answer
}

// newCaller returns a caller of the path, a batch endpoint for example, with
// the headers that a client library sends.
func newCaller(handler http.Handler, target string) *caller {
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	c := &caller{handler: handler, answer: answer{header: http.Header{}}}
	c.request = &http.Request{
		Method: http.MethodPost, URL: u, RequestURI: target, Host: "collect.example.com",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		RemoteAddr: "192.0.2.7:43210", Header: clientHeader(), Body: &c.body,
	}
	return c
}

// clientHeader is what a server library sends beside the body.
func clientHeader() http.Header {
	return http.Header{
		"Accept":          {"*/*"},
		"Accept-Encoding": {"gzip"},
		"Authorization":   {"Basic " + base64.StdEncoding.EncodeToString([]byte(WriteKey+":"))},
		"Content-Type":    {"application/json"},
		"User-Agent":      {"analytics-node-next/latest"},
	}
}

// call sends body and returns the status.
func (c *caller) call(body []byte) int {
	c.body.reader.Reset(body)
	c.request.Body = &c.body
	c.request.ContentLength = int64(len(body))
	clear(c.answer.header)
	c.answer.status = http.StatusOK
	c.handler.ServeHTTP(&c.answer, c.request)
	return c.answer.status
}

// over returns a function that sends the i-th body of a pool, for [pair].
func (c *caller) over(pool [][]byte) func(i int) {
	return func(i int) { c.call(pool[i%len(pool)]) }
}

// requireTaken fails unless every body of the pool is answered with 200: what
// refuses its input is fast.
func (c *caller) requireTaken(tb testing.TB, pool [][]byte) {
	tb.Helper()
	for _, body := range pool {
		require.Equal(tb, http.StatusOK, c.call(body), "%.300s", body)
	}
}

// encoded makes the caller announce an encoding.
func (c *caller) encoded(encoding string) *caller {
	c.request.Header.Set("Content-Encoding", encoding)
	return c
}

// A body can be read once more after a Reset, and has none of the shortcuts of
// a bytes.Reader, since the body of a real request has none.
type body struct{ reader bytes.Reader }

func (b *body) Read(p []byte) (int, error) { return b.reader.Read(p) }
func (b *body) Close() error               { return nil }

// An answer discards what is written to it. Deadlines can be set, as on a real
// connection.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header              { return a.header }
func (a *answer) WriteHeader(status int)           { a.status = status }
func (a *answer) Write(p []byte) (int, error)      { return len(p), nil }
func (a *answer) SetReadDeadline(time.Time) error  { return nil }
func (a *answer) SetWriteDeadline(time.Time) error { return nil }

var _ io.ReadCloser = (*body)(nil)
