package wire_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/wire"
)

// quoted splits a dotted path.
func quoted(path string) (names []string) {
	for name := range strings.SplitSeq(path, ".") {
		names = append(names, string(wire.AppendString(nil, name)))
	}
	return names
}

func TestEdit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, object, path, replaced, removed string }{
		{"a member", `{"a":1,"b":2}`, "a", `{"a":"x","b":2}`, `{"b":2}`},
		{"the last member", `{"a":1,"b":2}`, "b", `{"a":1,"b":"x"}`, `{"a":1}`},
		{"the only member", `{ "a" : { } }`, "a", `{"a":"x"}`, `{}`},
		{"one further in", `{"a":{"b":{"c":1e400},"d":[1, 2]},"e":null}`, "a.b.c", `{"a":{"b":{"c":"x"},"d":[1, 2]},"e":null}`, `{"a":{"b":{},"d":[1, 2]},"e":null}`},
		{"a name with escapes", `{"\u0061":{"b\"":1}}`, `a.b"`, `{"\u0061":{"b\"":"x"}}`, `{"\u0061":{}}`},
		{"a whole array", `{"a":[1,2]}`, "a", `{"a":"x"}`, `{}`},
		{"the objects in an array", `{"a":[{"b":1},[{"b":"]"}],3,{"c":1}]}`, "a.b", `{"a":[{"b":"x"},[{"b":"x"}],3,{"c":1}]}`, `{"a":[{},[{}],3,{"c":1}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			object, path := []byte(tt.object), quoted(tt.path)
			require.True(t, wire.Has(object, path))
			replaced := wire.AppendEdited([]byte("before"), object, path, func(dst, _ []byte) []byte { return append(dst, `"x"`...) })
			require.Equal(t, "before"+tt.replaced, string(replaced))
			removed := wire.AppendEdited(nil, object, path, func(_, _ []byte) []byte { return nil })
			require.Equal(t, tt.removed, string(removed))
			require.Equal(t, tt.object, string(object), "the input is read-only")
		})
	}
}

func TestEditOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, object := range []string{`{}`, `{"A":1}`, `{"a":1}`, `{"a":{"c":1}}`, `{"a":[]}`, `{"a":[1,"b",null]}`, `{"a":"b"}`, `{"a.b":1}`} {
		require.False(t, wire.Has([]byte(object), quoted("a.b")), object)
		edited := wire.AppendEdited(nil, []byte(object), quoted("a.b"), func(_, _ []byte) []byte { panic("nothing to edit") })
		require.Equal(t, object, string(edited))
	}
}

func TestEditOfElements(t *testing.T) {
	t.Parallel()
	for array, want := range map[string]string{
		`[]`: `[]`, `[ 1 ]`: `[]`, `[1,"a",2]`: `["a"]`, `["a",1,"b"]`: `["a","b"]`,
	} {
		edited := wire.AppendElements(nil, []byte(array), func(dst, value []byte) []byte {
			if wire.Kind(value) != '"' {
				return nil
			}
			return append(dst, value...)
		})
		require.Equal(t, want, string(edited))
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ object, want string }{
		{``, `{"ip":1}`},
		{`{}`, `{"ip":1}`},
		{`{ }`, `{"ip":1}`},
		{`{"a":{"ip":2}}`, `{"a":{"ip":2},"ip":1}`},
		{`{"ip":{"x":[]},"a":3}`, `{"ip":1,"a":3}`},
		{`{"a":3, "\u0069p" : "x" }`, `{"a":3,"\u0069p":1}`},
	} {
		var object []byte
		if tt.object != "" {
			object = []byte(tt.object)
		}
		require.Equal(t, tt.want, string(wire.AppendSet(nil, object, `"ip"`, []byte("1"))))
	}
}

// What an edit leaves is valid, and differs where it should and nowhere else.
func FuzzEdit(f *testing.F) {
	f.Add(`{"a":{"b":[1,{"b":"\\\""}]},"\u0061b":null}`, "a", "b")
	f.Add(`{"a":[[{"b":1}],[]]}`, "a", "b")
	f.Fuzz(func(t *testing.T, object, first, second string) {
		var doc wire.Document
		if doc.Read([]byte(object), "", wire.Limits{Depth: 200}) != nil || doc.Repaired() {
			return
		}
		object = strings.TrimSpace(object)
		path := []string{string(wire.AppendString(nil, first)), string(wire.AppendString(nil, second))}
		has := wire.Has([]byte(object), path)
		same := wire.AppendEdited(nil, []byte(object), path, func(dst, value []byte) []byte { return append(dst, value...) })
		require.Equal(t, compact(t, []byte(object)), compact(t, same))
		gone := wire.AppendEdited(nil, []byte(object), path, func(_, _ []byte) []byte { return nil })
		require.True(t, json.Valid(gone), "%s", gone)
		require.False(t, wire.Has(gone, path))
		require.Equal(t, !has, string(gone) == string(same))
		set := wire.AppendSet(nil, []byte(object), path[0], []byte("1"))
		require.True(t, json.Valid(set), "%s", set)
		require.True(t, wire.Has(set, path[:1]))
	})
}

func compact(t *testing.T, value []byte) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, json.Compact(&out, value))
	return out.String()
}
