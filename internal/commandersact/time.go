package commandersact

import (
	"bytes"
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
// as a number or as text, or ISO 8601. The code is "" for an unambiguous time,
// CodeTimestampSeconds or CodeTimestampZone for one whose unit or zone was guessed,
// CodeTimestampMissing for null, blank text, the first moment of the year 1, which libraries
// send for a time that was never set, and no value, and CodeTimestampInvalid for any other
// value. The time is in UTC, and zero if it is missing or invalid.
func ReadTime(raw []byte) (time.Time, Code) {
	switch kind := wire.Kind(raw); {
	case kind == 0, kind == 'n':
		return time.Time{}, CodeTimestampMissing
	case kind == '"':
		return readTimeText(raw)
	}
	return readUnixTime(raw)
}

func readTimeText(raw []byte) (time.Time, Code) {
	text, plain := wire.Plain(raw)
	if !plain {
		text = wire.AppendText(nil, raw)
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return time.Time{}, CodeTimestampMissing
	}
	if t, code := readUnixTime(text); code != CodeTimestampInvalid {
		return t, code
	}
	return readISOTime(text)
}

func readISOTime(text []byte) (time.Time, Code) {
	t, guessed, ok := timestamp.Parse(text)
	switch ms := t.UnixMilli(); {
	case ok && t.IsZero():
		return t, CodeTimestampMissing
	case !ok, ms < minMilli, ms >= maxMilli:
		return time.Time{}, CodeTimestampInvalid
	case guessed:
		return t, CodeTimestampZone
	}
	return t, ""
}

// readUnixTime reads a number of seconds or milliseconds. The documents know no other unit, so
// a larger number is more likely a mistake.
func readUnixTime(number []byte) (time.Time, Code) {
	t, unit, ok := timestamp.ParseUnix(number)
	switch {
	case ok && unit == timestamp.Milliseconds:
		return t, ""
	case ok && unit == timestamp.Seconds:
		return t, CodeTimestampSeconds
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
