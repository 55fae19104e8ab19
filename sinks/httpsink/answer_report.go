package httpsink

import (
	"encoding/json"
	"errors"
)

// A report is the body of an answer as far as it is a JSON object; nil if it is
// none. Receivers put values of different kinds under the same names: each is
// looked at by itself.
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

// failed reports whether the answer says so: Segment, RudderStack and Inlet by
// "success", Jitsu by "ok".
func (r report) failed() bool {
	return string(r["success"]) == "false" || string(r["ok"]) == "false"
}

// A rejection is an event that the receiver refused, as Inlet says it.
type rejection struct {
	Index   *int   `json:"index"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

var errRejected = errors.New("its list of rejected events cannot be understood")

// rejected returns which of the n events the receiver refused. If its list cannot
// be understood, nobody knows which are stored.
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
	if len(rejected) != len(list) { // an event stands in it twice
		return nil, errRejected
	}
	return rejected, nil
}
