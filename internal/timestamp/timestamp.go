// Package timestamp reads times as clients write them: ISO 8601 in several forms, and
// numbers since 1970 whose unit has to be guessed.
package timestamp

import "time"

// layouts are the forms of ISO 8601 in which clients write a time, in addition to RFC
// 3339: with a zone without a colon, without a zone, with a space instead of the T,
// without a time of day. Each of them accepts fractions of a second of any length.
var layouts = [...]struct {
	layout string
	zoned  bool
}{
	{"2006-01-02T15:04:05Z0700", true},
	{"2006-01-02 15:04:05Z07:00", true},
	{"2006-01-02T15:04:05", false},
	{"2006-01-02 15:04:05", false},
	{"2006-01-02T15:04Z07:00", true},
	{"2006-01-02T15:04", false},
	{"2006-01-02", false},
}

// maxLength is more than the length of any of the forms, so that longer text is rejected
// without trying them.
const maxLength = 64

// Parse reads a time in one of the forms of ISO 8601. A time without a zone is read as
// UTC, and guessed reports that. The result is in UTC and within the years 1 to 9999,
// the range that RFC 3339 can express. Text that is longer than 64 bytes is not a time.
func Parse(text []byte) (t time.Time, guessed, ok bool) {
	if len(text) > maxLength {
		return t, false, false
	}
	if t, err := time.Parse(time.RFC3339, string(text)); err == nil {
		return inRange(t, false)
	}
	for _, form := range layouts {
		if t, err := time.Parse(form.layout, string(text)); err == nil {
			return inRange(t, !form.zoned)
		}
	}
	return t, false, false
}

// inRange returns the result of Parse for a time: not ok if RFC 3339 cannot express it.
func inRange(t time.Time, guessed bool) (_ time.Time, _, ok bool) {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, false, false
	}
	return t, guessed, true
}

// ParseUnix reads a string of digits as milliseconds since 1970, or as seconds if the
// number is too small for milliseconds: 1e11 to 1e14 are milliseconds, 1e8 to 1e11
// seconds. Any other number is more likely a mistake than a time, and is not ok. The
// result is in UTC.
func ParseUnix(digits []byte) (time.Time, bool) {
	var n int64
	for _, c := range digits {
		if c < '0' || c > '9' || n > 1e15 {
			return time.Time{}, false
		}
		n = n*10 + int64(c-'0')
	}
	switch {
	case 1e11 <= n && n < 1e14:
		return time.UnixMilli(n).UTC(), true
	case 1e8 <= n && n < 1e11:
		return time.Unix(n, 0).UTC(), true
	}
	return time.Time{}, false
}
