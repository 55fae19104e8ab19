// Package form reads text of the type application/x-www-form-urlencoded, such as the query
// of a URL, as the URL standard of the WHATWG tells browsers to. Nothing in it is an error:
// only "&" separates parameters, a "%" that begins no escape is itself, and bytes that are
// not UTF-8 are replaced. Memory is needed only for text that differs from what was sent.
//
// An escaped name or value is one as it was sent.
package form

import (
	"iter"
	"strings"
	"unicode/utf8"
)

// Pairs returns the parameters of a query, in the order in which they were sent: their
// escaped names and values. One without "=" has the value "".
func Pairs(query string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for pair := range strings.SplitSeq(query, "&") {
			if pair == "" {
				continue
			}
			if name, value, _ := strings.Cut(pair, "="); !yield(name, value) {
				return
			}
		}
	}
}

// First returns the first escaped value of a parameter, "" if there is none.
func First(query, name string) (escaped string) {
	for n, value := range Pairs(query) {
		if Is(n, name) {
			return value
		}
	}
	return ""
}

// Is reports whether an escaped name or value is a text, nothing of which was replaced.
func Is(escaped, text string) bool {
	i := 0
	for ; escaped != "" && i < len(text); i++ {
		c, size := escaped[0], 1
		if b, ok := escapedByte(escaped); ok {
			c, size = b, len(`%00`)
		} else if c == '+' {
			c = ' '
		}
		if c != text[i] {
			return false
		}
		escaped = escaped[size:]
	}
	return escaped == "" && i == len(text)
}

// Text returns the text of an escaped name or value.
func Text(escaped string) string {
	if !isEscaped(escaped) && utf8.ValidString(escaped) {
		return escaped
	}
	return repair(unescape(escaped, ' '))
}

// Key is [Text] for a value in which "+" is itself: that of a parameter whose clients forget
// to escape it, and which has no spaces.
func Key(escaped string) string {
	if !isEscaped(escaped) && utf8.ValidString(escaped) {
		return escaped
	}
	return repair(unescape(escaped, '+'))
}

// Valid reports whether the text of all names and values of a query is UTF-8, so that
// nothing of it is replaced.
func Valid(query string) bool {
	var character [utf8.UTFMax]byte
	n := 0
	for query != "" {
		c, size := query[0], 1
		if b, ok := escapedByte(query); ok {
			c, size = b, len(`%00`)
		}
		query = query[size:]
		character[n] = c
		if n++; !utf8.FullRune(character[:n]) {
			continue
		}
		if r, size := utf8.DecodeRune(character[:n]); r == utf8.RuneError && size == 1 {
			return false
		}
		n = 0
	}
	return n == 0
}

// HasBadEscape reports whether a "%" begins no escape.
func HasBadEscape(escaped string) bool {
	for i := range len(escaped) {
		if _, ok := escapedByte(escaped[i:]); escaped[i] == '%' && !ok {
			return true
		}
	}
	return false
}

func isEscaped(text string) bool { return strings.ContainsAny(text, "%+") }

// unescape replaces escapes, and "+" by a byte.
func unescape(escaped string, plus byte) string {
	var text strings.Builder
	text.Grow(len(escaped))
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if b, ok := escapedByte(escaped[i:]); ok {
			c = b
			i += len(`00`)
		} else if c == '+' {
			c = plus
		}
		text.WriteByte(c)
	}
	return text.String()
}

// escapedByte returns the byte whose escape a text begins with.
func escapedByte(text string) (byte, bool) {
	if len(text) < len(`%00`) || text[0] != '%' {
		return 0, false
	}
	high, low := hexDigit(text[1]), hexDigit(text[2])
	return high<<4 | low, high < 16 && low < 16
}

// hexDigit returns the value of a digit, 16 or more for a byte that is none.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// repair returns text in which each sequence of bytes that is not UTF-8 is U+FFFD. A
// character that is cut off is one such sequence.
func repair(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	b.Grow(len(text) + utf8.UTFMax)
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && size == 1 {
			size = cutOff(text)
		}
		b.WriteRune(r)
		text = text[size:]
	}
	return b.String()
}

// cutOff returns how many bytes at the start of a text, at least one, begin a character that
// does not go on.
func cutOff(text string) int {
	n := 1
	for n < len(text) && n < utf8.UTFMax && beginsCharacter(text[:n+1]) {
		n++
	}
	return n
}

// beginsCharacter reports whether more bytes could make a character of text.
func beginsCharacter(text string) bool {
	if !utf8.FullRuneInString(text) {
		return true
	}
	r, size := utf8.DecodeRuneInString(text)
	return r != utf8.RuneError || size == len(text)
}
