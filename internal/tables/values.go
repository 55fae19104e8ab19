package tables

import (
	"bytes"
	"strconv"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// A Type is what a column holds.
type Type uint8

// The types.
const (
	Text Type = iota + 1
	Bool
	Int     // 64 bits
	Float   // 64 bits, for numbers that it holds exactly, to the last decimal digit
	Decimal // a number of any size and precision
	Time    // to the microsecond
	JSON    // an array
)

// typeOf returns the type of the column whose first value is raw, which is neither null nor an
// object.
func (o *Options) typeOf(raw []byte) Type {
	switch wire.Kind(raw) {
	case 't', 'f':
		return Bool
	case '[':
		return JSON
	case '"':
		if _, ok := parseTime(raw); ok && o.Times {
			return Time
		}
		return Text
	}
	if o.Decimals {
		return Decimal
	}
	if _, ok := parseInt(raw); ok && bytes.IndexByte(raw, '.') < 0 {
		return Int
	}
	if _, ok := parseFloat(raw); ok {
		return Float
	}
	return Decimal
}

// put gives a value to its column, if that holds it exactly.
func put(out Rows, at int, c *Column, raw []byte) (ok bool) {
	kind := wire.Kind(raw)
	switch c.Type {
	case Text:
		if ok = kind == '"'; ok {
			out.Text(at, c, raw)
		}
	case Bool:
		if ok = kind == 't' || kind == 'f'; ok {
			out.Bool(at, c, kind == 't')
		}
	case Int:
		var n int64
		if n, ok = parseInt(raw); ok {
			out.Int(at, c, n)
		}
	case Float:
		var f float64
		if f, ok = parseFloat(raw); ok {
			out.Float(at, c, f)
		}
	case Time:
		var t time.Time
		if t, ok = parseTime(raw); ok {
			out.Time(at, c, t)
		}
	case Decimal:
		if ok = wire.IsNumber(raw); ok {
			out.JSON(at, c, raw)
		}
	case JSON:
		if ok = kind == '['; ok {
			out.JSON(at, c, raw)
		}
	}
	return ok
}

// parseInt returns a whole number that has 64 bits. It may be written with a fraction of zeros.
// "-0" is none: it would lose its sign.
func parseInt(raw []byte) (n int64, ok bool) {
	if !wire.IsNumber(raw) {
		return 0, false
	}
	if whole, fraction, found := bytes.Cut(raw, []byte(".")); found {
		if len(bytes.TrimLeft(fraction, "0")) > 0 {
			return 0, false
		}
		raw = whole
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil && (n != 0 || raw[0] != '-')
}

// maxPlainDigits is how many significant digits a float64 always holds.
const maxPlainDigits = 15

// parseFloat returns a number that a float64 holds to the last decimal digit: written in the
// shortest form, it is the same number.
func parseFloat(raw []byte) (f float64, ok bool) {
	if !wire.IsNumber(raw) {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, false
	}
	if len(raw) <= maxPlainDigits && !bytes.ContainsAny(raw, "eE") {
		return f, true
	}
	var buf [32]byte
	want, wantExponent, ok := decimal(raw)
	got, gotExponent, _ := decimal(strconv.AppendFloat(buf[:0], f, 'e', -1, 64))
	return f, ok && bytes.Equal(want, got) && wantExponent == gotExponent
}

// decimal returns a number as its significant digits, without zeros around them, and the power of
// ten of the last one. It fails if the exponent is beyond any that a float64 has.
func decimal(raw []byte) (digits []byte, exponent int, ok bool) {
	mantissa := bytes.TrimPrefix(raw, []byte("-"))
	if e := bytes.IndexAny(mantissa, "eE"); e >= 0 {
		n, err := strconv.Atoi(string(bytes.TrimPrefix(mantissa[e+1:], []byte("+"))))
		if err != nil || n > 1_000_000 || n < -1_000_000 {
			return nil, 0, false
		}
		mantissa, exponent = mantissa[:e], n
	}
	whole, fraction, _ := bytes.Cut(mantissa, []byte("."))
	digits = append(append(digits, whole...), fraction...)
	exponent -= len(fraction)
	digits = bytes.TrimLeft(digits, "0")
	trimmed := bytes.TrimRight(digits, "0")
	exponent += len(digits) - len(trimmed)
	if len(trimmed) == 0 {
		exponent = 0
	}
	return trimmed, exponent, true
}

// parseTime returns the time of a JSON string in the form of RFC 3339, if microseconds hold it.
func parseTime(raw []byte) (t time.Time, ok bool) {
	if wire.Kind(raw) != '"' || len(raw) < len(`"2006-01-02T15:04:05Z"`) || len(raw) > 40 {
		return t, false
	}
	text, ok := wire.Plain(raw)
	if !ok || !isRFC3339(text) {
		return t, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(text))
	return t, err == nil && t.Nanosecond()%1000 == 0 && t.UTC().Year() >= 1 && t.UTC().Year() <= 9999
}

// isRFC3339 reports whether a text has the outer form, which [time.Parse] does not insist on: it
// takes a comma for a dot, and ignores digits after the ninth.
func isRFC3339(text []byte) bool {
	const seconds = len("2006-01-02T15:04:05")
	fraction := bytes.TrimRight(bytes.TrimLeft(text[seconds:], "."), "Z")
	if end := bytes.IndexAny(fraction, "+-"); end >= 0 {
		fraction = fraction[:end]
	}
	return text[4] == '-' && text[7] == '-' && text[10] == 'T' && text[13] == ':' && text[16] == ':' &&
		len(fraction) <= 9 && bytes.IndexByte(text, ',') < 0
}

// AppendText appends the text of a JSON string. It reports whether the text is written as it is,
// without escapes, so that it has no control characters.
func AppendText(dst, quoted []byte) (_ []byte, plain bool) {
	text, plain := wire.Plain(quoted)
	if plain {
		return append(dst, text...), true
	}
	return wire.AppendText(dst, quoted), false
}
