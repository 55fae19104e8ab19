package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/wire"
)

const nested = ` { "a" : {"b":[1, {"c":"x"} ,null],"":2, "é":3} , "n":null,"0":{"1":true} } `

func TestAt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value, path, want string
	}{
		{nested, "", strings.TrimSpace(nested)},
		{nested, "a/b", `[1, {"c":"x"} ,null]`},
		{nested, "a/b/0", "1"},
		{nested, "a/b/1", `{"c":"x"}`},
		{nested, "a/b/1/c", `"x"`},
		{nested, "a/b/2", "null"},
		{nested, "a/é", "3"},
		{nested, "n", "null"},
		{nested, "0/1", "true"},
		{nested, "a/b/3", ""},
		{nested, "a/b/01", ""},
		{nested, "a/b/-1", ""},
		{nested, "a/b/c", ""},
		{nested, "n/x", ""},
		{nested, "a/b/0/x", ""},
		{nested, "A", ""},
		{`{"\u0061\/b":1}`, "a|b", ""},
		{`{"\u0061b":1}`, "ab", "1"},
		{"", "a", ""},
		{"{}", "a", ""},
		{"[]", "0", ""},
		{"7", "a", ""},
	} {
		got, ok := wire.At([]byte(tt.value), split(tt.path))
		require.Equal(t, tt.want, string(got), "%s at %s", tt.value, tt.path)
		require.Equal(t, tt.want != "", ok)
	}
	got, ok := wire.At([]byte(nested), []string{"a", ""})
	require.True(t, ok)
	require.Equal(t, "2", string(got))
}

func split(path string) []string {
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

func TestSetAt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, value, path, set, want string
	}{
		{"a member", `{"a":1,"b":2}`, "a", "3", `{"a":3,"b":2}`},
		{"a new member", `{"a":1}`, "b", "3", `{"a":1,"b":3}`},
		{"the first member", `{ }`, "b", "3", `{ "b":3}`},
		{"all", `{"a":1}`, "", "{}", "{}"},
		{"missing objects", `{"a":1}`, "b/c/d", "3", `{"a":1,"b":{"c":{"d":3}}}`},
		{"nothing", ``, "b/c", "3", `{"b":{"c":3}}`},
		{"null on the way", `{"a":null}`, "a/b", "3", `{"a":{"b":3}}`},
		{"white space stays", "{ \"a\" : 1 ,\n\"b\":2 }", "b", "3", "{ \"a\" : 1 ,\n\"b\":3 }"},
		{"an element", `{"a":[1,2]}`, "a/1", "3", `{"a":[1,3]}`},
		{"in an element", `[{"x":1},{"y":2}]`, "1/y", "3", `[{"x":1},{"y":3}]`},
		{"after the last element", `{"a":[1,2]}`, "a/2/x", "3", `{"a":[1,2,{"x":3}]}`},
		{"the first element", `{"a":[]}`, "a/0", "3", `{"a":[3]}`},
		{"an index as a name", `{}`, "0", "3", `{"0":3}`},
		{"a name with escapes", `{"\u0061":1}`, "a", "3", `{"\u0061":3}`},
		{"a name that needs escapes", `{}`, "a\"b", "3", `{"a\"b":3}`},
		{"remove the first", `{"a":1, "b":2}`, "a", "", `{ "b":2}`},
		{"remove the last", `{"a":1 , "b":2 }`, "b", "", `{"a":1 }`},
		{"remove one between", `[1,2,3]`, "1", "", `[1,3]`},
		{"remove the only one", `{"a":{"b":1}}`, "a/b", "", `{"a":{}}`},
		{"remove nothing", `{"a":1}`, "b/c", "", `{"a":1}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var set []byte
			if tt.set != "" {
				set = []byte(tt.set)
			}
			value := []byte(tt.value)
			got, err := wire.SetAt(value, split(tt.path), set)
			require.NoError(t, err)
			require.Equal(t, tt.want, string(got))
			require.Equal(t, tt.value, string(value), "the old text has changed")
		})
	}
	for path, want := range map[string]string{
		"a/x":   `"x" has no place: its parent is neither an object nor an array`,
		"b/2":   `"2" has no place: its parent is an array of 1 elements`,
		"b/x":   `"x" has no place: its parent is an array of 1 elements`,
		"b/0/x": `"x" has no place: its parent is neither an object nor an array`,
	} {
		_, err := wire.SetAt([]byte(`{"a":"text","b":[1]}`), split(path), []byte("1"))
		require.EqualError(t, err, want)
	}
}

// FuzzPlace requires that a value that was set is there, in a text that is as valid as before,
// and that no text makes it panic.
func FuzzPlace(f *testing.F) {
	f.Add(nested, "a/b/1/c")
	f.Add(`{"a":1}`, "b/c")
	f.Add(`[1,2`, "2")
	f.Add(`{"a"`, "a")
	f.Add(`{"`, "a")
	f.Fuzz(func(t *testing.T, value, path string) {
		names := split(path)
		_, _ = wire.At([]byte(value), names)
		removed, err := wire.SetAt([]byte(value), names, nil)
		require.NoError(t, err)
		got, err := wire.SetAt([]byte(value), names, []byte(`"set"`))
		if !json.Valid([]byte(value)) || err != nil {
			return
		}
		require.True(t, json.Valid(removed), "%s", removed)
		require.True(t, json.Valid(got), "%s", got)
		found, ok := wire.At(got, names)
		require.True(t, ok)
		require.Equal(t, `"set"`, string(found))
	})
}
