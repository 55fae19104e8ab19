package wire

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Strings make up most of a payload. Most are short, and there eight bytes at a
// time beat the start-up cost of the library's vectorised search.

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
	word  = 8

	quotes      = ones * '"'
	backslashes = ones * '\\'
)

// specials marks the first quote or backslash in w, and perhaps bytes after it.
func specials(w uint64) uint64 {
	q, b := w^quotes, w^backslashes
	return ((q-ones)&^q | (b-ones)&^b) & highs
}

// scanString returns the end of the string that begins at src[i], a print of
// what it says, and whether it has escapes, in which case the print is void.
func scanString(src []byte, i int) (end int, print uint64, escapes bool) {
	const mix = 0x9e3779b97f4a7c15
	j := i + 1
	for ; j+word <= len(src); j += word {
		w := binary.LittleEndian.Uint64(src[j:])
		m := specials(w)
		if m == 0 {
			print = bits.RotateLeft64((print^w)*mix, 29)
			continue
		}
		n := bits.TrailingZeros64(m) &^ 7
		j += n / word
		if src[j] == '"' {
			return j + 1, (print ^ w&(1<<n-1)) * mix, false
		}
		return stringEnd(src, i), 0, true
	}
	end = stringEnd(src, i)
	text := src[min(j, end) : end-1]
	if bytes.IndexByte(src[i:end], '\\') >= 0 {
		return end, 0, true
	}
	var w uint64
	for k, c := range text {
		w |= uint64(c) << (8 * k)
	}
	return end, (print ^ w) * mix, false
}

// shortString is how far stringEnd looks before it calls for the library.
const shortString = 4 * word

// stringEnd returns the index after the closing quote of the JSON string that
// begins at src[i], or len(src) if it is cut off.
func stringEnd(src []byte, i int) int {
	j := i + 1
	for stop := min(len(src), j+shortString); j+word <= stop; j += word {
		if m := specials(binary.LittleEndian.Uint64(src[j:])); m != 0 {
			j += bits.TrailingZeros64(m) / word
			if src[j] == '"' {
				return j + 1
			}
			break
		}
	}
	for {
		n := bytes.IndexByte(src[j:], '"')
		if n < 0 {
			return len(src)
		}
		j += n
		if src[j-1] != '\\' || !escaped(src[i+1:j]) {
			return j + 1
		}
		j++
	}
}

// escaped reports whether what follows text is escaped: whether text ends in an
// odd number of backslashes.
func escaped(text []byte) bool {
	n := 0
	for n < len(text) && text[len(text)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}
