package httpsink

import (
	"bytes"
	"encoding/json"
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
)

// This file reads a response and decides what it means for each event of its request. Only
// what the receiver reports about the events themselves is permanent; everything else is
// temporary, since a wrong key or address must not cause events to be thrown away. Nothing
// of a response is trusted: it is read up to a limit, quoted and cut in errors, and the
// write key is removed from it.

// A classifier decides what responses mean.
type classifier struct {
	redactor      *strings.Replacer // replaces the write key in a text
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

// outcome returns what became of the n events of the request: nil if all are stored,
// a batch error, an error with errTooLarge, or another error for all of them.
func (r *response) outcome(n int) error {
	switch {
	case 200 <= r.status && r.status < 300:
		return r.success(n)
	case r.isTooLarge():
		return fmt.Errorf("%w: %w", errTooLarge, r.statusError(""))
	case r.status == http.StatusBadRequest, r.status == http.StatusUnprocessableEntity:
		return r.badRequest(n)
	}
	return r.temporary(likelyReasons[r.status])
}

// likelyReasons are the most likely causes of statuses that a configuration can fix.
var likelyReasons = map[int]string{
	http.StatusMovedPermanently:     reasonRedirect,
	http.StatusFound:                reasonRedirect,
	http.StatusSeeOther:             reasonRedirect,
	http.StatusTemporaryRedirect:    reasonRedirect,
	http.StatusPermanentRedirect:    reasonRedirect,
	http.StatusUnauthorized:         reasonKey,
	http.StatusForbidden:            reasonKey,
	http.StatusNotFound:             reasonEndpoint,
	http.StatusMethodNotAllowed:     reasonEndpoint,
	http.StatusUnsupportedMediaType: "it may not support gzip",
}

const (
	reasonRedirect = "redirects are not followed"
	reasonKey      = "the write key may be wrong"
	reasonEndpoint = "the endpoint may be wrong"
)

// success is the outcome of a status of success. The status is not believed if the
// body contradicts it, or is a web page, as a server returns that is not an event
// receiver at all.
func (r *response) success(n int) error {
	const failed = "it reports a failure"
	rejected, err := r.report.rejected(n)
	switch {
	case r.truncated:
		return r.temporary("its response is too long")
	case bytes.HasPrefix(bytes.TrimLeft(r.body, " \t\r\n"), []byte("<")):
		return r.temporary("its response is a web page, the endpoint may be wrong")
	case err == errUnlisted:
		return err
	case err != nil:
		return r.temporary(err.Error())
	case !r.report.failed():
		return r.perEvent(rejected, n, nil)
	case len(rejected) == 0:
		return r.temporary(failed)
	}
	return r.perEvent(rejected, n, r.temporary(failed))
}

// badRequest is the outcome of a status that blames the content.
func (r *response) badRequest(n int) error {
	rejected, err := r.report.rejected(n)
	switch {
	case err == errUnlisted:
		return err
	case err == nil && len(rejected) > 0:
		return r.perEvent(rejected, n, r.temporary("other events were rejected"))
	case r.blamesKey():
		return r.temporary(reasonKey)
	case r.blamesTransfer():
		return r.temporary("the body may have been damaged in transfer")
	}
	return inlet.Permanent(r.statusError(""))
}

// perEvent returns the batch error in which the rejected events have a permanent error
// and the others have the given one. It returns nil if there is nothing to report.
func (r *response) perEvent(rejected map[int]rejection, n int, others error) error {
	batch := new(inlet.BatchError)
	for i := range n {
		err := others
		if it, ok := rejected[i]; ok {
			err = inlet.Permanent(fmt.Errorf("httpsink: the receiver rejected the event: %q", r.excerpt(join(it.Code, it.Message))))
		}
		if err != nil {
			batch.Items = append(batch.Items, inlet.ItemError{Index: i, Err: err})
		}
	}
	if len(batch.Items) == 0 {
		return nil
	}
	return batch
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

// isTooLarge reports whether the request is too large. Segment and Inlet say so with
// a 400.
func (r *response) isTooLarge() bool {
	return r.status == http.StatusRequestEntityTooLarge || r.status == http.StatusBadRequest && r.blamesSize()
}

// blamesSize reports whether the size of the request is what is refused.
func (r *response) blamesSize() bool {
	code := inlet.Code(r.report.text("code"))
	return code == inlet.CodePayloadTooLarge || code == inlet.CodeTooManyEvents ||
		strings.Contains(strings.ToLower(r.message()), "payload limit")
}

// blamesKey reports whether the write key is what is refused: some receivers answer
// 400 to that.
func (r *response) blamesKey() bool {
	words := strings.ReplaceAll(strings.ToLower(r.message()), " ", "")
	return strings.Contains(words, "writekey")
}

// blamesTransfer reports whether the body was damaged in transfer.
func (r *response) blamesTransfer() bool {
	code := inlet.Code(r.report.text("code"))
	return code == inlet.CodeIncompleteBody || code == inlet.CodeInvalidEncoding
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
	text = strings.ToValidUTF8(r.redactor.Replace(text), "\uFFFD")
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

// A report is the body of a response if that is a JSON object, else nil. Each member
// is parsed on its own, since receivers use the same names for values of different
// types.
type report map[string]json.RawMessage

func newReport(body []byte) report {
	var r report
	if json.Unmarshal(body, &r) != nil {
		return nil
	}
	return r
}

// text returns the string that a member holds, or "".
func (r report) text(member string) string {
	var s string
	if json.Unmarshal(r[member], &s) != nil {
		return ""
	}
	return s
}

// failed reports whether the body reports a failure: Segment, RudderStack and Inlet by
// "success", Jitsu by "ok".
func (r report) failed() bool {
	return string(r["success"]) == "false" || string(r["ok"]) == "false"
}

// A rejection is an event that the receiver rejected, in the form of Inlet.
type rejection struct {
	Index   *int   `json:"index"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

var errRejected = errors.New("its list of rejected events is malformed")

// errUnlisted means that the receiver rejected more events than it lists, as another Inlet
// does whose answer would be too long. The events are sent again in smaller requests.
var errUnlisted = errors.New("httpsink: the receiver rejected more events than it lists")

// rejected returns which of the n events the receiver rejected, by index. The error
// means that it is unknown which events are stored.
func (r report) rejected(n int) (map[int]rejection, error) {
	raw, ok := r["rejected"]
	if !ok {
		return nil, nil
	}
	var list []rejection
	if json.Unmarshal(raw, &list) != nil {
		return nil, errRejected
	}
	rejected := make(map[int]rejection, len(list))
	for _, it := range list {
		if it.Index == nil || *it.Index < 0 || *it.Index >= n {
			return nil, errRejected
		}
		rejected[*it.Index] = it
	}
	if len(rejected) != len(list) { // an index is listed twice
		return nil, errRejected
	}
	var count int
	if all, ok := r["rejectedCount"]; ok && (json.Unmarshal(all, &count) != nil || count > len(list)) {
		if n == 1 || count > n {
			return nil, errRejected
		}
		return nil, errUnlisted
	}
	return rejected, nil
}
