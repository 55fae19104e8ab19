package httpsink

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// A StatusError is in the error of every request that the receiver answered and
// did not take: for hosts that watch for one status or the other, such as the 401
// of a write key that is wrong. Nothing in it has the write key.
type StatusError struct {
	// Status is the status of the answer.
	Status int
	// Reason is what is most likely wrong, or "" if the status says it all.
	Reason string
	// Said is the beginning of what the receiver said, 200 bytes at most, as
	// valid UTF-8 that may have any character; "" if it said nothing.
	Said string
}

// Error quotes what the receiver said.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("httpsink: the receiver answered %d %s", e.Status, http.StatusText(e.Status))
	text = strings.TrimRight(text, " ")
	if e.Reason != "" {
		text += ", " + e.Reason
	}
	if e.Said != "" {
		text += fmt.Sprintf(": %q", e.Said)
	}
	return text
}

func (a *answer) fault(reason string) error {
	return &StatusError{Status: a.status, Reason: reason, Said: a.excerpt(a.said())}
}

// said is what the receiver said in words: the members of an error, or all of it.
func (a *answer) said() string {
	text := a.report.text("message")
	if text == "" {
		text = a.report.text("error")
	}
	if text = join(a.report.text("code"), text); text != "" {
		return text
	}
	return string(a.body)
}

// join returns the code and the words of an error.
func join(code, words string) string {
	if code != "" && words != "" {
		return code + ": " + words
	}
	return code + words
}

// maxExcerpt is the most bytes of an answer in an error.
const maxExcerpt = 200

// excerpt returns the beginning of a text, without the write key.
func (a *answer) excerpt(text string) string {
	text = strings.ToValidUTF8(a.mask.Replace(text), "\uFFFD")
	if len(text) <= maxExcerpt {
		return text
	}
	end := maxExcerpt
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
