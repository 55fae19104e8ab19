package timestamp

import (
	"bytes"
	"strconv"
	"time"
)

// A Unit is that of a number since 1970.
type Unit uint8

// The units, each of them 1,000 of the next.
const (
	Seconds Unit = iota
	Milliseconds
	Microseconds
	Nanoseconds
)

// ParseUnix reads a number as the time since 1970. Its size tells the unit: from 1e8 on it is
// in seconds, from 1e11 in milliseconds, from 1e14 to 1e16 in microseconds, and from 1e18 to
// 1e19 in nanoseconds. All of these are after March 1973. Any other number is more likely a
// mistake than a time, and is not ok: the ticks of Windows and .NET and dates without
// separators are among them. Fractions are kept to the nanosecond, and an exponent as JSON has
// it is read. The result is in UTC.
func ParseUnix(number []byte) (t time.Time, unit Unit, ok bool) {
	var memory [2 * maxNumber]byte // of the stack
	digits, point, ok := decimal(memory[:0], number)
	switch {
	case !ok, point < 9:
		return t, 0, false
	case point <= 11:
		unit = Seconds
	case point <= 14:
		unit = Milliseconds
	case point <= 16:
		unit = Microseconds
	case point == 19:
		unit = Nanoseconds
	default:
		return t, 0, false
	}
	whole := point - 3*int(unit) // the digits of the seconds
	for len(digits) < whole+9 {
		digits = append(digits, '0')
	}
	return time.Unix(valueOf(digits[:whole]), valueOf(digits[whole:whole+9])).UTC(), unit, true
}

// valueOf returns the value of at most 18 digits.
func valueOf(digits []byte) (value int64) {
	for _, c := range digits {
		value = value*10 + int64(c-'0')
	}
	return value
}

// maxNumber is the length of the longest number that is read.
const maxNumber = 40

// decimal appends the digits of a number above zero, without leading zeros, and returns how many
// of them, or of zeros to be appended, are before the point.
func decimal(digits, number []byte) (_ []byte, point int, ok bool) {
	if len(number) > maxNumber {
		return nil, 0, false
	}
	mantissa, exponent := number, 0
	if e := bytes.IndexAny(number, "eE"); e >= 0 {
		n, err := strconv.ParseInt(string(number[e+1:]), 10, 8)
		if err != nil {
			return nil, 0, false
		}
		mantissa, exponent = number[:e], int(n)
	}
	whole, fraction, pointed := bytes.Cut(mantissa, []byte("."))
	if len(whole) == 0 || pointed && len(fraction) == 0 || !isAll(whole, isDigit) || !isAll(fraction, isDigit) {
		return nil, 0, false
	}
	digits = append(append(digits, whole...), fraction...)
	point = len(whole) + exponent
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
		point--
	}
	return digits, point, len(digits) > 0
}
