package wire

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// mending replaces broken text in a valid body: each byte of invalid UTF-8 and
// each half of a surrogate pair becomes U+FFFD. It remembers where.
type mending struct {
	received int // length of the body as it came
	mended   []byte
	repairs  []uint32 // where in mended, ascending
}

// growth is by how much the text grows with each byte replaced. An escape that
// is replaced keeps its length.
const growth = len("\uFFFD") - 1

func (m *mending) reset() {
	m.received, m.mended, m.repairs = 0, m.mended[:0], m.repairs[:0]
}

// text returns body, or a repaired copy of it that is good until reset.
func (m *mending) text(body []byte) []byte {
	m.received = len(body)
	if !broken(body) {
		return body
	}
	for i := 0; i < len(body); {
		switch c := body[i]; {
		case c == '\\':
			n, whole := escape(body[i:])
			m.put(body[i:i+n], whole, `\ufffd`)
			i += n
		case c < utf8.RuneSelf:
			m.mended = append(m.mended, c)
			i++
		default:
			r, n := utf8.DecodeRune(body[i:])
			m.put(body[i:i+n], r != utf8.RuneError || n > 1, "\uFFFD")
			i += n
		}
	}
	return m.mended
}

func (m *mending) put(text []byte, whole bool, replacement string) {
	if whole {
		m.mended = append(m.mended, text...)
		return
	}
	m.repairs = append(m.repairs, uint32(len(m.mended)))
	m.mended = append(m.mended, replacement...)
}

// within returns how many repairs the text from start to end holds, and by how
// much they made it longer.
func (m *mending) within(start, end int) (repairs, grown int) {
	first, _ := slices.BinarySearch(m.repairs, uint32(start))
	for _, at := range m.repairs[first:] {
		if int(at) >= end {
			break
		}
		repairs++
		if m.mended[at] != '\\' {
			grown += growth
		}
	}
	return repairs, grown
}

// broken reports whether text holds invalid UTF-8 or half a surrogate pair. Both
// checks run at memory speed on text that has neither escapes nor such bytes.
func broken(text []byte) bool {
	if !utf8.Valid(text) {
		return true
	}
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return false
		}
		n, whole := escape(text[i:])
		if !whole {
			return true
		}
		text = text[i+n:]
	}
}

// escape returns the length of the escape, or pair of them, at the beginning of
// text, and false if it is half a surrogate pair.
func escape(text []byte) (n int, whole bool) {
	r, ok := unicodeEscape(text)
	switch {
	case !ok:
		return min(2, len(text)), true
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
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		default:
			c = c&^0x20 - 'A' + 10
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
