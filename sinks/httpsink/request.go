package httpsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
)

// newHeader is what the headers of all requests have in common.
func newHeader(credentials string) http.Header {
	return http.Header{
		"Accept":        {"application/json"},
		"Authorization": {"Basic " + credentials},
		"Content-Type":  {"application/json"},
		"User-Agent":    {"inlet-httpsink"},
	}
}

// encodings is the value of Content-Encoding.
var encodings = []string{"gzip"}

// exchange sends a request of n events. The error is that of a Write of them.
func (s *Sink) exchange(ctx context.Context, b body, key string, n int) error {
	bounded, cancel := context.WithTimeoutCause(ctx, s.timeout, s.late)
	defer cancel()
	a, err := s.roundTrip(bounded, b, key, n)
	if err != nil {
		return s.unknown(ctx, err)
	}
	return a.outcome(n)
}

// roundTrip asks the transport itself: what an http.Client adds are redirects and
// cookies.
func (s *Sink) roundTrip(ctx context.Context, b body, key string, n int) (*answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, bytes.NewReader(b.bytes))
	if err != nil {
		return nil, err
	}
	r.Header = maps.Clone(s.header)
	r.Header["Idempotency-Key"] = []string{key}
	if b.gzipped {
		r.Header["Content-Encoding"] = encodings
	}
	response, err := s.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return s.judge.read(response, n)
}

// The most bytes of an answer that are read: enough for one that refuses each
// event by name, with a reason.
const (
	maxAnswer         = 64 << 10
	maxAnswerPerEvent = 1 << 10
)

// read reads an answer to its end, so that the connection can be used again, if
// that comes soon enough.
func (j *judge) read(response *http.Response, n int) (*answer, error) {
	most := int64(maxAnswer + n*maxAnswerPerEvent)
	text, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err != nil {
		return nil, fmt.Errorf("the answer %d broke off: %w", response.StatusCode, err)
	}
	return j.newAnswer(response.StatusCode, response.Header, text[:min(int64(len(text)), most)], int64(len(text)) > most), nil
}

// unknown is the error of a request that has no answer: it may have arrived. It
// is temporary, whatever the cause for which a context was ended says.
func (s *Sink) unknown(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		err = ended
	}
	if clean := s.judge.mask.Replace(err.Error()); clean != err.Error() {
		err = errors.New(clean) // a broken answer that quotes the write key
	}
	return fmt.Errorf("httpsink: no answer, the outcome is unknown: %w", err)
}
