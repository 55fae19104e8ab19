package httpsink

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/inlet-go/inlet"
)

// This file decides what a response means for each event of its request. Only an
// event that the receiver names, or whose content it refuses in a known form of JSON, is
// rejected permanently. Everything else is temporary: the answer may be a proxy's, and
// a wrong key, path or limit must not cause events to be thrown away.

// outcome returns what became of the events of the request: nil if all are stored, a batch
// error, an error with errTooLarge, errUnlisted or errUnnamed, or another error for all of them.
func (r *response) outcome(p parcel) error {
	switch {
	case 200 <= r.status && r.status < 300:
		return r.success(p)
	case r.status == http.StatusRequestEntityTooLarge, r.blamesContent() && r.blamesSize():
		return r.tooLarge(p)
	case r.blamesContent():
		return r.badRequest(p)
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
	http.StatusProxyAuthRequired:    "a proxy asks for credentials",
	http.StatusUnsupportedMediaType: "it may not support gzip",
}

const (
	reasonRedirect = "redirects are not followed"
	reasonKey      = "the write key may be wrong"
	reasonEndpoint = "the endpoint may be wrong"
	reasonTransfer = "the body may have been damaged in transfer, or a proxy has removed its Content-Encoding, see Options.DisableCompression"
	reasonNoEvent  = "it names no event that is at fault"
	reasonPage     = "its response is a web page, the endpoint may be wrong"
	reasonFailed   = "it reports a failure"
	reasonBroken   = "its response is not valid JSON, it may have been cut off"
)

// success is the outcome of a status of success. The status is not believed if the
// body contradicts it, or is a web page, as a server returns that is not an event
// receiver at all.
func (r *response) success(p parcel) error {
	rejected, settled, err := r.report.rejected(p)
	switch {
	case r.truncated:
		return r.temporary("its response is too long")
	case r.isPage():
		return r.temporary(reasonPage)
	case err == errUnlisted, err == errUnnamed:
		return err
	case err != nil:
		return r.temporary(err.Error())
	case r.status == http.StatusMultiStatus && len(rejected) == 0 && !r.report.says(true):
		return r.multiStatus(p)
	case r.report == nil && isBroken(r.body):
		return r.temporary(reasonBroken)
	case r.report == nil && reportsFailure(r.body):
		return r.temporary(reasonFailed)
	case settled:
		return r.perEvent(rejected, p, nil)
	case len(rejected) == 0:
		return r.temporary(reasonFailed)
	}
	return r.perEvent(rejected, p, r.temporary(reasonFailed))
}

// multiStatus is the outcome of a status that means different outcomes, as MetaRouter has it,
// without a list that is known: the events are sent again in halves, so that those that are
// accepted are not sent forever.
func (r *response) multiStatus(p parcel) error {
	if p.len() > 1 {
		return errUnlisted
	}
	return r.temporary(reasonFailed)
}

// blamesContent reports whether the status says that the content of the request is at fault.
// Servers and proxies use both statuses for other faults too.
func (r *response) blamesContent() bool {
	return r.status == http.StatusBadRequest || r.status == http.StatusUnprocessableEntity
}

// badRequest is the outcome of a status that blames the content, which is not believed
// without evidence.
func (r *response) badRequest(p parcel) error {
	if !r.isReport() {
		return r.temporary(r.likelyReason())
	}
	rejected, _, err := r.report.rejected(p)
	switch {
	case err == errUnlisted, err == errUnnamed:
		return err
	case err != nil:
		return r.temporary(err.Error())
	case len(rejected) > 0:
		return r.perEvent(rejected, p, r.temporary("other events were rejected"))
	case r.report.refusesContent():
		return r.refused(p)
	case r.likelyReason() == reasonNoEvent && p.isLarge() && r.report.isSegments():
		return inlet.Permanent(r.statusError("the event exceeds the limit of Segment"))
	}
	return r.temporary(r.likelyReason())
}

// likelyReason is the most likely cause of a status that blames the content without evidence.
func (r *response) likelyReason() string {
	switch {
	case r.blamesTransfer():
		return reasonTransfer
	case r.blamesKey():
		return reasonKey
	case r.isPage():
		return reasonPage
	}
	return reasonNoEvent
}

// refused is the outcome of a response that refuses an event for its content, without saying
// which: the events are sent again in halves, down to the one that it is.
func (r *response) refused(p parcel) error {
	if p.len() > 1 {
		return errUnlisted
	}
	return inlet.Permanent(r.statusError(""))
}

// tooLarge is the outcome of a request that is too large. It is halved. One event alone is
// permanently rejected only if the receiver says so in a form that is known, or if it exceeds
// what receivers document as the limit: a proxy whose limit is too small is repaired.
func (r *response) tooLarge(p parcel) error {
	switch {
	case p.len() > 1:
		return errTooLarge
	case p.isLarge(), r.isReport() && r.report.refusesSize():
		return inlet.Permanent(fmt.Errorf("%w: %w", errTooLarge, r.statusError("")))
	}
	return fmt.Errorf("%w: %w", errTooLarge, r.temporary("the limit of a proxy may be too small"))
}

// perEvent returns the batch error in which the rejected events have a permanent error, unless
// their code is not about them, and the others have the given one. It returns nil if
// there is nothing to report.
func (r *response) perEvent(rejected map[int]rejection, p parcel, others error) error {
	batch := new(inlet.BatchError)
	for i := range p.len() {
		err := others
		if it, ok := rejected[i]; ok {
			err = fmt.Errorf("httpsink: the receiver rejected the event: %q", r.excerpt(join(it.Code, it.Message)))
			if it.isPermanent() {
				err = inlet.Permanent(err)
			}
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

// isReport reports whether the response is a JSON object, and its content type, if it has
// one, does not say otherwise. Some receivers send JSON as text.
func (r *response) isReport() bool {
	return r.report != nil && !r.truncated && r.typeAmong("application/json", "text/json", "text/plain")
}

// isPage reports whether the response is a web page, an image, or another thing that no
// receiver answers.
func (r *response) isPage() bool {
	return bytes.HasPrefix(bytes.TrimLeft(r.body, " \t\r\n\ufeff"), []byte("<")) || len(r.body) > 0 && r.report == nil &&
		!r.typeAmong("application/json", "text/json", "text/plain", "application/octet-stream")
}

// typeAmong reports whether the response has one of the content types, one that is based on
// JSON, or none.
func (r *response) typeAmong(types ...string) bool {
	value := r.header.Get("Content-Type")
	if value == "" {
		return true
	}
	given, _, err := mime.ParseMediaType(value)
	if err != nil {
		given, _, _ = strings.Cut(strings.ToLower(value), ";")
		given = strings.TrimSpace(given)
	}
	return slices.Contains(types, given) || strings.HasSuffix(given, "+json")
}

// blamesSize reports whether the size of the request is what is refused, which Segment and
// Inlet say with a 400.
func (r *response) blamesSize() bool {
	return r.report.refusesSize() ||
		strings.Contains(strings.ToLower(r.message()), sizeWords)
}

// keyWords are in messages about a key, without what separates words.
var keyWords = []string{"writekey", "apikey", "unauthorized", "unauthenticated", "credential", "streamnotfound"}

// blamesKey reports whether the write key is what is refused: some receivers answer
// 400 to that.
func (r *response) blamesKey() bool {
	words := strings.ToLower(strings.NewReplacer(" ", "", "_", "", "-", "").Replace(r.message()))
	return slices.ContainsFunc(keyWords, func(word string) bool { return strings.Contains(words, word) })
}

// transferWords are in the messages of servers that could not parse a body.
var transferWords = []string{"json", "error parsing", "invalid character", "unexpected token", "gzip"}

// blamesTransfer reports whether the body was damaged in transfer: what is sent is JSON, and a
// receiver that reads something else did not receive what was sent.
func (r *response) blamesTransfer() bool {
	words := strings.ToLower(r.message())
	return r.report.hasCode(inlet.CodeIncompleteBody, inlet.CodeInvalidEncoding, inlet.CodeInvalidJSON, inlet.CodeUnsupportedEncoding) ||
		slices.ContainsFunc(transferWords, func(word string) bool { return strings.Contains(words, word) })
}
