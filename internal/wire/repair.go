package wire

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// This file replaces text that is not valid Unicode, so that a body which has some is still
// read once. Invalid UTF-8 is replaced before the pass, wherever it is: outside of strings
// the replacement is as wrong as what it replaces. Unpaired surrogates are found by the
// pass, and replaced after it by escapes of the same length, so that no span moves.

// A repairer replaces invalid text in a body by U+FFFD: each byte of invalid UTF-8, and
// each unpaired surrogate in an escape. It records where.
type repairer struct {
	received  []byte   // the body as received
	text      []byte   // the repaired body
	positions []uint32 // of the bytes that were replaced, in text, ascending
	passed    int      // how many of them are before what the pass has read
}

// growth is by how many bytes the text grows for each invalid byte: one becomes the three
// of U+FFFD. An escape is replaced by one of the same length.
const growth = len("\uFFFD") - 1

func (r *repairer) reset(body []byte) {
	r.received, r.text, r.positions, r.passed = body, r.text[:0], r.positions[:0], 0
}

// utf8 returns the body, or a copy without invalid UTF-8, which is valid until reset. The
// memory of the copy is asked for.
func (r *repairer) utf8(x *indexer) []byte {
	body := r.received
	count(len(body) / copied)
	if utf8.Valid(body) {
		return body
	}
	if r.findInvalid(x); x.failed {
		return nil
	}
	if r.text = clip(x, r.text, len(body)+len(r.positions)*growth); x.refused != nil {
		return nil
	}
	from := 0
	for k, at := range r.positions {
		r.text = append(append(r.text, body[from:at]...), "\uFFFD"...)
		r.positions[k] += uint32(k * growth)
		from = int(at) + 1
	}
	r.text = append(r.text, body[from:]...)
	count(len(r.positions) + len(r.text)/copied)
	return r.text
}

// findInvalid records where in the body the bytes are that are invalid UTF-8.
func (r *repairer) findInvalid(x *indexer) {
	body := r.received
	x.src = body
	for i := 0; i < len(body); {
		if start := i; body[i] < utf8.RuneSelf {
			i = skipASCII(body, i)
			count(1 + (i-start)/hashed)
			continue
		}
		// A U+FFFD that the client has sent is three bytes long.
		char, n := utf8.DecodeRune(body[i:])
		if char == utf8.RuneError && n == 1 {
			if len(r.positions) == cap(r.positions) {
				if r.positions = outgrown(x, r.positions, i, 1); x.failed {
					return
				}
			}
			r.positions = append(r.positions, uint32(i))
		}
		i += n
		count(n)
	}
}

// skipASCII returns the end of the run of ASCII at i.
func skipASCII(text []byte, i int) int {
	const high = 0x8080808080808080 // the bits that no byte of ASCII has
	for i+8 <= len(text) && binary.LittleEndian.Uint64(text[i:])&high == 0 {
		i += 8
	}
	for i < len(text) && text[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// surrogates returns the text that the pass has read with the escapes of unpaired
// surrogates replaced.
func (r *repairer) surrogates(x *indexer) []byte {
	if len(r.text) == 0 { // it is the body, which others may read
		if r.text = clip(x, r.text, len(x.src)); x.refused != nil {
			return nil
		}
		r.text = append(r.text, x.src...)
		count(len(x.src) / copied)
	}
	for _, i := range x.unpaired {
		copy(r.text[i:], `\ufffd`)
	}
	count(len(x.unpaired))
	return r.text
}

// within returns how many bytes were replaced in the text from start to end. Calls must be
// in the order of the text.
func (r *repairer) within(start, end int) (repairs int) {
	from := r.passed
	for ; r.passed < len(r.positions) && int(r.positions[r.passed]) < end; r.passed++ {
		if int(r.positions[r.passed]) < start {
			from++
		}
	}
	return r.passed - from
}

// receivedAt returns where what is at i in the repaired body is in the one received.
func (r *repairer) receivedAt(i int) int {
	before, _ := slices.BinarySearch(r.positions, uint32(i))
	return i - before*growth
}
