// Package timestamp reads times as clients write them: ISO 8601 in its many forms, and
// numbers since 1970 whose unit has to be guessed.
package timestamp

import (
	"bytes"
	"time"
)

// maxLength is more than the length of any of the forms, so that longer text is rejected
// without reading it.
const maxLength = 64

// Parse reads a time in one of the forms of ISO 8601 that clients write. A time without a
// zone is read as UTC, and guessed reports that. The result is in UTC and within the years
// 1 to 9999, the range that RFC 3339 can express. Text that is longer than 64 bytes is not a
// time.
//
// A date is a day of a month (2026-11-20), of a year (2026-324) or of a week (2026-W47-5),
// with or without the hyphens; a day of a year without them needs a time of day, since it is
// a number otherwise. A time of day follows a "T", a "t" or spaces, with or without colons,
// to the second, the minute or the hour, the last of them with a fraction behind a point or
// a comma. Second 60 is the first of the next minute, and 24:00 the first of the next day. A
// zone is "Z", "z", "UTC", "GMT" or an offset with or without its colon and minutes, which
// an abbreviation or a name in brackets may follow. An offset behind a space is positive, and
// guessed: a form makes a space of a "+" that is not escaped. The first moment of the year 1, in
// any zone, is the zero Time: libraries send it for a time that was never set.
func Parse(text []byte) (t time.Time, guessed, ok bool) {
	if len(text) > maxLength {
		return t, false, false
	}
	if t, ok = ParseUsual(text); ok {
		return t, false, true
	}
	if t, err := time.Parse(time.RFC3339, string(text)); err == nil {
		_, seconds := t.Zone()
		return inRange(t, time.Duration(seconds)*time.Second, false)
	}
	r := reader{rest: bytes.Trim(text, white)}
	t, needsTime := r.date()
	zoned, offset := false, time.Duration(0)
	if len(r.rest) > 0 && !r.failed {
		t = t.Add(r.clock())
		offset, zoned = r.zone()
		t = t.Add(-offset)
	} else if needsTime {
		r.failed = true
	}
	if r.failed || len(r.rest) > 0 {
		return time.Time{}, false, false
	}
	return inRange(t, offset, !zoned)
}

// The form in which most libraries write a time, and the one without milliseconds.
const (
	usualForm = "2006-01-02T15:04:05.000Z"
	shortForm = "2006-01-02T15:04:05Z"
)

// ParseUsual reads a time in one of the usual forms, many times as fast as time.Parse. It
// reads none that [Parse] reads as anything else, and not all.
func ParseUsual(s []byte) (t time.Time, ok bool) {
	last := len(s) - 1
	if last != len(usualForm)-1 && last != len(shortForm)-1 || s[4] != '-' || s[7] != '-' || s[10] != 'T' ||
		s[13] != ':' || s[16] != ':' || s[last] != 'Z' {
		return t, false
	}
	year, month, day := 100*pair(s[0], s[1])+pair(s[2], s[3]), pair(s[5], s[6]), pair(s[8], s[9])
	hour, minute, second, milli := pair(s[11], s[12]), pair(s[14], s[15]), pair(s[17], s[18]), uint(0)
	if last == len(usualForm)-1 {
		if milli = 10*pair(s[20], s[21]) + pair('0', s[22]); s[19] != '.' || milli > 999 {
			return t, false
		}
	}
	// The year of the zero Time is left to Parse.
	if year < 2 || year > 9999 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return t, false
	}
	if day > uint(monthDays[month-1]) { // also the leap day, which is left to time.Parse
		return t, false
	}
	seconds := 86_400*daysSince1970(year, month, day) + int64(3600*hour+60*minute+second)
	return time.Unix(seconds, int64(milli)*1e6).UTC(), true
}

// monthDays is how many days a month has at least.
const monthDays = "\x1f\x1c\x1f\x1e\x1f\x1e\x1f\x1f\x1e\x1f\x1e\x1f"

// pair returns the number that two digits are, and a large one for other bytes.
func pair(tens, units byte) uint {
	tens -= '0'
	units -= '0'
	if tens > 9 || units > 9 {
		return 1 << 20
	}
	return 10*uint(tens) + uint(units)
}

// daysSince1970 returns the days from the first of January 1970 to a day from the year 2 on. It
// counts years from March on, so that a leap day is the last day of one: 153 days are the five
// months from March to July, and again those from August to December.
func daysSince1970(year, month, day uint) int64 {
	if month < 3 {
		year--
		month += 12
	}
	leapDays := year/4 - year/100 + year/400
	return int64(365*year+leapDays+(153*month-457)/5+day) - 719_469
}

// white is what may surround a time.
const white = " \t\r\n"

// inRange returns the result of Parse for a time in a zone of an offset: not ok if RFC 3339 cannot
// express it.
func inRange(t time.Time, offset time.Duration, guessed bool) (_ time.Time, _, ok bool) {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, false, false
	}
	if t.Add(offset).IsZero() {
		return time.Time{}, guessed, true
	}
	return t, guessed, true
}

// A reader reads the parts of a time from the front of a text.
type reader struct {
	rest   []byte
	failed bool
}

// skip reads a byte that may be there, and reports whether it was.
func (r *reader) skip(c byte) bool {
	if len(r.rest) == 0 || r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

// digits returns how many digits come next.
func (r *reader) digits() int {
	n := 0
	for n < len(r.rest) && isDigit(r.rest[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// number reads a number of n digits, which must be from lowest to highest.
func (r *reader) number(n, lowest, highest int) int {
	if r.digits() < n {
		r.failed = true
		return 0
	}
	value := 0
	for _, c := range r.rest[:n] {
		value = value*10 + int(c-'0')
	}
	r.rest = r.rest[n:]
	r.failed = r.failed || value < lowest || value > highest
	return value
}

// date reads a date, and reports whether it is one only if a time of day follows.
func (r *reader) date() (day time.Time, needsTime bool) {
	year := r.number(4, 0, 9999)
	dashed := r.skip('-')
	switch n := r.digits(); {
	case r.skip('W'):
		return r.week(year, dashed), false
	case n == 3:
		return r.dayOfYear(year), !dashed
	}
	month := r.number(2, 1, 12)
	if dashed && !r.skip('-') {
		r.failed = true
	}
	dayOfMonth := r.number(2, 1, 31)
	day = time.Date(year, time.Month(month), dayOfMonth, 0, 0, 0, 0, time.UTC)
	r.failed = r.failed || day.Day() != dayOfMonth
	return day, false
}

func (r *reader) dayOfYear(year int) time.Time {
	day := time.Date(year, 1, r.number(3, 1, 366), 0, 0, 0, 0, time.UTC)
	r.failed = r.failed || day.Year() != year
	return day
}

// week reads a day of a week: Monday is 1, and the first week has the fourth of January.
func (r *reader) week(year int, dashed bool) time.Time {
	week := r.number(2, 1, 53)
	if dashed && !r.skip('-') {
		r.failed = true
	}
	weekday := r.number(1, 1, 7)
	fourth := time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC)
	sinceMonday := (int(fourth.Weekday()) + 6) % 7
	monday := fourth.AddDate(0, 0, 7*(week-1)-sinceMonday)
	of, _ := monday.ISOWeek()
	r.failed = r.failed || of != year
	return monday.AddDate(0, 0, weekday-1)
}

// clock reads a time of day, as the time since midnight.
func (r *reader) clock() time.Duration {
	if r.rest[0] == ' ' {
		r.rest = bytes.TrimLeft(r.rest, " ")
	} else if !r.skip('T') && !r.skip('t') {
		r.failed = true
	}
	unit, at := time.Hour, r.hour()
	last := at == 24*time.Hour
	colons := r.skip(':')
	if colons || r.digits() > 0 {
		unit = time.Minute
		at += time.Duration(r.number(2, 0, 59)) * unit
		if colons && r.skip(':') || !colons && r.digits() > 0 {
			unit = time.Second
			at += time.Duration(r.number(2, 0, 60)) * unit
		}
	}
	if r.skip('.') || r.skip(',') {
		at += r.fraction(unit)
	}
	r.failed = r.failed || last && at != 24*time.Hour
	return at
}

// hour reads an hour, which has one digit in some texts with colons.
func (r *reader) hour() time.Duration {
	n := 2
	if r.digits() == 1 && len(r.rest) > 1 && r.rest[1] == ':' {
		n = 1
	}
	return time.Duration(r.number(n, 0, 24)) * time.Hour
}

// fraction reads the digits of a fraction of a unit.
func (r *reader) fraction(unit time.Duration) time.Duration {
	n := r.digits()
	r.failed = r.failed || n == 0
	var sum time.Duration
	for _, c := range r.rest[:n] {
		unit /= 10
		sum += time.Duration(c-'0') * unit
	}
	r.rest = r.rest[n:]
	return sum
}

// zone reads what follows a time of day, and reports whether it names a zone.
func (r *reader) zone() (offset time.Duration, zoned bool) {
	spaced := r.skip(' ')
	r.rest = bytes.TrimLeft(r.rest, " ")
	switch {
	case len(r.rest) == 0:
		return 0, false
	case spaced && r.digits() > 0:
		return r.hours(14), false
	case r.skip('Z'), r.skip('z'):
	case string(r.rest) == "UTC", string(r.rest) == "GMT":
		r.rest = nil
	default:
		offset = r.offset()
	}
	r.zoneName()
	return offset, true
}

func (r *reader) offset() time.Duration {
	sign := time.Duration(1)
	if r.skip('-') {
		sign = -1
	} else if !r.skip('+') {
		r.failed = true
	}
	return sign * r.hours(23)
}

// hours reads an offset without its sign.
func (r *reader) hours(highest int) time.Duration {
	offset := time.Duration(r.number(2, 0, highest)) * time.Hour
	if r.skip(':') || r.digits() > 0 {
		offset += time.Duration(r.number(2, 0, 59)) * time.Minute
	}
	return offset
}

// zoneName reads the name of a zone whose offset is known: an abbreviation behind a space, which
// may be the offset again, or a name in brackets.
func (r *reader) zoneName() {
	if name, ok := bytes.CutPrefix(r.rest, []byte(" ")); ok && len(name) > 0 {
		if isAll(name, isUpper) || len(name) > 1 && (name[0] == '+' || name[0] == '-') && isAll(name[1:], isDigit) {
			r.rest = nil
		}
	}
	if name, ok := bytes.CutPrefix(r.rest, []byte("[")); ok {
		if name, ok = bytes.CutSuffix(name, []byte("]")); ok && len(name) > 0 && isAll(name, isNamePart) {
			r.rest = nil
		}
	}
}

func isAll(text []byte, of func(byte) bool) bool {
	for _, c := range text {
		if !of(c) {
			return false
		}
	}
	return true
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

// isNamePart reports whether c may be in the name of a zone, such as America/New_York or +01:00.
func isNamePart(c byte) bool {
	return isUpper(c) || isDigit(c) || 'a' <= c && c <= 'z' || bytes.IndexByte([]byte("/_+-:"), c) >= 0
}
