package wire

import (
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

// text returns a repaired copy of body, which is valid JSON. It is good until
// reset.
func (m *mending) text(body []byte) []byte {
	for i := 0; i < len(body); {
		switch c := body[i]; {
		case c == '\\':
			n, whole := escape(body[i:])
			m.put(body[i:i+n], whole, `\ufffd`)
			i += n
		case c < utf8.RuneSelf:
			end := plainASCII(body, i)
			m.mended = append(m.mended, body[i:end]...)
			i = end
		default:
			r, n := utf8.DecodeRune(body[i:])
			m.put(body[i:i+n], r != utf8.RuneError || n > 1, "\uFFFD")
			i += n
		}
	}
	return m.mended
}

// plainASCII returns the end of the run of ASCII without escapes that begins at
// i.
func plainASCII(text []byte, i int) int {
	for i < len(text) && text[i] < utf8.RuneSelf && text[i] != '\\' {
		i++
	}
	return i
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
