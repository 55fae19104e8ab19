package timestamp

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		at      string
		guessed bool
	}{
		"2026-03-01T10:30:15Z":              {"2026-03-01T10:30:15Z", false},
		"2026-03-01T10:30:15.25+02:00":      {"2026-03-01T08:30:15.25Z", false},
		"2026-03-01T10:30:15+0200":          {"2026-03-01T08:30:15Z", false},
		"2026-03-01 10:30:15-01:00":         {"2026-03-01T11:30:15Z", false},
		"2026-03-01T10:30+02:00":            {"2026-03-01T08:30:00Z", false},
		"2026-03-01T10:30:15.5":             {"2026-03-01T10:30:15.5Z", true},
		"2026-03-01 10:30:15":               {"2026-03-01T10:30:15Z", true},
		"2026-03-01T10:30":                  {"2026-03-01T10:30:00Z", true},
		"2026-03-01":                        {"2026-03-01T00:00:00Z", true},
		"":                                  {},
		"01/03/2026":                        {},
		"2026-02-30":                        {},
		"0001-01-01T00:00:00+01:00":         {},
		"9999-12-31T23:59:59-01:00":         {},
		"2026-03-01T10:30:15." + digits(60): {},
	} {
		got, guessed, ok := Parse([]byte(text))
		require.Equal(t, want.at != "", ok, text)
		require.Equal(t, want.guessed, guessed, text)
		if ok {
			require.Equal(t, want.at, got.Format(time.RFC3339Nano), text)
		}
	}
}

func digits(n int) string { return strings.Repeat("0", n) }

func TestParseUnix(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1772361015250":      "2026-03-01T10:30:15.25Z",
		"1772361015":         "2026-03-01T10:30:15Z",
		"0001772361015":      "2026-03-01T10:30:15Z",
		"100000000":          "1973-03-03T09:46:40Z",
		"99999999999":        "5138-11-16T09:46:39Z",
		"100000000000":       "1973-03-03T09:46:40Z",
		"99999999999999":     "5138-11-16T09:46:39.999Z",
		"99999999":           "",
		"100000000000000":    "",
		"177236101525000000": "",
		"-1772361015":        "",
		"1772361015.5":       "",
		"":                   "",
	} {
		got, ok := ParseUnix([]byte(text))
		require.Equal(t, want != "", ok, text)
		if ok {
			require.Equal(t, want, got.Format(time.RFC3339Nano), text)
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
	f.Fuzz(func(t *testing.T, text string) {
		got, guessed, ok := Parse([]byte(text))
		if want, err := time.Parse(time.RFC3339, text); err == nil && len(text) <= maxLength {
			inRange := want.UTC().Year() >= 1 && want.UTC().Year() <= 9999
			require.Equal(t, inRange, ok)
			if ok {
				require.True(t, want.Equal(got))
				require.False(t, guessed)
			}
		}
		unix, isUnix := ParseUnix([]byte(text))
		require.False(t, ok && isUnix, "two readings of one text")
		for _, at := range []time.Time{got, unix} {
			if at.IsZero() {
				continue
			}
			require.Equal(t, time.UTC, at.Location())
			require.GreaterOrEqual(t, at.Year(), 1)
			require.LessOrEqual(t, at.Year(), 9999)
			again, err := time.Parse(time.RFC3339Nano, at.Format(time.RFC3339Nano))
			require.NoError(t, err)
			require.True(t, at.Equal(again))
		}
	})
}
