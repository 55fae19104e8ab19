package httpsink

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/inlet-go/inlet"
)

// This file knows the forms in which receivers report what became of the events.

// A report is the body of a response if that is a JSON object, else nil. Each member
// is parsed on its own, since receivers use the same names for values of different
// types.
type report map[string]json.RawMessage

func newReport(body []byte) report {
	var r report
	if json.Unmarshal(unmarked(body), &r) != nil {
		return nil
	}
	return r
}

// unmarked returns a body without the byte order mark that some servers put before it.
func unmarked(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\ufeff")) }

// reportsFailure reports whether a body that is not an object reports a failure: one in a list,
// or false. A text reports none.
func reportsFailure(body []byte) bool {
	body = bytes.TrimSpace(unmarked(body))
	var list []json.RawMessage
	if json.Unmarshal(body, &list) != nil {
		return string(body) == "false"
	}
	return slices.ContainsFunc(list, func(element json.RawMessage) bool { return newReport(element).failed() })
}

// isBroken reports whether a body begins like a JSON object or list and is not valid JSON, such
// as one that a proxy has cut off.
func isBroken(body []byte) bool {
	body = bytes.TrimSpace(unmarked(body))
	return len(body) > 0 && (body[0] == '{' || body[0] == '[') && !json.Valid(body)
}

// text returns the string that a member holds, or "".
func (r report) text(member string) string {
	var s string
	if json.Unmarshal(r[member], &s) != nil {
		return ""
	}
	return s
}

// has reports whether a member has a value other than null.
func (r report) has(member string) bool {
	raw, ok := r[member]
	return ok && string(raw) != "null"
}

// count returns the number that a member holds, -1 if it has none, and an error if it holds
// something else.
func (r report) count(member string) (n int, err error) {
	if !r.has(member) {
		return -1, nil
	}
	if json.Unmarshal(r[member], &n) != nil || n < 0 {
		return 0, errCounts
	}
	return n, nil
}

// says reports whether the report has a value of success: Segment, RudderStack and Inlet have
// it as "success", MetaRouter as "Success", and Jitsu as "ok". Others write the value as text or
// as a number.
func (r report) says(value bool) bool {
	forms := []string{"false", `"false"`, "0"}
	if value {
		forms = []string{"true", `"true"`, "1"}
	}
	return slices.ContainsFunc([]string{"success", "Success", "ok"}, func(member string) bool {
		return slices.Contains(forms, string(r[member]))
	})
}

// failed reports whether the body reports a failure: by its value of success or, without one,
// by an error or by its status.
func (r report) failed() bool {
	return r.says(false) || !r.says(true) && (slices.ContainsFunc([]string{"error", "errors", "Errors"}, r.hasContent) ||
		slices.Contains([]string{"error", "fail", "failed", "failure"}, strings.ToLower(r.text("status"))))
}

// hasContent reports whether a member has a value that is not empty.
func (r report) hasContent(member string) bool {
	return r.has(member) && !slices.Contains([]string{"false", "0", `""`, "[]", "{}"}, string(r[member]))
}

// contentCodes are the codes with which another Inlet refuses an event for its content.
var contentCodes = []inlet.Code{
	inlet.CodeNotObject, inlet.CodeDuplicateName, inlet.CodeTooDeep, inlet.CodeTooManyMembers, inlet.CodeEventTooLarge,
	inlet.CodeTypeRequired, inlet.CodeTypeUnknown, inlet.CodeNoUserAnonID, inlet.CodeIDRequired, inlet.CodeIDNotString,
	inlet.CodeMessageIDTooLong, inlet.CodeEventNotDefined, inlet.CodeEventNotString, inlet.CodeNameNotString,
	inlet.CodePropertiesNotObject, inlet.CodeTraitsNotObject, inlet.CodeContextNotObject, inlet.CodeIntegrationsNotObject,
	inlet.CodePayloadV1, inlet.CodeInvalidEvent, inlet.CodeRefusedBySink, inlet.CodeAllRefused,
}

// hasCode reports whether the report has one of the codes of another Inlet.
func (r report) hasCode(codes ...inlet.Code) bool {
	return slices.Contains(codes, inlet.Code(r.text("code")))
}

// contentWords are how RudderStack refuses an event for its content.
var contentWords = []string{"request neither has anonymousid nor userid", "event is not a valid rudder event"}

// refusesContent reports whether the content of an event is refused, in a known form.
func (r report) refusesContent() bool {
	return r.hasCode(contentCodes...) || slices.Contains(contentWords, strings.ToLower(r.text("msg")))
}

// sizeWords are in the message with which Segment refuses a request for its size.
const sizeWords = "payload limit"

// refusesSize reports whether the size of the request is refused, in a known form.
func (r report) refusesSize() bool {
	return r.hasCode(inlet.CodePayloadTooLarge, inlet.CodeTooManyEvents) || strings.Contains(strings.ToLower(r.text("message")), sizeWords)
}

// isSegments reports whether the report has the form in which Segment reports a failure.
func (r report) isSegments() bool {
	return string(r["success"]) == "false" && r.text("message") != ""
}

// A rejection is an event that the receiver rejected, in the form of Inlet.
type rejection struct {
	Index     *int   `json:"index"`
	MessageID string `json:"messageId"`
	Code      string `json:"code"`
	Message   string `json:"message"`
}

// isPermanent reports whether the event can never be stored. A code of Inlet's may say that a
// retry helps, or be about the key or the address of the request; other codes are unknown.
func (it *rejection) isPermanent() bool {
	code := inlet.Code(it.Code)
	return !code.Retryable() && (code.Status() == http.StatusBadRequest || code.Status() == http.StatusInternalServerError)
}

// Errors of a report from which it does not follow which events are stored.
var (
	errRejected = errors.New("its list of rejected events is malformed")
	errCounts   = errors.New("its counts contradict each other or the request")
	errNoTarget = errors.New("it has no destination for the events")
)

// errUnlisted means that the receiver rejected events that it does not list, as another Inlet
// does whose answer would be too long. The events are sent again in smaller requests.
var errUnlisted = errors.New("httpsink: the receiver rejected events that it does not list")

// errUnnamed means the same of a receiver that has settled all events. They are sent again in
// smaller requests only to learn which ones it rejected.
var errUnnamed = errors.New("httpsink: the receiver accepted only a part of the events, and does not say which")

// rejected returns which events of the request the receiver rejected, by index, and whether
// it has settled the others, too. The error means that it is unknown which events are stored.
func (r report) rejected(p parcel) (rejected map[int]rejection, settled bool, err error) {
	switch {
	case r.has("rejected"):
		rejected, err = r.listed(p)
	case r.has("receivedEvents") && r.has("okEvents"):
		rejected, err = r.counted(p)
		return rejected, true, err
	}
	settled = !r.failed()
	accepted, countErr := r.count("accepted")
	all := accepted + len(rejected)
	if err == nil && countErr == nil && accepted >= 0 && (all > p.len() || settled && all < p.len()) {
		err = errCounts
	}
	return rejected, settled, err
}

// listed returns the events that are listed in the form of Inlet.
func (r report) listed(p parcel) (map[int]rejection, error) {
	var list []rejection
	if json.Unmarshal(r["rejected"], &list) != nil {
		return nil, r.unlisted(p)
	}
	rejected := make(map[int]rejection, len(list))
	for _, it := range list {
		if it.Index == nil || *it.Index < 0 || *it.Index >= p.len() || p.isAnother(*it.Index, it.MessageID) {
			return nil, errRejected
		}
		rejected[*it.Index] = it
	}
	if len(rejected) != len(list) { // an index is listed twice
		return nil, errRejected
	}
	switch count, err := r.count("rejectedCount"); {
	case err != nil || count > p.len() || count >= 0 && count < len(list):
		return nil, errCounts
	case count > len(list) && p.len() == 1:
		return nil, errRejected
	case count > len(list):
		return nil, errUnlisted
	}
	return rejected, nil
}

// unlisted returns the error for what is in the place of the list: a number counts the events
// that are rejected.
func (r report) unlisted(p parcel) error {
	n, err := r.count("rejected")
	switch {
	case err != nil, n > 0 && p.len() == 1:
		return errRejected
	case n > p.len():
		return errCounts
	case n > 0:
		return errUnlisted
	}
	return nil
}

// counted returns the events that Jitsu has not accepted. It counts them, names them in its
// errors, and has set them aside for its operator.
func (r report) counted(p parcel) (map[int]rejection, error) {
	received, err := r.count("receivedEvents")
	accepted, acceptedErr := r.count("okEvents")
	var texts []string
	if err != nil || acceptedErr != nil || r.has("errors") && json.Unmarshal(r["errors"], &texts) != nil {
		return nil, errCounts
	}
	failed := received - accepted
	switch {
	case received != p.len(), failed < 0, len(texts) > failed, string(r["ok"]) != strconv.FormatBool(failed == 0):
		return nil, errCounts
	case slices.ContainsFunc(texts, lacksTarget):
		return nil, errNoTarget
	case failed == 0:
		return nil, nil
	}
	rejected := named(p, texts)
	switch {
	case failed == p.len():
		for i := range failed {
			if _, ok := rejected[i]; !ok {
				rejected[i] = rejection{Message: strings.Join(texts[:min(1, len(texts))], "")}
			}
		}
	case len(rejected) != failed:
		return nil, errUnnamed
	}
	return rejected, nil
}

// lacksTarget reports whether an error of Jitsu is not about the event: it has none of the
// destinations that would take the event, and keeps none.
func lacksTarget(text string) bool { return strings.Contains(text, "no destinations found") }

// named returns the events of the request that errors of Jitsu name: "Message ID: ID: text". An
// id that several events have names them only if there are as many errors.
func named(p parcel, texts []string) map[int]rejection {
	events, reasons := map[string][]int{}, map[string][]string{}
	for i := range p.len() {
		id := jitsuID(p.id(i))
		events[id] = append(events[id], i)
	}
	for _, text := range texts {
		if text, ok := strings.CutPrefix(text, "Message ID: "); ok {
			id, reason, _ := strings.Cut(text, ": ")
			reasons[id] = append(reasons[id], reason)
		}
	}
	rejected := map[int]rejection{}
	for id, texts := range reasons {
		if len(texts) != len(events[id]) {
			continue
		}
		for n, i := range events[id] {
			rejected[i] = rejection{Message: texts[n]}
		}
	}
	return rejected
}

// maxJitsuID is how many bytes of an id Jitsu keeps.
const maxJitsuID = 64

// jitsuID returns a message ID as Jitsu writes it.
func jitsuID(id string) string {
	id = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '_'
	}, id)
	return id[:min(len(id), maxJitsuID)]
}
