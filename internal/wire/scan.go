package wire

import (
	"encoding/binary"
	"math/bits"
)

// This file moves over strings and numbers of a body that may be anything.
//
// Strings are most of a payload. They are scanned eight bytes at once, as a word: only a
// quote, a backslash and control characters need attention, and whether a word has one of
// them is a few operations on all its bytes together ([specialBytes]). From the first
// backslash on, a string is checked escape by escape, since escapes are rare.
//
// Strings that are names also get a fingerprint, which is computed from the same words. A
// string with escapes has none: names.go computes it after it has rewritten the name.

const (
	ones  = 0x0101010101010101 // 1 in each byte
	highs = 0x8080808080808080 // the highest bit of each byte
	word  = 8                  // bytes in a word
)

// specialBytes sets the highest bit of the first byte of w that is a quote, a backslash or
// a control character. It may set that of bytes after it wrongly, never of one before it;
// the result is 0 if there is none. The first byte is the lowest one.
//
// Subtracting n from a byte below 0x80 sets its highest bit if it is below n, on all bytes of
// a word at once, except that a borrow may reach the byte above one that has matched. The
// bytes from 0x80 on are masked. A byte is a backslash if its exclusive or with one is below
// 1. An exclusive or with 2 moves a quote to the byte above the control characters, and leaves
// those below it, so that one test is for both.
func specialBytes(w uint64) uint64 {
	return ((w ^ ones*2 - ones*(' '+1)) | (w ^ ones*'\\' - ones)) &^ w & highs
}

// mixer is an odd constant with irregular bits: multiplying by it spreads each bit of a
// word to the bits above it.
const mixer = 0x9e3779b97f4a7c15

// wordAt returns the word at i. It returns false if less than a word is left there.
func wordAt(src []byte, i int) (w uint64, ok bool) {
	// In this form the compiler sees that the slice needs no check.
	if i < 0 || i >= len(src)-(word-1) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(src[i : i+word]), true
}

// scanPlain moves over bytes that are not special to one that is, and returns the fingerprint
// of the text that ends there. It is not found if less than a word is left before: then the
// fingerprint is that of the bytes so far, for scanTail to continue.
func scanPlain(src []byte, i int) (end int, fingerprint uint64, found bool) {
	for {
		w, ok := wordAt(src, i)
		if !ok {
			return i, fingerprint, false
		}
		m := specialBytes(w)
		if m != 0 {
			n := bits.TrailingZeros64(m) &^ 7 // bits before the special byte
			return i + n/word, (fingerprint ^ w&(1<<n-1)) * mixer, true
		}
		fingerprint = (fingerprint ^ w) * mixer
		i += word
	}
}

// scanTail moves over the rest of a name, from its first special byte on, or where less than a
// word of the body is left: byte by byte. It collects them in a word, so that the fingerprint is
// the same as if the name were elsewhere.
func (x *indexer) scanTail(i int, fingerprint uint64) (end int, _ uint64, escapes bool) {
	var w uint64
	for n := 0; i < len(x.src); n += word {
		switch c := x.src[i]; {
		case c == '"':
			count(1)
			return i + 1, (fingerprint ^ w) * mixer, false
		case c == '\\' || c < ' ':
			return x.scanEscaped(i), 0, true
		default:
			w |= uint64(c) << n
		}
		count(1)
		i++
	}
	return x.fail(i), 0, false
}

// fingerprintOf returns the fingerprint of a quoted text, the same as scanPlain for one
// without escapes.
func fingerprintOf(quoted []byte) (fingerprint uint64) {
	count(1 + len(quoted)/hashed)
	text := quoted[1 : len(quoted)-1]
	for ; len(text) >= word; text = text[word:] {
		fingerprint = (fingerprint ^ binary.LittleEndian.Uint64(text)) * mixer
	}
	var w uint64
	for i, c := range text {
		w |= uint64(c) << (i * word)
	}
	return (fingerprint ^ w) * mixer
}

// skipString moves over the string at i, whose text does not matter. Two words in each turn
// are faster than one: most values are longer than a word.
func (x *indexer) skipString(i int) (end int) {
	src, start := x.src, i
	i++
	for i >= 0 && i < len(src)-(2*word-1) { // as in wordAt
		first := specialBytes(binary.LittleEndian.Uint64(src[i : i+word]))
		second := specialBytes(binary.LittleEndian.Uint64(src[i+word : i+2*word]))
		if first|second == 0 {
			i += 2 * word
			continue
		}
		n := bits.TrailingZeros64(second) + 64 // bits before the special byte
		if first != 0 {
			n = bits.TrailingZeros64(first)
		}
		if i += n / word; src[i] == '"' {
			count(i + 1 - start)
			return i + 1
		}
		break
	}
	count(i - start)
	return x.scanEscaped(i)
}

// skipPlain moves over bytes that are not special, word by word. It stops at a special
// byte, or when less than a word is left, which the caller handles byte by byte.
func skipPlain(src []byte, i int) int {
	for {
		w, ok := wordAt(src, i)
		if !ok {
			return i
		}
		if m := specialBytes(w); m != 0 {
			return i + bits.TrailingZeros64(m)/word
		}
		i += word
	}
}

// scanEscaped moves over the rest of a string, from its first special byte on, or where little
// of the body is left.
func (x *indexer) scanEscaped(i int) (end int) {
	for i < len(x.src) {
		start := i
		switch c := x.src[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			n, paired := escape(x.src[i:])
			if n == 0 {
				return x.fail(i)
			}
			if !paired && !x.bare {
				if len(x.unpaired) == cap(x.unpaired) {
					if x.unpaired = outgrown(x, x.unpaired, i, unicodeLength); x.failed {
						return i
					}
				}
				x.unpaired = append(x.unpaired, uint32(i))
			}
			i += n
		case c < ' ':
			return x.fail(i)
		default:
			i = skipPlain(x.src, i+1)
		}
		count(i - start)
	}
	return x.fail(i)
}

// escape returns the length of the escape at the beginning of text, 0 if it is invalid. Two
// escapes that form a surrogate pair count as one; paired is false for a surrogate without
// the other half, whose length is that of one escape.
func escape(text []byte) (n int, paired bool) {
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
	case r < 0xD800 || r > 0xDFFF: // not a surrogate
		return unicodeLength, true
	case r >= 0xDC00: // a second half without a first
		return unicodeLength, false
	}
	low, ok := unicodeEscape(text[unicodeLength:])
	if ok && 0xDC00 <= low && low <= 0xDFFF {
		return 2 * unicodeLength, true
	}
	return unicodeLength, false
}

// unicodeLength is the length of an escape \uXXXX.
const unicodeLength = 6

// unicodeEscape parses \uXXXX.
func unicodeEscape(text []byte) (r rune, ok bool) {
	if len(text) < unicodeLength || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	a, b, c, d := hexDigits[text[2]], hexDigits[text[3]], hexDigits[text[4]], hexDigits[text[5]]
	return rune(a)<<12 | rune(b)<<8 | rune(c)<<4 | rune(d), (a | b | c | d) < 16
}

// hexDigits are the values of hexadecimal digits, by the byte; 255 for other bytes.
const hexDigits = "" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\xff\xff\xff\xff\xff\xff" +
	"\xff\x0a\x0b\x0c\x0d\x0e\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\x0a\x0b\x0c\x0d\x0e\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"

// scalar moves over the number or literal at i. What follows it is for the caller to
// check, so "truefalse" is a true followed by an unexpected f.
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

// literal moves over text at i. The error is at the end of a body that breaks off within
// the literal, and at the beginning of a wrong one.
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

// number moves over the number at i. It is not converted: a number of any size and
// precision is kept as its digits.
func (x *indexer) number(i int) (end int) {
	src, start := x.src, i
	if x.at(i) == '-' {
		i++
	}
	if x.at(i) == '0' { // a digit after it is not part of the number
		i++
	} else if end = skipDigits(src, i); end == i {
		return x.fail(i)
	} else {
		i = end
	}
	if x.at(i) == '.' {
		if end = skipDigits(src, i+1); end == i+1 {
			return x.fail(end)
		}
		i = end
	}
	if x.at(i)|0x20 == 'e' { // e or E
		i++
		if c := x.at(i); c == '+' || c == '-' {
			i++
		}
		if end = skipDigits(src, i); end == i {
			return x.fail(i)
		}
		i = end
	}
	count(i - start)
	return i
}

// skipDigits moves over digits.
func skipDigits(src []byte, i int) int {
	for i < len(src) && '0' <= src[i] && src[i] <= '9' {
		i++
	}
	return i
}
