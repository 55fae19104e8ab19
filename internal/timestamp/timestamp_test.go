package timestamp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseForms(t *testing.T) {
	t.Parallel()
	for _, form := range forms {
		got, guessed, ok := Parse([]byte(form.text))
		require.Equal(t, form.at != "", ok, form.text)
		require.Equal(t, form.guessed, guessed, form.text)
		if ok {
			require.Equal(t, form.at, got.Format(time.RFC3339Nano), form.text)
		}
	}
}

// forms are texts and the times that they mean, "" for texts that are no time.
var forms = []struct {
	text, at string
	guessed  bool
}{
	// RFC 3339, and what is close to it.
	{"2026-03-01T10:30:15Z", "2026-03-01T10:30:15Z", false},
	{"2026-03-01T10:30:15.25+02:00", "2026-03-01T08:30:15.25Z", false},
	{"2026-03-01T10:30:15+0200", "2026-03-01T08:30:15Z", false},
	{"2026-03-01 10:30:15-01:00", "2026-03-01T11:30:15Z", false},
	{"2026-03-01T10:30+02:00", "2026-03-01T08:30:00Z", false},
	{"2026-03-01T10:30:15.5", "2026-03-01T10:30:15.5Z", true},
	{"2026-03-01 10:30:15", "2026-03-01T10:30:15Z", true},
	{"2026-03-01T10:30", "2026-03-01T10:30:00Z", true},
	{"2026-03-01", "2026-03-01T00:00:00Z", true},
	{"", "", false},
	{"01/03/2026", "", false},
	{"2026-02-30", "", false},
	{"0001-01-01T00:00:00+01:00", "", false},
	{"9999-12-31T23:59:59-01:00", "", false},
	{"2026-03-01T10:30:15." + digits(60), "", false},
	// Offsets.
	{"2026-11-20T14:00:00 02:00", "2026-11-20T12:00:00Z", true},
	{"2026-11-20T14:00:00.5 0530", "2026-11-20T08:30:00.5Z", true},
	{"2026-11-20 14:00 14", "2026-11-20T00:00:00Z", true},
	{"2026-11-20T14:00:00 2026", "", false},
	{"2026-11-20T14:00:00 02:00 CEST", "", false},
	{"2026-11-20T14:00:0002:00", "", false},
	{"2026-11-20 14:00:00.5 +0530 +0530", "2026-11-20T08:30:00.5Z", false},
	{"2026-11-20 14:00:00 -0300 -03", "2026-11-20T17:00:00Z", false},
	{"2026-11-20 14:00:00 -0300 -", "", false},
	{"2026-11-20 14:00:00 -0300 - 03", "", false},
	{"0001-01-01T00:00:00-05:00", "0001-01-01T00:00:00Z", false},
	{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", false},
	{"0001-01-01 00:00:00", "0001-01-01T00:00:00Z", true},
	{"0001-01-02T00:00:00Z", "0001-01-02T00:00:00Z", false},
	// Letters and white space.
	{"2026-11-20t14:00:00z", "2026-11-20T14:00:00Z", false},
	{"2026-11-20t14:00:00+02:00", "2026-11-20T12:00:00Z", false},
	{"2026-11-20 14:00:00z", "2026-11-20T14:00:00Z", false},
	{" 2026-11-20T14:00:00Z\n", "2026-11-20T14:00:00Z", false},
	{"2026-11-20  14:00:00", "2026-11-20T14:00:00Z", true},
	{"2026-11-20TT14:00:00Z", "", false},
	{"2026-11-20_14:00:00Z", "", false},
	{"2026-11-20T", "", false},
	{"2026-11-20 ", "2026-11-20T00:00:00Z", true},
	// Zones.
	{"2026-11-20 14:00:00+00", "2026-11-20T14:00:00Z", false},
	{"2026-11-20 14:00:00-05", "2026-11-20T19:00:00Z", false},
	{"2026-11-20 14:00:00.123456-03:30", "2026-11-20T17:30:00.123456Z", false},
	{"2026-11-20T14:00:00+0530", "2026-11-20T08:30:00Z", false},
	{"2026-11-20T14:00:00-00:00", "2026-11-20T14:00:00Z", false},
	{"2026-11-20 14:00:00 UTC", "2026-11-20T14:00:00Z", false},
	{"2026-11-20 14:00:00 GMT", "2026-11-20T14:00:00Z", false},
	{"2026-11-20 14:00:00 +0100", "2026-11-20T13:00:00Z", false},
	{"2026-11-20 14:00:00.5 +0100 CET", "2026-11-20T13:00:00.5Z", false},
	{"2026-11-20T14:00:00+01:00[Europe/Paris]", "2026-11-20T13:00:00Z", false},
	{"2026-11-20T14:00:00Z[UTC]", "2026-11-20T14:00:00Z", false},
	{"2026-11-20T14:00:00[Europe/Paris]", "", false},
	{"2026-11-20T14:00:00 CET", "", false},
	{"2026-11-20T14:00:00+25:00", "", false},
	{"2026-11-20T14:00:00+01:61", "", false},
	{"2026-11-20T14:00:00+1", "", false},
	{"2026-11-20T14:00:00+01:", "", false},
	{"2026-11-20T14:00:00+", "", false},
	{"2026-11-20T14:00:00ZZ", "", false},
	{"2026-11-20T14:00:00Z[]", "", false},
	// Without hyphens and colons.
	{"20261120T140000Z", "2026-11-20T14:00:00Z", false},
	{"20261120T140000.25+0200", "2026-11-20T12:00:00.25Z", false},
	{"20261120T1400Z", "2026-11-20T14:00:00Z", false},
	{"20261120T14Z", "2026-11-20T14:00:00Z", false},
	{"20261120T14:00:00Z", "2026-11-20T14:00:00Z", false},
	{"2026-11-20T140000Z", "2026-11-20T14:00:00Z", false},
	{"20261120", "2026-11-20T00:00:00Z", true},
	{"2026-1120", "", false},
	{"202611-20", "", false},
	{"2026-11", "", false},
	{"2026", "", false},
	{"20261320", "", false},
	{"20261120T14000Z", "", false},
	{"20261120T1400:00Z", "", false},
	{"2026-11-20T14:0000Z", "", false},
	// Days of weeks and of years.
	{"2026-W47-5", "2026-11-20T00:00:00Z", true},
	{"2026-W47-5T14:00:00Z", "2026-11-20T14:00:00Z", false},
	{"2026W475T140000Z", "2026-11-20T14:00:00Z", false},
	{"2026-W01-1", "2025-12-29T00:00:00Z", true},
	{"2026-W53-7", "2027-01-03T00:00:00Z", true},
	{"2027-W53-1", "", false},
	{"2026-W00-1", "", false},
	{"2026-W47-8", "", false},
	{"2026-W475", "", false},
	{"2026-W47", "", false},
	{"2026-324", "2026-11-20T00:00:00Z", true},
	{"2026-324T14:00Z", "2026-11-20T14:00:00Z", false},
	{"2026324T140000Z", "2026-11-20T14:00:00Z", false},
	{"2024-366", "2024-12-31T00:00:00Z", true},
	{"2026-366", "", false},
	{"2026-000", "", false},
	{"2026324", "", false},
	// Ends of minutes and days.
	{"2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", false},
	{"2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.5Z", false},
	{"2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00Z", false},
	{"2026-11-20T24:00:00Z", "2026-11-21T00:00:00Z", false},
	{"2026-11-20T24:00Z", "2026-11-21T00:00:00Z", false},
	{"2026-11-20 24:00:00.000", "2026-11-21T00:00:00Z", true},
	{"20261231T24Z", "2027-01-01T00:00:00Z", false},
	{"2026-11-20T24:00:01Z", "", false},
	{"2026-11-20T24:00:00.1Z", "", false},
	{"2026-11-20T24:01Z", "", false},
	{"2026-11-20T25:00Z", "", false},
	{"2026-11-20T14:60Z", "", false},
	{"2026-11-20T14:00:61Z", "", false},
	{"9999-12-31T24:00:00Z", "", false},
	// Fractions.
	{"2026-11-20T14:00:00,25Z", "2026-11-20T14:00:00.25Z", false},
	{"2026-11-20 14:00:00,123456789", "2026-11-20T14:00:00.123456789Z", true},
	{"2026-11-20T14:00:00.1234567891Z", "2026-11-20T14:00:00.123456789Z", false},
	{"2026-11-20T14:30.5Z", "2026-11-20T14:30:30Z", false},
	{"20261120T14,5Z", "2026-11-20T14:30:00Z", false},
	{"2026-11-20T14:00:00.Z", "", false},
	{"2026-11-20T14:00:00.+01:00", "", false},
	// Hours of one digit, which RFC 3339 does not have.
	{"2026-11-20 9:05:00", "2026-11-20T09:05:00Z", true},
	{"2026-11-20T9Z", "", false},
	// Others.
	{"0000-00-00 00:00:00", "", false},
	{"2026-02-29", "", false},
	{"2026/11/20 14:00:00", "", false},
	{"20.11.2026", "", false},
	{"Fri, 20 Nov 2026 14:00:00 GMT", "", false},
	{"+002026-11-20T14:00:00Z", "", false},
	{"12026-11-20T14:00:00Z", "", false},
	{"-2026-11-20T14:00:00Z", "", false},
	{"T14:00:00Z", "", false},
	{"٢٠٢٦-11-20", "", false},
}

func digits(n int) string { return strings.Repeat("0", n) }

func TestParseUnix(t *testing.T) {
	t.Parallel()
	for text, want := range unixForms {
		got, unit, ok := ParseUnix([]byte(text))
		require.Equal(t, want.at != "", ok, text)
		require.Equal(t, want.unit, unit, text)
		if ok {
			require.Equal(t, want.at, got.Format(time.RFC3339Nano), text)
		}
	}
}

// unixForms are numbers and the times that they mean, "" for numbers that are no time.
var unixForms = map[string]struct {
	at   string
	unit Unit
}{
	"1772361015250":         {"2026-03-01T10:30:15.25Z", Milliseconds},
	"1772361015":            {"2026-03-01T10:30:15Z", Seconds},
	"1772361015.25":         {"2026-03-01T10:30:15.25Z", Seconds},
	"1772361015.123456789":  {"2026-03-01T10:30:15.123456789Z", Seconds},
	"1772361015250.5":       {"2026-03-01T10:30:15.2505Z", Milliseconds},
	"1772361015.1234567891": {"2026-03-01T10:30:15.123456789Z", Seconds},
	"1772361015250000":      {"2026-03-01T10:30:15.25Z", Microseconds},
	"1772361015250000.25":   {"2026-03-01T10:30:15.25000025Z", Microseconds},
	"1772361015250000001":   {"2026-03-01T10:30:15.250000001Z", Nanoseconds},
	"1.77236101525E12":      {"2026-03-01T10:30:15.25Z", Milliseconds},
	"1.772361015e9":         {"2026-03-01T10:30:15Z", Seconds},
	"177236101525e+1":       {"2026-03-01T10:30:15.25Z", Milliseconds},
	"17723610152500e-1":     {"2026-03-01T10:30:15.25Z", Milliseconds},
	"0001772361015":         {"2026-03-01T10:30:15Z", Seconds},
	"100000000":             {"1973-03-03T09:46:40Z", Seconds},
	"99999999999":           {"5138-11-16T09:46:39Z", Seconds},
	"99999999999.9":         {"5138-11-16T09:46:39.9Z", Seconds},
	"100000000000":          {"1973-03-03T09:46:40Z", Milliseconds},
	"99999999999999":        {"5138-11-16T09:46:39.999Z", Milliseconds},
	"100000000000000":       {"1973-03-03T09:46:40Z", Microseconds},
	"9999999999999999":      {"2286-11-20T17:46:39.999999Z", Microseconds},
	"10000000000000000":     {},
	"638684208000000000":    {}, // ticks since the year 1
	"133769952000000000":    {}, // ticks since 1601
	"1000000000000000000":   {"2001-09-09T01:46:40Z", Nanoseconds},
	"9999999999999999999":   {"2286-11-20T17:46:39.999999999Z", Nanoseconds},
	"10000000000000000000":  {},
	"99999999":              {},
	"99999999.9":            {},
	"0":                     {},
	"0.0":                   {},
	"0e12":                  {},
	"-1772361015":           {},
	"+1772361015":           {},
	"1772361015.":           {},
	".1772361015":           {},
	"1772361015e":           {},
	"1772361015e1e1":        {},
	"1e999":                 {},
	"1772361015,5":          {},
	"1 772 361 015":         {},
	"0x69a41b37":            {},
	"":                      {},
}

// The usual forms are read as package time reads RFC 3339, whatever is wrong with them.
func TestParseUsual(t *testing.T) {
	t.Parallel()
	check := func(text string) {
		got, ok := ParseUsual([]byte(text))
		want, err := time.Parse(time.RFC3339, text)
		if ok {
			require.NoError(t, err, text)
			require.Equal(t, want, got, text)
		}
	}
	for _, text := range []string{"2026-03-01T10:30:15Z", "2026-03-01T10:30:15.123Z", "2024-02-28T23:59:59.999Z", "9999-12-31T00:00:00Z", "0002-01-31T00:00:00.000Z"} {
		_, ok := ParseUsual([]byte(text))
		require.True(t, ok, text)
		for i := range text {
			for c := range 256 {
				check(text[:i] + string([]byte{byte(c)}) + text[i+1:])
			}
			check(text[:i] + text[i+1:])
			check(text[:i] + "0" + text[i:])
		}
	}
	for month := range 14 {
		for day := range 33 {
			for _, year := range []string{"0000", "0001", "0002", "0100", "0400", "1600", "1900", "1969", "2000", "2023", "2024", "2100", "9999"} {
				check(fmt.Sprintf("%s-%02d-%02dT00:00:00Z", year, month, day))
			}
		}
	}
}

func FuzzTime(f *testing.F) {
	for _, text := range []string{
		"2026-03-01T10:30:15Z", "2026-03-01T10:30:15.123456789+02:00", "2026-03-01 10:30:15", "2026-03-01", "2026-03-01T10:30", "9999-12-31T23:59:59-01:00",
		"0001-01-01T00:00:00+01:00", "2026-03-01T10:30:15,5Z", "1772361015000", "2016-12-31T23:59:60Z", "2026-03-01T24:00:00Z", "",
	} {
		f.Add(text)
	}
	for _, form := range forms {
		f.Add(form.text)
	}
	for text := range unixForms {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, guessed, ok := Parse([]byte(text))
		if want, err := time.Parse(time.RFC3339, text); err == nil && len(text) <= maxLength {
			inRange := want.UTC().Year() >= 1 && want.UTC().Year() <= 9999
			require.Equal(t, inRange, ok)
			if ok {
				unset := want.Format("2006-01-02T15:04:05.999999999") == "0001-01-01T00:00:00"
				require.True(t, want.Equal(got) || unset && got.IsZero())
				require.False(t, guessed)
			}
		}
		unix, _, isUnix := ParseUnix([]byte(text))
		require.False(t, ok && isUnix, "two readings of one text")
		for _, at := range []time.Time{got, unix} {
			if at.IsZero() {
				continue
			}
			require.Equal(t, time.UTC, at.Location())
			require.GreaterOrEqual(t, at.Year(), 1)
			require.LessOrEqual(t, at.Year(), 9999)
			again, guessed, ok := Parse([]byte(at.Format(time.RFC3339Nano)))
			require.True(t, ok)
			require.False(t, guessed)
			require.True(t, at.Equal(again))
		}
	})
}
