package form_test

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/form"
	"github.com/inlet-go/inlet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// all returns the parameters of a query as "name=value" of their texts.
func all(query string) (list []string) {
	for name, value := range form.Pairs(query) {
		list = append(list, form.Text(name)+"="+form.Text(value))
	}
	return list
}

func TestText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, query string
		want        []string
	}{
		{"nothing", "", nil},
		{"names and values", "a=1&b=2", []string{"a=1", "b=2"}},
		{"empty parts", "&&a=1&&b&=&c=", []string{"a=1", "b=", "=", "c="}},
		{"more than one =", "a=b=c&d==", []string{"a=b=c", "d=="}},
		{"a ; is data", "u=http://x/a;jsessionid=1;b=2&c=;", []string{"u=http://x/a;jsessionid=1;b=2", "c=;"}},
		{"an escaped & and = are data", "a=1%26b%3D2&c%3D=3", []string{"a=1&b=2", "c==3"}},
		{"a plus is a space", "a+b=c+d&e=%2B", []string{"a b=c d", "e=+"}},
		{"a % that begins no escape", "a=50%&b=%&c=%u20AC&d=%zz&e=%1&f=%g0&h=%0g&i=%%41", []string{"a=50%", "b=%", "c=%u20AC", "d=%zz", "e=%1", "f=%g0", "h=%0g", "i=%A"}},
		{"an escape of a %", "a=%2541&b=%25", []string{"a=%41", "b=%"}},
		{"escapes in both cases", "a=%c3%A9", []string{"a=é"}},
		{"text without escapes", "a=é&ö=€", []string{"a=é", "ö=€"}},
		{"control characters", "a=%00%0a", []string{"a=\x00\n"}},
		{"an HTML entity is text", "a=1&amp;b=2", []string{"a=1", "amp;b=2"}},
		{"a byte order mark is text", "a=%EF%BB%BFx", []string{"a=\ufeffx"}},
		{"a # is text", "a=b#c", []string{"a=b#c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, all(tt.query))
			require.True(t, form.Valid(tt.query))
		})
	}
}

// As the encoding standard has it: one U+FFFD for each byte that begins no character, and one
// for all bytes of a character that is cut off.
func TestRepair(t *testing.T) {
	t.Parallel()
	for escaped, want := range map[string]string{
		"%ff":                   "\ufffd",
		"%ff%fe":                "\ufffd\ufffd",
		"a%e2%82b":              "a\ufffdb",
		"%e2%82":                "\ufffd",
		"%f0%9f%98":             "\ufffd",
		"%f0%9f%98%f0%9f%98%80": "\ufffd😀",
		"%c0%af":                "\ufffd\ufffd",
		"%e0%80%af":             "\ufffd\ufffd\ufffd",
		"%f0%80%80%af":          "\ufffd\ufffd\ufffd\ufffd",
		"%f4%90%80%80":          "\ufffd\ufffd\ufffd\ufffd",
		"%ed%a0%80":             "\ufffd\ufffd\ufffd",
		"%80%bf":                "\ufffd\ufffd",
		"%e9t%e9":               "\ufffdt\ufffd",
		"\xe9":                  "\ufffd",
		"\xe2\x82+":             "\ufffd ",
	} {
		t.Run(escaped, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, want, form.Text(escaped))
			require.False(t, form.Valid("a="+escaped+"&b=c"))
		})
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	for escaped, want := range map[string]string{"a+b/c==": "a+b/c==", "a%2Bb%20": "a+b ", "50%": "50%", "%ff+": "\ufffd+"} {
		require.Equal(t, want, form.Key(escaped))
	}
	for escaped, want := range map[string]bool{"": false, "a": false, "%41": false, "%": true, "%zz": true, "%41%4": true, "%2541": false} {
		require.Equal(t, want, form.HasBadEscape(escaped), escaped)
	}
}

func TestFirst(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1+", form.First("b=0&a=1+&a=2", "a"))
	require.Equal(t, "1", form.First("%61=1&a=2", "a"))
	require.Equal(t, "2", form.First("A=1&a=2", "a"))
	require.Equal(t, "2", form.First("aa=1&a=2", "a"))
	require.Equal(t, "1", form.First("a+b=1", "a b"))
	require.Empty(t, form.First("a=&a=2", "a"))
	require.Empty(t, form.First("b=1", "a"))
	require.Empty(t, form.First(strings.Repeat("%61", 1000)+"=1", "a"))
	require.Empty(t, form.First("=1&aa=1&%=2", "aaa"))
}

// Reading what needs no change allocates nothing. Not parallel: allocations are counted for
// the whole process.
func TestAllocations(t *testing.T) {
	query := strings.Repeat("a%=1&", 10_000) + "key=value"
	require.Zero(t, testing.AllocsPerRun(10, func() {
		if form.Text(form.First(query, "key")) != "value" {
			panic("not found")
		}
	}))
}

// Where the standard library reads a query at all, the text is the same.
func FuzzText(f *testing.F) {
	for _, query := range []string{"", "a=1&b=2", "a;b=%", "%e2%82=+&%zz", "a=%ff%fe", "&&=&"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		valid := true
		for name, value := range form.Pairs(query) {
			for _, escaped := range []string{name, value} {
				text := form.Text(escaped)
				require.True(t, utf8.ValidString(text))
				require.LessOrEqual(t, len(text), 3*len(escaped))
				require.True(t, form.Is(escaped, text) || strings.Contains(text, "\ufffd"))
				require.False(t, form.Is(escaped, text+"x"))
				known, err := url.QueryUnescape(escaped)
				require.Equal(t, err != nil, form.HasBadEscape(escaped))
				if err == nil {
					valid = valid && utf8.ValidString(known)
					require.Equal(t, strings.ToValidUTF8(known, ""), strings.ReplaceAll(text, "\ufffd", ""), "%q", escaped)
				}
			}
		}
		if !form.HasBadEscape(query) {
			require.Equal(t, form.Valid(query), valid)
		}
	})
}
