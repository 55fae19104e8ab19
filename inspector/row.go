package inspector

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/inlet-go/inlet"
)

// Kinds of rows.
const (
	accepted  = "accepted"  // by the sink
	duplicate = "duplicate" // accepted, as one of a row that is still kept with its message id
	refused   = "refused"   // an event, or a whole request
	failed    = "failed"    // by the sink, temporarily: the client sends it again
	delivered = "delivered" // to a destination
	dead      = "dead"      // permanently refused by a destination

	quarantined = "quarantined" // by a tracking plan, which counts as accepted
)

// Limits of what a row keeps, in bytes.
const (
	maxDetail = 64 << 10
	maxText   = 300
)

// A row is what viewers get of an event, or of a request that was refused.
type row struct {
	ID        uint64    `json:"id"`
	At        time.Time `json:"at"`
	Kind      string    `json:"kind"`
	Source    string    `json:"source,omitempty"`
	Dialect   string    `json:"dialect,omitempty"`
	Type      string    `json:"type,omitempty"`
	Name      string    `json:"name,omitempty"`
	User      string    `json:"user,omitempty"`
	MessageID string    `json:"messageId,omitempty"`
	To        string    `json:"to,omitempty"` // the destination
	Status    int       `json:"status,omitempty"`
	Code      string    `json:"code,omitempty"`
	Field     string    `json:"field,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Request   string    `json:"request,omitempty"` // method, path and protocol
	Agent     string    `json:"agent,omitempty"`
	Origin    string    `json:"origin,omitempty"`
	Warnings  []string  `json:"warnings,omitempty"`
	HasDetail bool      `json:"detail,omitempty"`

	detail []byte // canonical JSON
	cut    bool   // there was more of it
	text   []byte // the row as JSON, masked
}

// eventRow returns the row of an event. The event is lent; the row keeps none of its raw JSON.
func eventRow(kind string, e *inlet.Event, now time.Time) *row {
	r := &row{
		At: now, Kind: kind, Dialect: short(e.Dialect), Type: string(e.Type), Name: short(e.Name), MessageID: short(e.MessageID),
	}
	if e.Source != nil {
		r.Source = short(e.Source.ID)
	}
	if r.User = short(e.UserID); r.User == "" {
		r.User = short(e.AnonymousID)
	}
	for code := range e.Warnings.Codes() {
		r.Warnings = append(r.Warnings, code)
	}
	return r
}

// withDetail adds the canonical JSON of the event.
func (r *row) withDetail(e *inlet.Event) *row {
	r.detail = e.AppendJSON(nil)
	if len(r.detail) > maxDetail {
		r.detail, r.cut = bytes.Clone(r.detail[:end(r.detail, maxDetail)]), true
	}
	r.HasDetail = true
	return r
}

// finish makes the text of the row, which has its number now.
func (r *row) finish(unmasked bool) {
	text, err := json.Marshal(r)
	if err != nil {
		text = []byte("{}") // a row has nothing that cannot be JSON
	}
	if !unmasked {
		text = mask(text)
	}
	r.text = text
}

// stored reports whether an event with the same message id is a duplicate.
func (r *row) stored() bool {
	return r.MessageID != "" && (r.Kind == accepted || r.Kind == duplicate)
}

// size returns about how many bytes the row takes.
func (r *row) size() int { return len(r.detail) + 2*len(r.text) + 400 }

// short returns at most maxText bytes of a text, in memory of its own.
func short(text string) string {
	if len(text) <= maxText {
		return strings.Clone(text)
	}
	return text[:end(text, maxText)] + "…"
}

// end returns how much of a text that is longer than most is kept. Neither a character is cut in
// two, nor an address, whose beginning could not be masked. What is no UTF-8 has no characters.
func end[T string | []byte](text T, most int) int {
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(text[n]) {
		n--
	}
	if n == most-utf8.UTFMax {
		n = most
	}
	from := max(0, n-longestAddress)
	return from + beforeAddress(string(text[from:min(len(text), n+longestAddress)]), n-from)
}
