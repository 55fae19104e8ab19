// Package refusal writes why an event was refused into the event, which makes it a letter: in one
// form, for what a handler refuses and for what a sink does.
package refusal

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/wire"
)

// A Refusal is why an event was refused. Texts may be anything.
type Refusal struct {
	Error    string
	At       time.Time
	By       string
	Code     string
	Field    string
	Received []byte // the event as it was sent, where that could not be read as an event
	Plan     []byte // of an event that violates a tracking plan: valid JSON of what it violates
}

// MaxText is how many bytes a text of a refusal has at most, and MaxReceived the event as it was
// sent.
const (
	MaxText     = 1 << 10
	MaxReceived = 1 << 20
)

// Add returns a copy of an Extra, which may be nil, with the refusal in place of an earlier one.
func Add(extra json.RawMessage, r *Refusal) json.RawMessage { return with(extra, r.JSON()) }

// JSON returns the value of the member that makes an event a letter.
func (r *Refusal) JSON() []byte {
	value := append(appendText(nil, `{"error":`, r.Error, MaxText), `,"at":"`...)
	value = append(r.At.UTC().AppendFormat(value, time.RFC3339Nano), '"')
	for _, member := range [...]struct{ name, text string }{
		{`,"by":`, r.By}, {`,"code":`, r.Code}, {`,"field":`, r.Field},
	} {
		if member.text != "" {
			value = appendText(value, member.name, member.text, MaxText)
		}
	}
	if r.Received != nil {
		value = appendText(value, `,"received":`, string(r.Received), MaxReceived)
	}
	if r.Plan != nil {
		value = append(append(value, `,"plan":`...), r.Plan...)
	}
	return append(value, '}')
}

// with returns a copy of an Extra with the member at the end, in place of an earlier one.
func with(extra json.RawMessage, value []byte) json.RawMessage {
	out := append(make([]byte, 0, len(extra)+len(value)+len(`{"":,}`)+len(canonical.Refused)), '{')
	if len(extra) > 0 {
		members, err := wire.Members(extra)
		if err != nil { // it is not an object, which no event in a sink has
			return extra
		}
		for _, m := range members {
			if string(m.Name()) != canonical.Refused {
				out = wire.AppendMember(out, 1, m.RawName, m.Value)
			}
		}
	}
	return append(wire.AppendMember(out, 1, []byte(`"`+canonical.Refused+`"`), value), '}')
}

// Size returns about how much memory Add makes.
func Size(extra json.RawMessage, r *Refusal) int {
	return 256 + len(extra) + 2*min(len(r.Error), MaxText) + 2*min(len(r.Field), MaxText) + 8*min(len(r.Received), MaxReceived) + len(r.Plan)
}

func appendText(dst []byte, name, text string, limit int) []byte {
	return wire.AppendString(append(dst, name...), clip(text, limit))
}

const ellipsis = "…"

// clip returns text as valid UTF-8, cut to a limit.
func clip(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	end := limit - len(ellipsis)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
