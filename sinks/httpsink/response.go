package httpsink

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
)

// A judge says what answers mean.
type judge struct {
	mask     *strings.Replacer // takes the write key out of a text
	mostWait time.Duration
}

// An answer is what a receiver said to a request.
type answer struct {
	*judge
	status int
	header http.Header
	body   []byte
	cut    bool // the body goes on
	report report
}

func (j *judge) newAnswer(status int, header http.Header, body []byte, cut bool) *answer {
	return &answer{judge: j, status: status, header: header, body: body, cut: cut, report: newReport(body)}
}

// errTooLarge is in the error of a request that is too large for the receiver.
var errTooLarge = errors.New("httpsink: too large for the receiver")

// outcome says what became of the n events of the request: nil, all are stored; a
// batch error; an error with errTooLarge; or another one for all of them. Only
// what the receiver says of the events themselves is permanent: a key or an
// address that is wrong must not make anybody throw events away.
func (a *answer) outcome(n int) error {
	switch {
	case 200 <= a.status && a.status < 300:
		return a.taken(n)
	case a.isTooLarge():
		return fmt.Errorf("%w: %w", errTooLarge, a.fault(""))
	case a.status == http.StatusBadRequest, a.status == http.StatusUnprocessableEntity:
		return a.refused(n)
	}
	return a.later(statusReasons[a.status])
}

// statusReasons are what is most likely wrong.
var statusReasons = map[int]string{
	http.StatusMovedPermanently:     reasonRedirect,
	http.StatusFound:                reasonRedirect,
	http.StatusSeeOther:             reasonRedirect,
	http.StatusTemporaryRedirect:    reasonRedirect,
	http.StatusPermanentRedirect:    reasonRedirect,
	http.StatusUnauthorized:         reasonKey,
	http.StatusForbidden:            reasonKey,
	http.StatusNotFound:             reasonEndpoint,
	http.StatusMethodNotAllowed:     reasonEndpoint,
	http.StatusUnsupportedMediaType: "it may not take gzip",
}

const (
	reasonRedirect = "redirects are not followed"
	reasonKey      = "the write key may be wrong"
	reasonEndpoint = "the endpoint may be wrong"
)

// taken is the outcome of a status of success. It is not believed where the
// answer contradicts it, or is a page for people, as a server gives that knows
// nothing of events.
func (a *answer) taken(n int) error {
	rejected, err := a.report.rejected(n)
	switch {
	case a.cut:
		return a.later("its answer is too long to be read")
	case bytes.HasPrefix(bytes.TrimLeft(a.body, " \t\r\n"), []byte("<")):
		return a.later("its answer is a page, the endpoint may be wrong")
	case err != nil:
		return a.later(err.Error())
	case !a.report.failed():
		return a.perEvent(rejected, n, nil)
	case len(rejected) == 0:
		return a.later("it says that it failed")
	}
	return a.perEvent(rejected, n, a.later("it says that it failed"))
}

// refused is the outcome of a status that says that the content is wrong.
func (a *answer) refused(n int) error {
	rejected, err := a.report.rejected(n)
	switch {
	case err == nil && len(rejected) > 0:
		return a.perEvent(rejected, n, a.later("others were refused"))
	case a.blamesKey():
		return a.later(reasonKey)
	case a.blamesTransfer():
		return a.later("it may not have arrived as it was sent")
	}
	return inlet.Permanent(a.fault(""))
}

// perEvent returns the batch error in which the rejected events are refused for good
// and the other ones have the given outcome.
func (a *answer) perEvent(rejected map[int]rejection, n int, others error) error {
	batch := new(inlet.BatchError)
	for i := range n {
		err := others
		if r, ok := rejected[i]; ok {
			err = inlet.Permanent(fmt.Errorf("httpsink: the receiver refused the event: %q", a.excerpt(join(r.Code, r.Message))))
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

// later is the error of a request that may be sent again, after the wait that the
// receiver asks for.
func (a *answer) later(reason string) error {
	err := a.fault(reason)
	if wait := a.wait(); wait > 0 {
		return inlet.RetryAfter(err, wait)
	}
	return err
}

// isTooLarge also knows those who say so with the status of all that is refused,
// as Segment and Inlet do.
func (a *answer) isTooLarge() bool {
	return a.status == http.StatusRequestEntityTooLarge || a.status == http.StatusBadRequest && a.blamesSize()
}

// blamesSize reports whether it is the size of the request that is refused.
func (a *answer) blamesSize() bool {
	code := inlet.Code(a.report.text("code"))
	return code == inlet.CodePayloadTooLarge || code == inlet.CodeTooManyEvents ||
		strings.Contains(strings.ToLower(a.said()), "payload limit")
}

// blamesKey reports whether it is the write key that is refused, which some
// receivers say with the status of bad content.
func (a *answer) blamesKey() bool {
	words := strings.ReplaceAll(strings.ToLower(a.said()), " ", "")
	return strings.Contains(words, "writekey")
}

// blamesTransfer reports whether the body was damaged on its way.
func (a *answer) blamesTransfer() bool {
	code := inlet.Code(a.report.text("code"))
	return code == inlet.CodeIncompleteBody || code == inlet.CodeInvalidEncoding
}
