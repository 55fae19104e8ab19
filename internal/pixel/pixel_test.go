package pixel_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/pixel"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/internal/wire"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestBrackets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, query, want string }{
		{"nothing", "", `{}`},
		{"many names", "a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1&j=1&a=2&i=2&j=2&i[x]=3&k=1", `{"a":"1","b":"1","c":"1","d":"1","e":"1","f":"1","g":"1","h":"1","i":{"x":"3"},"j":"1","k":"1"}`},
		{"names and levels", "a=1&b[c]=2&b[d][e]=3", `{"a":"1","b":{"c":"2","d":{"e":"3"}}}`},
		{"empty brackets add to a list", "a[]=1&a[]=2", `{"a":["1","2"]}`},
		{"each empty bracket is a new element", "a[][x]=1&a[][x]=2", `{"a":[{"x":"1"},{"x":"2"}]}`},
		{"numbers are a list in their order, without gaps", "a[10][x]=1&a[2][x]=2&a[10][y]=3", `{"a":[{"x":"2"},{"x":"1","y":"3"}]}`},
		{"a huge number makes a short list", "a[999999999]=1", `{"a":["1"]}`},
		{"numbers in other forms are names", "a[01]=1&a[-1]=2", `{"a":{"01":"1","-1":"2"}}`},
		{"so that none is lost", "a[1]=1&a[01]=2", `{"a":{"1":"1","01":"2"}}`},
		{"empty brackets after numbers", "a[0]=1&a[]=2&a[7]=3&a[]=4", `{"a":["1","2","3","4"]}`},
		{"empty brackets next to names are numbers", "a[]=1&a[x]=2&a[]=3", `{"a":{"0":"1","x":"2","1":"3"}}`},
		{"a number after the highest", "a[999999999]=1&a[]=2", `{"a":{"999999999":"1","1000000000":"2"}}`},
		{"numbers among names are names", "a[0]=1&a[x]=2", `{"a":{"0":"1","x":"2"}}`},
		{"lists in lists", "a[0][]=1&a[0][]=2&a[1][]=3", `{"a":[["1","2"],["3"]]}`},
		{"escaped brackets are brackets", "a%5Bb%5D=1", `{"a":{"b":"1"}}`},
		{"brackets that do not match are part of the name", "a[b=1&c]=2&[d]=3&e[f]g=4&h[[]]=5&i[]j[]=6",
			`{"a[b":"1","c]":"2","[d]":"3","e[f]g":"4","h[[]]":"5","i[]j[]":"6"}`},
		{"a plus is a space, and a value may be absent", "a+b=c+d&e&f=", `{"a b":"c d","e":"","f":""}`},
		{"values are strings", "a=1.0&b=true&c=null", `{"a":"1.0","b":"true","c":"null"}`},
		{"the first value counts", "a=1&a=2&a=&b[c]=1&b[c]=2&d[1]=1&d[1]=2&=1&=2", `{"a":"1","b":{"c":"1"},"d":["1"],"":"1"}`},
		{"also if it is empty", "a=&a=2", `{"a":""}`},
		{"and if the names are escaped differently", "a=1&%61=2", `{"a":"1"}`},
		{"and if their text was replaced", "%ff=1&%fe=2", "{\"\ufffd\":\"1\"}"},
		{"a name that is a value and a level is a level", "a=1&a[b]=2&c[d]=1&c=2&c[d][e]=3", `{"a":{"b":"2"},"c":{"d":{"e":"3"}}}`},
		{"bad escapes and other separators are data", "a=50%&b[%]=%u20AC&c=x;d=1&amp;e[f]=2", `{"a":"50%","b":{"%":"%u20AC"},"c":"x;d=1","amp;e":{"f":"2"}}`},
		{"names to leave out", "a=1&key=k", `{"a":"1"}`},
		{"which are those of the root", "a[key]=1", `{"a":{"key":"1"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := pixel.Brackets(tt.query, isKey)
			require.NoError(t, err)
			require.Equal(t, tt.want, string(got))
		})
	}
}

// Levels are counted before anything is made of them. Not parallel: allocations are counted
// for the whole process.
func TestLevels(t *testing.T) {
	for _, tt := range []struct {
		name, query string
		make        func(query string) error
		want        error
	}{
		{"brackets", "a" + strings.Repeat("[b]", 20_000) + "=1", brackets, pixel.ErrTooDeep},
		{"a thousand and one", "a" + strings.Repeat("[b]", 1000) + "=1", brackets, pixel.ErrTooDeep},
		{"escaped brackets", "a" + strings.Repeat("%5Bb%5d", 5_000) + "=1", brackets, pixel.ErrTooDeep},
		{"escaped brackets in lower case", "a" + strings.Repeat("%5bb]", 5_000) + "=1", brackets, pixel.ErrTooDeep},
		{"empty brackets", "a" + strings.Repeat("[]", 20_000), brackets, pixel.ErrTooDeep},
		{"brackets in many names", strings.Repeat("a[b][c]=1&", 400), brackets, pixel.ErrTooManyLevels},
		{"many names", strings.Repeat("a=1&", 10_000), brackets, pixel.ErrTooManyLevels},
		{"numbers", strings.Repeat("a[7]=1&", 5_000), brackets, pixel.ErrTooManyLevels},
		{"dots", strings.Repeat(".", 20_000) + "=1", dots, pixel.ErrTooManyLevels},
		{"escaped dots", strings.Repeat("%2e", 5_000) + "=1", dots, pixel.ErrTooManyLevels},
		{"many names for dots", strings.Repeat("a=1&", 10_000), dots, pixel.ErrTooManyLevels},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorIs(t, tt.make(tt.query), tt.want)
			require.Zero(t, testing.AllocsPerRun(10, func() { _ = tt.make(tt.query) }))
		})
	}
	for _, query := range []string{
		"a" + strings.Repeat("[b]", 999) + "=1", "a=" + strings.Repeat("[b]", 5_000), strings.Repeat("a[]=1&", 499) + "b=1",
	} {
		require.NoError(t, brackets(query))
	}
	require.NoError(t, dots(strings.Repeat(".", 999)+"="+strings.Repeat(".", 2_000)))
}

func brackets(query string) error {
	_, err := pixel.Brackets(query, isKey)
	return err
}

// isKey reports whether a parameter is called "key".
func isKey(path []string) bool { return len(path) == 1 && path[0] == "key" }

// useOf makes lists of the parameters that are called "l", and leaves out those called "k".
func useOf(path []string) pixel.Use {
	switch {
	case len(path) > 1:
		return pixel.First
	case path[0] == "l":
		return pixel.List
	case path[0] == "k":
		return pixel.Nothing
	}
	return pixel.First
}

func dots(query string) error {
	_, err := pixel.Dotted(query, useOf)
	return err
}

func TestDotted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, query, want string }{
		{"nothing", "", `{}`},
		{"names and levels", "a=1&b.c=2&b.d.e=3", `{"a":"1","b":{"c":"2","d":{"e":"3"}}}`},
		{"a name that is a value and a level is a level", "a=1&a.b=2", `{"a":{"b":"2"}}`},
		{"the first value counts", "a=1&a=2", `{"a":"1"}`},
		{"names may be empty", "=1&.=2&..=3", `{"":{"":{"":"3"}}}`},
		{"values are strings", "a=1.0&b=true&c=", `{"a":"1.0","b":"true","c":""}`},
		{"a thousand levels", strings.Repeat(".", 999) + "=1", strings.Repeat(`{"":`, 1000) + `"1"` + strings.Repeat("}", 1000)},
		{"bad escapes and other separators are data", "a=50%&b.%=%u20AC&c=x;d=1&amp;e.f=2", `{"a":"50%","amp;e":{"f":"2"},"b":{"%":"%u20AC"},"c":"x;d=1"}`},
		{"replaced text", "a=%ff%e2%82&%fe=1&%fd=2", "{\"a\":\"\ufffd\ufffd\",\"\ufffd\":\"1\"}"},
		{"escaped dots are dots", "a%2Eb=1", `{"a":{"b":"1"}}`},
		{"names to leave out", "k=1&a.k=2&%6b=3", `{"a":{"k":"2"}}`},
		{"lists", "l=1&l=2&l=&a.l=3&a.l=4", `{"a":{"l":"3"},"l":["1","2",""]}`},
		{"a list of one is a value", "l=1", `{"l":"1"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := pixel.Dotted(tt.query, useOf)
			require.NoError(t, err)
			require.Equal(t, tt.want, string(got))
		})
	}
}

func TestData(t *testing.T) {
	t.Parallel()
	// In base64 this has a "+", a "/" and padding.
	const object = `{"a":"~~~>>>???é"}`
	std := base64.StdEncoding.EncodeToString([]byte(object))
	require.Contains(t, std, "+")
	require.Contains(t, std, "/")
	require.True(t, strings.HasSuffix(std, "="))
	raw, urlSafe := strings.TrimRight(std, "="), base64.URLEncoding.EncodeToString([]byte(object))
	wrapped := func(s, by string) string { return s[:8] + by + s[8:16] + by + s[16:] }
	for _, tt := range []struct{ name, escaped string }{
		{"as it is", url.QueryEscape(object)},
		{"as it is, with white space", "%0A" + url.QueryEscape(object) + "%0A"},
		{"as it is, behind a byte order mark", "%EF%BB%BF" + url.QueryEscape(object)},
		{"as it is, escaped twice", url.QueryEscape(url.QueryEscape(object))},
		{"base64", url.QueryEscape(std)},
		{"a plus that is not escaped", std},
		{"a plus that has become a space", strings.ReplaceAll(url.QueryEscape(std), "%2B", "%20")},
		{"no padding", url.QueryEscape(raw)},
		{"too much padding", std + "=="},
		{"escaped padding", raw + "%3D"},
		{"escaped twice", url.QueryEscape(url.QueryEscape(std))},
		{"the alphabet for URLs", urlSafe},
		{"the alphabet for URLs, no padding", strings.TrimRight(urlSafe, "=")},
		{"both alphabets", strings.Replace(std, "/", "_", 1)},
		{"a newline after the padding", std + "%0A"},
		{"CRLF after the padding", std + "%0d%0a"},
		{"spaces around", "+" + std + "%20"},
		{"a newline before the padding", raw + "%0A="},
		{"lines", wrapped(std, "%0A")},
		{"lines of Windows", wrapped(std, "%0D%0A")},
		{"indented lines", wrapped(std, "%0A%09")},
		{"spaces within", wrapped(raw, "%20")},
		{"lines with spaces, and a plus that is not escaped", wrapped(std, "%0A%20")},
		{"white space that is not escaped", wrapped(std, "	")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := pixel.Data(tt.escaped)
			require.NoError(t, err)
			require.Equal(t, object, strings.TrimSpace(strings.TrimPrefix(string(got), "\ufeff")))
		})
	}
	for _, escaped := range []string{"!", "e30*", "e", "%", "a=b=c", "%EF%BF%BD"} {
		_, err := pixel.Data(escaped)
		require.Error(t, err, escaped)
	}
	for _, escaped := range []string{"", "%20", "=", "%0A"} {
		got, err := pixel.Data(escaped)
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

// requireObject checks that text is a JSON object without duplicate names, not much larger
// than its query: a byte that needs an escape becomes six, and a level of two bytes its name
// and two brackets.
func requireObject(t *testing.T, query string, text []byte) {
	t.Helper()
	require.True(t, json.Valid(text), "%s", text)
	require.Equal(t, byte('{'), text[0])
	require.LessOrEqual(t, len(text), 8*len(query)+8)
	var doc wire.Document
	require.NoError(t, doc.Read(text, "", wire.Limits{Depth: 2000, Members: 2000, Items: 1, Bytes: len(text)}))
	require.Equal(t, wire.None, doc.AsItem().Fault.Kind, "%s", text)
}

func FuzzBrackets(f *testing.F) {
	for _, query := range []string{"", "a=1&b[c]=2&b[d][e]=3", "a[][x]=1&a[2]=%00&[d]=3&e[f]g=4&h[[]]=5", "a=%ff&a[0][][]=+", "a=%"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		text, err := pixel.Brackets(query, isKey)
		if levels := strings.Count(query, "[") + strings.Count(query, "%") + strings.Count(query, "&") + 1; levels > 1000 {
			return
		}
		require.NoError(t, err)
		requireObject(t, query, text)
	})
}

func FuzzDotted(f *testing.F) {
	for _, query := range []string{"", "a=1&b.c=2&b.d.e=3", "a=1&a.b=2&=3&.=4&..=%00", "a=%ff&a=b&l=1&l=%"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		text, err := pixel.Dotted(query, useOf)
		if levels := strings.Count(query, ".") + strings.Count(query, "%2") + strings.Count(query, "&") + 1; levels > 1000 {
			require.ErrorIs(t, cmp.Or(err, pixel.ErrTooManyLevels), pixel.ErrTooManyLevels)
			return
		}
		require.NoError(t, err)
		requireObject(t, query, text)
	})
}

func FuzzData(f *testing.F) {
	for _, escaped := range []string{"", "e30=", "e30%0A", "%7B%7D", "%257B%257D", "a b+c", "%"} {
		f.Add(escaped)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		if data, err := pixel.Data(escaped); err == nil {
			require.LessOrEqual(t, len(data), 3*len(escaped))
		}
	})
}
