package pixel_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/pixel"
	"github.com/inlet-go/inlet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestBrackets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, query, want string }{
		{"nothing", "", `{}`},
		{"names and levels", "a=1&b[c]=2&b[d][e]=3", `{"a":"1","b":{"c":"2","d":{"e":"3"}}}`},
		{"empty brackets add to a list", "a[]=1&a[]=2", `{"a":["1","2"]}`},
		{"each empty bracket is a new element", "a[][x]=1&a[][x]=2", `{"a":[{"x":"1"},{"x":"2"}]}`},
		{"numbers are a list in their order, without gaps", "a[10][x]=1&a[2][x]=2&a[10][y]=3", `{"a":[{"x":"2"},{"x":"1","y":"3"}]}`},
		{"a huge number makes a short list", "a[999999999]=1", `{"a":["1"]}`},
		{"numbers in other forms are names", "a[01]=1&a[-1]=2", `{"a":{"01":"1","-1":"2"}}`},
		{"so that none is lost", "a[1]=1&a[01]=2", `{"a":{"1":"1","01":"2"}}`},
		{"a number twice is a name", "a[1]=1&a[1]=2", `{"a":{"1":"1","1":"2"}}`},
		{"numbers among names are names", "a[0]=1&a[x]=2", `{"a":{"0":"1","x":"2"}}`},
		{"lists in lists", "a[0][]=1&a[0][]=2&a[1][]=3", `{"a":[["1","2"],["3"]]}`},
		{"escaped brackets are brackets", "a%5Bb%5D=1", `{"a":{"b":"1"}}`},
		{"brackets that do not match are part of the name", "a[b=1&c]=2&[d]=3&e[f]g=4&h[[]]=5&i[]j[]=6",
			`{"a[b":"1","c]":"2","[d]":"3","e[f]g":"4","h[[]]":"5","i[]j[]":"6"}`},
		{"a plus is a space, and a value may be absent", "a+b=c+d&e&f=", `{"a b":"c d","e":"","f":""}`},
		{"values are strings", "a=1.0&b=true&c=null", `{"a":"1.0","b":"true","c":"null"}`},
		{"a name twice is kept twice", "a=1&a=2", `{"a":"1","a":"2"}`},
		{"names to leave out", "a=1&key=k", `{"a":"1"}`},
		{"which are those of the root", "a[key]=1", `{"a":{"key":"1"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := pixel.Brackets(tt.query, "key")
			require.NoError(t, err)
			require.Equal(t, tt.want, string(got))
		})
	}
	for _, query := range []string{"a=%", "a=%zz", "%f=1"} {
		_, err := pixel.Brackets(query)
		require.Error(t, err, query)
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
	_, err := pixel.Brackets(query)
	return err
}

func dots(query string) error {
	_, err := pixel.Query(query)
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
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			query, err := url.ParseQuery(tt.query)
			require.NoError(t, err)
			got, err := pixel.Dotted(query)
			require.NoError(t, err)
			require.Equal(t, tt.want, string(got))
		})
	}
	for _, names := range [][]string{{strings.Repeat(".", 1000)}, {strings.Repeat(".", 500), strings.Repeat(".", 499)}} {
		query := url.Values{}
		for _, name := range names {
			query.Set(name, "")
		}
		_, err := pixel.Dotted(query)
		require.ErrorIs(t, err, pixel.ErrTooManyLevels)
	}
}

// requireObject checks that text is a JSON object, not much larger than its query: a byte
// that needs an escape becomes six, and a level of two bytes its name and two brackets.
func requireObject(t *testing.T, query string, text []byte) {
	t.Helper()
	require.True(t, json.Valid(text), "%s", text)
	require.Equal(t, byte('{'), text[0])
	require.LessOrEqual(t, len(text), 8*len(query)+8)
}

func FuzzBrackets(f *testing.F) {
	for _, query := range []string{"", "a=1&b[c]=2&b[d][e]=3", "a[][x]=1&a[2]=%00&[d]=3&e[f]g=4&h[[]]=5", "a=%ff&a[0][][]=+", "a=%"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		text, err := pixel.Brackets(query, "key")
		if levels := strings.Count(query, "[") + strings.Count(query, "%") + strings.Count(query, "&") + 1; levels > 1000 {
			return
		}
		if _, invalid := url.ParseQuery(strings.ReplaceAll(query, ";", "")); invalid != nil {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		requireObject(t, query, text)
	})
}

func FuzzDotted(f *testing.F) {
	for _, query := range []string{"", "a=1&b.c=2&b.d.e=3", "a=1&a.b=2&=3&.=4&..=%00", "a=%ff&a=b"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		text, err := pixel.Dotted(values)
		if levels := strings.Count(query, ".") + strings.Count(query, "%2") + strings.Count(query, "&") + 1; levels <= 1000 {
			require.NoError(t, err)
		}
		if err != nil {
			require.ErrorIs(t, err, pixel.ErrTooManyLevels)
			return
		}
		requireObject(t, query, text)
	})
}
