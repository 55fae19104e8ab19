package wire

import (
	"slices"
	"unicode/utf8"
)

// This file replaces text that is not valid Unicode. It runs only on a body that has such
// text and that a first pass has found to be JSON otherwise. So every escape is valid, and
// invalid bytes can only be in strings: the grammar is ASCII.

// A repairer replaces invalid text in a body by U+FFFD: each byte of invalid UTF-8, and
// each unpaired surrogate in an escape. It records where.
type repairer struct {
	received  int      // the length of the body as received
	text      []byte   // the repaired body
	positions []uint32 // of the repairs in text, ascending
}

// growth is by how many bytes the text grows for each invalid byte: one becomes the three
// of U+FFFD. An escape is replaced by one of the same length.
const growth = len("\uFFFD") - 1

func (r *repairer) reset() {
	r.received, r.text, r.positions = 0, r.text[:0], r.positions[:0]
}

// repair returns a repaired copy of body, which is valid until reset.
func (r *repairer) repair(body []byte) []byte {
	for i := 0; i < len(body); {
		switch c := body[i]; {
		case c == '\\':
			n, paired := escape(body[i:])
			r.put(body[i:i+n], paired, `\ufffd`)
			i += n
		case c < utf8.RuneSelf:
			end := skipASCII(body, i)
			r.text = append(r.text, body[i:end]...)
			i = end
		default:
			// DecodeRune returns RuneError of length 1 for an invalid byte, and of
			// length 3 for a U+FFFD that the client has sent.
			char, n := utf8.DecodeRune(body[i:])
			r.put(body[i:i+n], char != utf8.RuneError || n > 1, "\uFFFD")
			i += n
		}
	}
	return r.text
}

// skipASCII returns the end of the run of ASCII without escapes at i.
func skipASCII(text []byte, i int) int {
	for i < len(text) && text[i] < utf8.RuneSelf && text[i] != '\\' {
		i++
	}
	return i
}

// put appends text if it is valid, else the replacement.
func (r *repairer) put(text []byte, valid bool, replacement string) {
	if valid {
		r.text = append(r.text, text...)
		return
	}
	r.positions = append(r.positions, uint32(len(r.text)))
	r.text = append(r.text, replacement...)
}

// within returns how many repairs are in the repaired text from start to end, and by how
// many bytes they made it longer.
func (r *repairer) within(start, end int) (repairs, grown int) {
	first, _ := slices.BinarySearch(r.positions, uint32(start))
	for _, at := range r.positions[first:] {
		if int(at) >= end {
			break
		}
		repairs++
		if r.text[at] != '\\' { // not an escape
			grown += growth
		}
	}
	return repairs, grown
}
