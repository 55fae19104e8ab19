package inlet

import "time"

// isoLayouts are the forms of ISO 8601 in which clients write a time, beside
// RFC 3339: with a zone without a colon, without a zone, with a space for the T,
// without a time. Fractions of any length are part of each.
var isoLayouts = [...]struct {
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

// longestTime is beyond the length of any of the forms.
const longestTime = 64

// parseTime reads a time as clients write it. A time without a zone is taken as
// UTC, which guessed says. The result is in UTC and within the years 1 to 9999,
// which is what RFC 3339 can say of it again.
func parseTime(text []byte) (t time.Time, guessed, ok bool) {
	if len(text) > longestTime {
		return t, false, false
	}
	if t, err := time.Parse(time.RFC3339, string(text)); err == nil {
		return inYears(t, false)
	}
	for _, form := range isoLayouts {
		if t, err := time.Parse(form.layout, string(text)); err == nil {
			return inYears(t, !form.zoned)
		}
	}
	return t, false, false
}

func inYears(t time.Time, guessed bool) (time.Time, bool, bool) {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, false, false
	}
	return t, guessed, true
}

// parseUnix reads a number as milliseconds or, if it is too small for that, as
// seconds since 1970. What is neither by any likelihood is refused.
func parseUnix(digits []byte) (time.Time, bool) {
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
