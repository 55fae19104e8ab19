package httpsink

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
)

// This file reads a response and makes errors of it. Nothing of a response is trusted: it is
// read up to a limit, quoted and cut in errors, and the write key is removed from it. What it
// means is decided in outcome.go, by the forms that are in report.go.

// A classifier decides what responses mean.
type classifier struct {
	secrets       sinkkit.Secrets // the write key, in its forms
	maxRetryAfter time.Duration
}

// A response is a response as far as it was read.
type response struct {
	*classifier
	status    int
	header    http.Header
	body      []byte
	truncated bool // the body is longer than what was read
	report    report
}

// The maximum size of a response's body in bytes: enough for one that rejects each
// event by index, with a reason.
const (
	maxResponse         = 64 << 10
	maxResponsePerEvent = 1 << 10
)

// read reads the response to a request of n events, to its end if it is short enough,
// so that the connection can be reused.
func (c *classifier) read(r *http.Response, n int) (*response, error) {
	limit := maxResponse + n*maxResponsePerEvent
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("the body of the response %d is incomplete: %w", r.StatusCode, err)
	}
	truncated := len(body) > limit
	body = body[:min(len(body), limit)]
	return &response{c, r.StatusCode, r.Header, body, truncated, newReport(body)}, nil
}

// temporary is the error of a request that may be retried, after the wait that the
// receiver asks for.
func (r *response) temporary(reason string) error {
	err := r.statusError(reason)
	if wait := r.retryAfter(); wait > 0 {
		return inlet.RetryAfter(err, wait)
	}
	return err
}

func (r *response) statusError(reason string) error {
	return &StatusError{Status: r.status, Reason: reason, Excerpt: r.excerpt(r.message())}
}

// message returns the receiver's explanation: the members of an error object, or else
// the whole body.
func (r *response) message() string {
	text := r.report.text("message")
	if text == "" {
		text = r.report.text("error")
	}
	if text = join(r.report.text("code"), text); text != "" {
		return text
	}
	return string(r.body)
}

// join joins the code and the text of an error.
func join(code, text string) string {
	if code != "" && text != "" {
		return code + ": " + text
	}
	return code + text
}

// maxExcerpt limits how much of a response an error quotes, in bytes.
const maxExcerpt = 200

// excerpt returns the beginning of a text as valid UTF-8, without the write key.
func (r *response) excerpt(text string) string {
	text = strings.ToValidUTF8(r.secrets.Hide(text), "\uFFFD")
	if len(text) <= maxExcerpt {
		return text
	}
	end := maxExcerpt
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// retryAfter returns how long the receiver asks to wait, up to the limit, and 0 if it
// does not: by Retry-After, in seconds or as a date, or else by X-RateLimit-Reset, in
// which Segment and Inlet send seconds.
func (r *response) retryAfter() time.Duration {
	value := r.header.Get("Retry-After")
	wait := seconds(value)
	if date, err := http.ParseTime(value); err == nil {
		wait = time.Until(date)
	}
	if wait <= 0 {
		wait = seconds(r.header.Get("X-Ratelimit-Reset"))
	}
	return min(wait, r.maxRetryAfter)
}

// seconds parses a number of seconds, and returns 0 if text is not one. A number that
// overflows a Duration is the largest whole number of seconds instead.
func seconds(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return time.Duration(min(n, math.MaxInt64/uint64(time.Second))) * time.Second
}
