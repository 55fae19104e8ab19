package natssink

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/inlet-go/inlet"
)

// A batch is the messages of the events of a part of a Write, in memory of the sink's own: what
// sends them may still run when Write has returned.
type batch struct {
	messages []message
	payloads []byte
	subjects map[subjectKey]string
}

// A message is one event. Its payload is part of those of the batch.
type message struct {
	subject, id string
	from, to    int
}

type subjectKey struct{ source, kind string }

// overhead is the most that a message has in addition to id and payload: the names and values of
// headers.
const overhead = 256

// fill replaces the messages by those of events.
func (b *batch) fill(prefix string, events []*inlet.Event) {
	b.messages, b.payloads = b.messages[:0], b.payloads[:0]
	clear(b.subjects)
	for _, e := range events {
		from := len(b.payloads)
		b.payloads = e.AppendJSON(b.payloads)
		b.messages = append(b.messages, message{b.subject(prefix, e), messageID(e), from, len(b.payloads)})
	}
}

// payload returns that of the i-th message.
func (b *batch) payload(i int) []byte { return b.payloads[b.messages[i].from:b.messages[i].to] }

// size returns how many bytes the i-th message has at most, for the server.
func (b *batch) size(i int) int {
	m := &b.messages[i]
	return m.to - m.from + len(m.id) + overhead
}

// isLarge reports whether the memory is too large to be kept.
func (b *batch) isLarge() bool { return cap(b.payloads) > 16<<20 }

// subject returns the subject of an event.
func (b *batch) subject(prefix string, e *inlet.Event) string {
	key := subjectKey{e.Source.ID, string(e.Type)}
	subject, found := b.subjects[key]
	if !found {
		subject = prefix + "." + token(key.source) + "." + token(key.kind)
		b.subjects[key] = subject
	}
	return subject
}

const (
	maxToken = 128 // bytes of a token of a subject
	maxID    = 512 // bytes of a message id
)

// token returns a text as a token of a subject. Different texts have different tokens.
func token(text string) string {
	if text == "" {
		return "%"
	}
	return escape(text, maxToken, func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
	})
}

// messageID returns the id by which the server recognises an event. Different keys have different
// ids.
func messageID(e *inlet.Event) string {
	source := escape(e.Source.ID, maxID, func(c byte) bool { return isPlain(c) && c != ':' })
	id := source + ":" + escape(e.MessageID, maxID, isPlain)
	if len(id) > maxID {
		return hashed(id)
	}
	return id
}

// isPlain reports whether a byte of a header is written as it is.
func isPlain(c byte) bool { return c > ' ' && c != 0x7f && c != '%' }

const hexDigits = "0123456789ABCDEF"

// escape writes the bytes that are not plain as % and two digits, and a text that would have more
// than most bytes as a hash.
func escape(text string, most int, plain func(byte) bool) string {
	bad := 0
	for i := range len(text) {
		if !plain(text[i]) {
			bad++
		}
	}
	switch {
	case len(text)+2*bad > most:
		return hashed(text)
	case bad == 0:
		return text
	}
	escaped := make([]byte, 0, len(text)+2*bad)
	for i := range len(text) {
		if c := text[i]; plain(c) {
			escaped = append(escaped, c)
		} else {
			escaped = append(escaped, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(escaped)
}

// hashed returns what stands for a text that is too long. It cannot be mistaken for an escaped one,
// in which hexadecimal digits follow each %.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "%h" + hex.EncodeToString(sum[:])
}
