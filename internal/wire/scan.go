package wire

import (
	"encoding/binary"
	"math/bits"
)

// Strings make up most of a payload. They are scanned eight bytes at a time.

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
	word  = 8
)

// specials marks the first byte of w that is a quote, a backslash or a control
// character, and perhaps bytes after it.
func specials(w uint64) uint64 {
	q, b := w^(ones*'"'), w^(ones*'\\')
	return ((q-ones)&^q | (b-ones)&^b | (w-ones*' ')&^w) & highs
}

const mix = 0x9e3779b97f4a7c15

// scanString moves over the string at i. It also returns a print of its text and
// whether that has escapes, in which case the print is void.
func (x *indexer) scanString(i int) (end int, print uint64, escapes bool) {
	src := x.src
	for i++; i+word <= len(src); i += word {
		w := binary.LittleEndian.Uint64(src[i:])
		m := specials(w)
		if m == 0 {
			print = (print ^ w) * mix
			continue
		}
		n := bits.TrailingZeros64(m) &^ 7
		i += n / word
		if src[i] == '"' {
			return i + 1, (print ^ w&(1<<n-1)) * mix, false
		}
		return x.scanEscaped(i), 0, true
	}
	return x.scanTail(i, print)
}

// skipString moves over the string at i, of which nothing is to be known.
func (x *indexer) skipString(i int) (end int) {
	if i = skipPlain(x.src, i+1); x.at(i) == '"' {
		return i + 1
	}
	return x.scanEscaped(i)
}

// scanTail moves over the rest of a string that is near the end of the body.
func (x *indexer) scanTail(i int, print uint64) (end int, _ uint64, escapes bool) {
	var w uint64
	for n := 0; i < len(x.src); n += word {
		switch c := x.src[i]; {
		case c == '"':
			return i + 1, (print ^ w) * mix, false
		case c == '\\' || c < ' ':
			return x.scanEscaped(i), 0, true
		default:
			w |= uint64(c) << n
		}
		i++
	}
	return x.fail(i), 0, false
}

// scanEscaped moves over the rest of a string from its first special byte on.
func (x *indexer) scanEscaped(i int) (end int) {
	for i < len(x.src) {
		switch c := x.src[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			n, whole := escape(x.src[i:])
			if n == 0 {
				return x.fail(i)
			}
			x.broken = x.broken || !whole
			i += n
		case c < ' ':
			return x.fail(i)
		default:
			i = skipPlain(x.src, i+1)
		}
	}
	return x.fail(i)
}

// skipPlain moves over bytes that are not special, as far as it takes no care.
func skipPlain(src []byte, i int) int {
	for ; i+word <= len(src); i += word {
		if m := specials(binary.LittleEndian.Uint64(src[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)/word
		}
	}
	return i
}

// printOf returns the print of a quoted text without escapes.
func printOf(quoted []byte) uint64 {
	x := indexer{src: quoted}
	_, print, _ := x.scanString(0)
	return print
}

// escape returns the length of the escape, or pair of them, at the beginning of
// text, 0 if it is none, and false if it is half a surrogate pair.
func escape(text []byte) (n int, whole bool) {
	if len(text) < 2 {
		return 0, false
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, true
	}
	r, ok := unicodeEscape(text)
	switch {
	case !ok:
		return 0, false
	case r < 0xD800 || r > 0xDFFF:
		return 6, true
	case r >= 0xDC00:
		return 6, false
	}
	low, ok := unicodeEscape(text[6:])
	if ok && 0xDC00 <= low && low <= 0xDFFF {
		return 12, true
	}
	return 6, false
}

// unicodeEscape reads \uXXXX.
func unicodeEscape(text []byte) (r rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		digit := hexDigit(c)
		if digit < 0 {
			return 0, false
		}
		r = r<<4 | digit
	}
	return r, true
}

func hexDigit(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c - 'a' + 10)
	case 'A' <= c && c <= 'F':
		return rune(c - 'A' + 10)
	}
	return -1
}

// scalar moves over the number or literal at i.
func (x *indexer) scalar(i int) (end int) {
	switch x.at(i) {
	case 't':
		return x.literal(i, "true")
	case 'f':
		return x.literal(i, "false")
	case 'n':
		return x.literal(i, "null")
	}
	return x.number(i)
}

func (x *indexer) literal(i int, text string) (end int) {
	for j := range len(text) {
		if x.at(i+j) != text[j] {
			if j == 0 || i+j >= len(x.src) {
				return x.fail(i + j)
			}
			return x.fail(i)
		}
	}
	return i + len(text)
}

// number moves over the number at i, whose text stays as it is.
func (x *indexer) number(i int) (end int) {
	if x.at(i) == '-' {
		i++
	}
	if x.at(i) == '0' {
		i++
	} else {
		i = x.digits(i)
	}
	if x.at(i) == '.' {
		i = x.digits(i + 1)
	}
	if c := x.at(i); c|0x20 == 'e' {
		i++
		if c = x.at(i); c == '+' || c == '-' {
			i++
		}
		i = x.digits(i)
	}
	return i
}

// digits moves over one digit or more.
func (x *indexer) digits(i int) (end int) {
	start := i
	for i < len(x.src) && '0' <= x.src[i] && x.src[i] <= '9' {
		i++
	}
	if i == start {
		return x.fail(i)
	}
	return i
}
