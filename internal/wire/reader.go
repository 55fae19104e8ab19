package wire

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// A Reader moves over a text from its first byte to its last, by pieces of its grammar, and
// allocates nothing. It is for a check that wants to see values in the order in which they are
// written, or for text of which it is not certain that it is valid. [Walk], [Elements] and [Find]
// are shorter to use where it is.
//
// The text is meant to be valid JSON. A text that is not gives wrong pieces and no panic. Walking
// over any text ends: Enter, More and Name move forwards, unless they are at the end.
//
//	for more := r.Enter(); more; more = r.More() {
//		name, _ := r.Name() // in objects
//		r.Skip()            // or any of Text, Scalar and Enter
//	}
type Reader struct {
	src []byte
	at  int
}

// NewReader returns a reader that is before a value.
func NewReader(text []byte) Reader { return Reader{text, skipSpace(text, 0)} }

// Offset returns how many bytes are behind the reader.
func (r *Reader) Offset() int { return r.at }

// Since returns the text from an offset to the reader.
func (r *Reader) Since(offset int) []byte { return r.src[offset:r.at:r.at] }

// Kind returns the first byte of the value that follows, as [Kind] does, and 0 at the end.
func (r *Reader) Kind() byte {
	if r.at < len(r.src) {
		return r.src[r.at]
	}
	return 0
}

// Enter moves into an object or array. It returns false if that is empty, and then has moved
// behind it.
func (r *Reader) Enter() bool {
	if r.at >= len(r.src) {
		return false
	}
	r.space(r.at + 1)
	switch r.Kind() {
	case '}', ']':
		r.at++
		return false
	case 0:
		return r.at < len(r.src)
	}
	return true
}

// More moves from the end of a member or element to the next one, and returns true; or behind the
// object or array.
func (r *Reader) More() bool {
	if r.at < len(r.src) && r.src[r.at] <= ' ' {
		r.space(r.at)
	}
	if r.at >= len(r.src) {
		return false
	}
	more := r.src[r.at] == ','
	r.at++
	if more {
		r.space(r.at)
	}
	return more
}

// Name reads the name of a member, without its quotes, and moves to its value. A name with
// escapes is returned as it is written.
func (r *Reader) Name() (inner []byte, escaped bool) {
	inner, escaped = r.Text()
	if r.at < len(r.src) && r.src[r.at] <= ' ' {
		r.space(r.at)
	}
	if r.at < len(r.src) {
		r.space(r.at + 1)
	}
	return inner, escaped
}

// Text reads a string, without its quotes. One with escapes is returned as it is written.
func (r *Reader) Text() (inner []byte, escaped bool) {
	if r.at >= len(r.src) {
		return nil, false
	}
	start := r.at + 1
	end, escaped := r.endOfText(start)
	r.at = min(end+1, len(r.src))
	return r.src[start:end:end], escaped
}

// endOfText returns where the closing quote is of the text that begins at i.
func (r *Reader) endOfText(i int) (end int, escaped bool) {
	src := r.src
	for i < len(src) {
		if i+word <= len(src) {
			w := binary.LittleEndian.Uint64(src[i:])
			q, b := w^(ones*'"'), w^(ones*'\\')
			special := ((q-ones)&^q | (b-ones)&^b) & highs
			if special == 0 {
				i += word
				continue
			}
			i += bits.TrailingZeros64(special) / word
		}
		switch src[i] {
		case '"':
			return i, escaped
		case '\\':
			escaped = true
			i++
		}
		i++
	}
	return len(src), escaped
}

// Scalar reads a number or a literal.
func (r *Reader) Scalar() []byte {
	start := r.at
	for r.at < len(r.src) && scalarBytes[r.src[r.at]] {
		r.at++
	}
	return r.src[start:r.at:r.at]
}

// scalarBytes are the bytes that do not end a number or a literal.
var scalarBytes = func() (is [256]bool) {
	for c := range is {
		is[c] = c > ' ' && c != ',' && c != '}' && c != ']' && c != ':'
	}
	return is
}()

// Skip moves behind a value, of any kind.
func (r *Reader) Skip() {
	switch r.Kind() {
	case '"':
		end, _ := r.endOfText(r.at + 1)
		r.at = min(end+1, len(r.src))
	case '{', '[':
		r.skipComposite()
	default:
		r.Scalar()
	}
}

func (r *Reader) skipComposite() {
	depth := 0
	for i := r.at; i < len(r.src); i++ {
		switch r.src[i] {
		case '"':
			i, _ = r.endOfText(i + 1)
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				r.at = i + 1
				return
			}
		}
	}
	r.at = len(r.src)
}

func (r *Reader) space(i int) {
	for i < len(r.src) && r.src[i] <= ' ' && isSpace(r.src[i]) {
		i++
	}
	r.at = i
}

// AppendUnescaped appends the text of a JSON string that has no quotes around it. What is not
// valid there stays as it is, and an unpaired surrogate becomes U+FFFD.
func AppendUnescaped(dst, inner []byte) []byte {
	for i := 0; i < len(inner); {
		plain := bytes.IndexByte(inner[i:], '\\')
		if plain < 0 || i+plain+1 == len(inner) {
			return append(dst, inner[i:]...)
		}
		dst = append(dst, inner[i:i+plain]...)
		i += plain
		count(1 + plain/copied)
		n, _ := escape(inner[i:])
		switch c := inner[i+1]; {
		case n == 0:
			dst, n = append(dst, '\\'), 1
		case c == 'u':
			var r rune
			r, n = escapedRune(inner[i:])
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, unescaped[c])
		}
		i += n
		count(n)
	}
	return dst
}

// unescaped is what the escapes of one letter stand for.
var unescaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
