package commandersact

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/inlet-go/inlet/internal/timestamp"
	"github.com/inlet-go/inlet/internal/wire"
)

// The range of numbers that are milliseconds since 1970. Smaller ones are seconds or
// nothing, so 2.0 cannot express a time before minMilli (1973).
const (
	minMilli = 1e11
	maxMilli = 1e14
)

// ReadTime reads a time as clients of either version write it: milliseconds or seconds
// as a number or as digits in a string, or ISO 8601. The code is "" for an unambiguous
// time, CodeTimestampSeconds or CodeTimestampZone for one whose unit or zone was
// guessed, CodeTimestampMissing for null, "" and no value, and CodeTimestampInvalid for
// any other value. The time is in UTC, and zero if it is missing or invalid.
func ReadTime(raw []byte) (time.Time, Code) {
	kind := wire.Kind(raw)
	switch {
	case kind == 0, kind == 'n', string(raw) == `""`:
		return time.Time{}, CodeTimestampMissing
	case kind == '"':
		return readTimeText(raw)
	case '0' <= kind && kind <= '9':
		if t, code := readUnixTime(raw); code != CodeTimestampInvalid {
			return t, code
		}
		return readFraction(raw)
	}
	return time.Time{}, CodeTimestampInvalid
}

func readTimeText(raw []byte) (time.Time, Code) {
	text, plain := wire.Plain(raw)
	if !plain {
		text = wire.AppendText(nil, raw)
	}
	if t, code := readUnixTime(text); code != CodeTimestampInvalid {
		return t, code
	}
	return readISOTime(text)
}

func readISOTime(text []byte) (time.Time, Code) {
	t, guessed, ok := timestamp.Parse(text)
	switch ms := t.UnixMilli(); {
	case !ok, ms < minMilli, ms >= maxMilli:
		return time.Time{}, CodeTimestampInvalid
	case guessed:
		return t, CodeTimestampZone
	}
	return t, ""
}

func readUnixTime(digits []byte) (time.Time, Code) {
	t, ok := timestamp.ParseUnix(digits)
	switch {
	case !ok:
		return time.Time{}, CodeTimestampInvalid
	case len(bytes.TrimLeft(digits, "0")) < len("100000000000"): // minMilli
		return t, CodeTimestampSeconds
	}
	return t, ""
}

// readFraction reads a number with a fraction or an exponent.
func readFraction(number []byte) (time.Time, Code) {
	v, err := strconv.ParseFloat(string(number), 64)
	switch {
	case err != nil:
	case minMilli <= v && v < maxMilli:
		return time.UnixMilli(int64(v)).UTC(), ""
	case minMilli/1e3 <= v && v < minMilli:
		return time.UnixMilli(int64(math.Round(v * 1e3))).UTC(), CodeTimestampSeconds
	}
	return time.Time{}, CodeTimestampInvalid
}

// isMillis reports whether a value is a time in milliseconds of 13 digits, as 2.0 has
// it. This is the common case: such a time is copied without being parsed.
func isMillis(raw []byte) bool {
	if len(raw) != len("1000000000000") || raw[0] == '0' {
		return false
	}
	for _, c := range raw {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
