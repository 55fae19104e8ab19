package schema

import (
	"bytes"
	"math/bits"
	"strconv"
)

// A decimal is a number as it is written, without its value being computed: numbers are compared
// by their digits, so that none is rounded. It is a slice of the text.
type decimal struct {
	negative bool
	digits   []byte // from the first one that is not 0 to the last one, with the point if that is between them; none for 0
	count    int    // of the digits
	lead     int64  // the number is 0.digits × 10^lead
}

// maxExponent is beyond all exponents of a schema. Those of events that are larger compare as
// this one does.
const maxExponent = int64(1e17)

// parseDecimal reads a JSON number. Any text gives some number.
func parseDecimal(text []byte) (d decimal) {
	i := 0
	if i < len(text) && text[i] == '-' {
		d.negative = true
		i++
	}
	first, last := -1, -1                // where the first and the last digit are that are not 0
	before, leading, trailing := 0, 0, 0 // digits before the point, and zeros around
	point := false
	for ; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '.':
			point = true
			continue
		case c < '0' || c > '9':
		case c == '0' && first < 0:
			leading++
		case c == '0':
			trailing++
			d.count++
		default:
			if first < 0 {
				first = i
			}
			last, trailing = i, 0
			d.count++
		}
		if c < '0' || c > '9' {
			break
		}
		if !point {
			before++
		}
	}
	if first < 0 {
		return decimal{}
	}
	d.digits, d.count = text[first:last+1], d.count-trailing
	d.lead = int64(before-leading) + parseExponent(text[i:])
	return d
}

// parseExponent reads what is behind the digits of a number.
func parseExponent(text []byte) (e int64) {
	if len(text) == 0 {
		return 0
	}
	text = text[1:]
	negative := len(text) > 0 && text[0] == '-'
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		text = text[1:]
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			break
		}
		if e = e*10 + int64(c-'0'); e >= maxExponent {
			e = maxExponent
			break
		}
	}
	if negative {
		return -e
	}
	return e
}

// isInteger reports whether a number is whole, however it is written.
func (d *decimal) isInteger() bool { return d.count == 0 || d.lead >= int64(d.count) }

// compare returns -1, 0 or 1 as a is less than b, equal or more.
func compare(a, b *decimal) int {
	switch {
	case a.count == 0 && b.count == 0:
		return 0
	case a.count == 0:
		return sign(!b.negative)
	case b.count == 0:
		return sign(a.negative)
	case a.negative != b.negative:
		return sign(a.negative)
	}
	switch m := compareMagnitude(a, b); {
	case m == 0:
		return 0
	default:
		return sign(m < 0 != a.negative)
	}
}

// sign returns -1 for less, and else 1.
func sign(less bool) int {
	if less {
		return -1
	}
	return 1
}

func compareMagnitude(a, b *decimal) int {
	if a.lead != b.lead {
		return sign(a.lead < b.lead)
	}
	i, j := 0, 0
	for i < len(a.digits) && j < len(b.digits) {
		switch x, y := a.digits[i], b.digits[j]; {
		case x == '.':
			i++
		case y == '.':
			j++
		case x != y:
			return sign(x < y)
		default:
			i++
			j++
		}
	}
	if i == len(a.digits) && j == len(b.digits) {
		return 0
	}
	return sign(i == len(a.digits))
}

// appendKey appends a text that is the same for equal numbers.
func (d *decimal) appendKey(dst []byte) []byte {
	if d.count == 0 {
		return append(dst, '0')
	}
	if d.negative {
		dst = append(dst, '-')
	}
	if point := bytes.IndexByte(d.digits, '.'); point >= 0 {
		dst = append(append(dst, d.digits[:point]...), d.digits[point+1:]...)
	} else {
		dst = append(dst, d.digits...)
	}
	return strconv.AppendInt(append(dst, 'e'), d.lead, 10)
}

// A divisor is what numbers must be multiples of: units × 10^exponent.
type divisor struct {
	units    uint64
	exponent int64
}

// maxDivisorDigits is how many digits a divisor may have, so that remainders fit in a word.
const maxDivisorDigits = 18

func newDivisor(d *decimal) (v divisor, ok bool) {
	if d.count == 0 || d.negative || d.count > maxDivisorDigits {
		return v, false
	}
	for _, c := range d.digits {
		if c != '.' {
			v.units = v.units*10 + uint64(c-'0')
		}
	}
	v.exponent = d.lead - int64(d.count)
	return v, true
}

// divides reports whether a number is a multiple. It takes a step for each digit that is written.
//
// The digits of d are not a multiple of ten. So, if the number has a lower digit than the divisor,
// it is no multiple. Otherwise it is its digits times a power of ten, of which more than 64 zeros
// do not matter: the divisor has fewer factors of two and of five.
func (v divisor) divides(d *decimal) bool {
	if d.count == 0 {
		return true
	}
	zeros := d.lead - int64(d.count) - v.exponent
	if zeros < 0 {
		return false
	}
	var rest uint64
	for _, c := range d.digits {
		if c != '.' {
			rest = (rest*10 + uint64(c-'0')) % v.units // below 10^19, which fits
		}
	}
	for range min(zeros, 64) {
		high, low := bits.Mul64(rest, 10)
		_, rest = bits.Div64(high, low, v.units)
	}
	return rest == 0
}
