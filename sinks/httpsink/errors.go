package httpsink

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// A StatusError is in the error chain of every request that the receiver answered
// without accepting it. Hosts can watch for a status, such as the 401 of a wrong
// write key. None of its fields contains the write key.
type StatusError struct {
	// Status is the HTTP status of the response.
	Status int
	// Reason is the most likely cause, or "" if the status is explanation enough.
	Reason string
	// Excerpt is the beginning of the response's message, at most 200 bytes of valid
	// UTF-8 with any character; "" if there is none.
	Excerpt string
}

// Error returns the status, the reason and the quoted excerpt.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("httpsink: the receiver answered %d %s", e.Status, http.StatusText(e.Status))
	text = strings.TrimRight(text, " ")
	if e.Reason != "" {
		text += ", " + e.Reason
	}
	if e.Excerpt != "" {
		text += fmt.Sprintf(": %q", e.Excerpt)
	}
	return text
}

// errTooLarge is in the error chain of a request that the receiver found too large.
var errTooLarge = errors.New("httpsink: too large for the receiver")
