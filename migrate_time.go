package inlet

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// Numbers below leastMilli are no milliseconds, but seconds or nothing: so no
// time before it can be said in milliseconds.
const (
	leastMilli = 1e11
	mostMilli  = 1e14
)

// readCommandersActTime returns a time and what there is to say of it: nothing,
// that its unit or zone was guessed, that it is missing or invalid.
func readCommandersActTime(raw []byte) (time.Time, MigrationCode) {
	kind := wire.Kind(raw)
	switch {
	case kind == 0, kind == 'n', string(raw) == `""`:
		return time.Time{}, MigrationTimestampMissing
	case kind == '"':
		return readTimeText(raw)
	case '0' <= kind && kind <= '9':
		if t, code := readUnixTime(raw); code != MigrationTimestampInvalid {
			return t, code
		}
		return readFraction(raw)
	}
	return time.Time{}, MigrationTimestampInvalid
}

func readTimeText(raw []byte) (time.Time, MigrationCode) {
	text, plain := wire.Plain(raw)
	if !plain {
		text = wire.AppendText(nil, raw)
	}
	if t, code := readUnixTime(text); code != MigrationTimestampInvalid {
		return t, code
	}
	return readISOTime(text)
}

func readISOTime(text []byte) (time.Time, MigrationCode) {
	t, guessed, ok := parseTime(text)
	switch ms := t.UnixMilli(); {
	case !ok, ms < leastMilli, ms >= mostMilli:
		return time.Time{}, MigrationTimestampInvalid
	case guessed:
		return t, MigrationTimestampZone
	}
	return t, ""
}

func readUnixTime(digits []byte) (time.Time, MigrationCode) {
	t, ok := parseUnix(digits)
	switch {
	case !ok:
		return time.Time{}, MigrationTimestampInvalid
	case len(bytes.TrimLeft(digits, "0")) < len("100000000000"): // leastMilli
		return t, MigrationTimestampSeconds
	}
	return t, ""
}

// readFraction reads a number that is not just digits.
func readFraction(number []byte) (time.Time, MigrationCode) {
	v, err := strconv.ParseFloat(string(number), 64)
	switch {
	case err != nil:
	case leastMilli <= v && v < mostMilli:
		return time.UnixMilli(int64(v)).UTC(), ""
	case leastMilli/1e3 <= v && v < leastMilli:
		return time.UnixMilli(int64(math.Round(v * 1e3))).UTC(), MigrationTimestampSeconds
	}
	return time.Time{}, MigrationTimestampInvalid
}

// isMillis reports whether a value is a time in milliseconds as 2.0 has it, which
// is most often so. It may miss one.
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
