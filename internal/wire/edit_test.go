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
	t.Run("member", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct{ name, object, path, replaced, removed string }{
			{"a member", `{"a":1,"b":2}`, "a", `{"a":"x","b":2}`, `{"b":2}`},
			{"the last member", `{"a":1,"b":2}`, "b", `{"a":1,"b":"x"}`, `{"a":1}`},
			{"the only member", `{ "a" : { } }`, "a", `{"a":"x"}`, `{}`},
			{"a nested member", `{"a":{"b":{"c":1e400},"d":[1, 2]},"e":null}`, "a.b.c", `{"a":{"b":{"c":"x"},"d":[1, 2]},"e":null}`, `{"a":{"b":{},"d":[1, 2]},"e":null}`},
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
	})
	t.Run("path not found", func(t *testing.T) {
		t.Parallel()
		for _, object := range []string{`{}`, `{"A":1}`, `{"a":1}`, `{"a":{"c":1}}`, `{"a":[]}`, `{"a":[1,"b",null]}`, `{"a":"b"}`, `{"a.b":1}`} {
			require.False(t, wire.Has([]byte(object), quoted("a.b")), object)
			edited := wire.AppendEdited(nil, []byte(object), quoted("a.b"), func(_, _ []byte) []byte { panic("nothing to edit") })
			require.Equal(t, object, string(edited))
		}
	})
	t.Run("elements", func(t *testing.T) {
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
	})
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

func TestStringList(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		`[]`: `[]`, `[ 1 , "2",3.50e1,-4]`: `[ "1" , "2","3.50e1","-4"]`, `[[1],{"a":1},null]`: `[[1],{"a":1},null]`,
	} {
		require.Equal(t, want, string(wire.AppendStringList(nil, []byte(list))))
		require.Equal(t, list != want, wire.HasNumber([]byte(list)))
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	large := `"pad":"` + strings.Repeat("x", 1<<10) + `"` // from here on members are indexed
	for _, tt := range []struct{ name, under, over, want, lost string }{
		{"distinct members", `{"a":1}`, `{"b":2}`, `{"b":2,"a":1}`, ``},
		{"empty objects", `{ }`, `{}`, `{}`, ``},
		{"the same member", `{"a":1,"b":[2]}`, `{"b":[3]}`, `{"b":[3],"a":1}`, `.b=[2]`},
		{"an equal member", `{"a":1}`, `{"a":1}`, `{"a":1}`, ``},
		{"a name with escapes", `{"\u0061":1}`, `{"a":2}`, `{"a":2}`, `.a=1`},
		{"objects in objects", `{"a":{"b":1,"c":2}}`, `{"a":{"c":3}}`, `{"a":{"c":3,"b":1}}`, `.a.c=2`},
		{"an object and a value", `{"a":{"b":1}}`, `{"a":null}`, `{"a":null}`, `.a={"b":1}`},
		{"four levels", `{"a":{"a":{"a":{"a":{"x":1}}}}}`, `{"a":{"a":{"a":{"a":{"y":1}}}}}`,
			`{"a":{"a":{"a":{"a":{"y":1}}}}}`, `.a.a.a.a={"x":1}`},
		{"large objects", `{"a":1,"b":2,` + large + `}`, `{"\u0062":3,` + large + `}`, `{"\u0062":3,` + large + `,"a":1}`, `.b=2`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lost := ""
			merged := wire.AppendMergedNoting(nil, []byte(tt.under), []byte(tt.over), "", func(path string, value []byte) {
				lost += path + "=" + string(value)
			})
			require.Equal(t, tt.want, string(merged))
			require.Equal(t, tt.lost, lost)
			require.Equal(t, "before"+tt.want, string(wire.AppendMerged([]byte("before"), []byte(tt.under), []byte(tt.over))))
		})
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	members, err := wire.Members([]byte(` { "a" : [1, 2] ,"\u0062\"":"c"} `))
	require.NoError(t, err)
	require.Len(t, members, 2)
	require.Equal(t, `"a"`, string(members[0].RawName))
	require.Equal(t, `a`, string(members[0].Name()))
	require.Equal(t, `[1, 2]`, string(members[0].Value))
	require.Equal(t, `b"`, string(members[1].Name()))
	for _, object := range []string{
		``, `[]`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,"a":2}`, "{\"a\":\"\xff\"}", `{"a":1} {}`, `{"a":1}x`, `{"a":1,}`, `{1:2}`,
	} {
		_, err := wire.Members([]byte(object))
		require.Error(t, err, object)
	}
}

func TestWalk(t *testing.T) {
	t.Parallel()
	object := `{ "a" : "x\\" ,"\u0062":{"c":[ ]}, "d":-1e5 }`
	var walked []string
	for w := wire.Walk([]byte(object)); w.Next(); {
		require.Equal(t, object[w.Start:w.End], string(w.Value))
		require.Equal(t, string(w.Value), string(wire.Find([]byte(object), string(w.Name))))
		walked = append(walked, string(w.Name)+string(w.Value))
	}
	require.Equal(t, []string{`"a""x\\"`, `"b"{"c":[ ]}`, `"d"-1e5`}, walked)
	require.Nil(t, wire.Find([]byte(object), `"c"`))
	require.True(t, wire.EmptyList(wire.Find(wire.Find([]byte(object), `"b"`), `"c"`)))
}

// Whether a value is empty can be asked of a text that has not been read as JSON yet.
func TestEmpty(t *testing.T) {
	t.Parallel()
	for _, space := range []string{"", " ", "\t\r\n ", strings.Repeat(" ", 100)} {
		for _, after := range []string{"", " ", "\n\n"} {
			require.True(t, wire.EmptyList([]byte("["+space+"]"+after)))
			require.True(t, wire.EmptyObject([]byte("{"+space+"}"+after)))
		}
		for _, text := range []string{
			"", "[", "{", "]", "}", "[}", "{]", "[x", "{x", "[0]", "[[]]", `{"a":1}`, "[]x", "{}x", "[] x", "{}{}", "[,]", "[\v]", "{\xa0}", "null", `"[]"`, "0",
		} {
			for _, text := range []string{text + space, strings.Replace(text, "[", "["+space, 1), strings.Replace(text, "{", "{"+space, 1)} {
				require.False(t, wire.EmptyList([]byte(text)), "%q", text)
				require.False(t, wire.EmptyObject([]byte(text)), "%q", text)
			}
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`"a"`: "a", `"\u0061\n"`: "a\n", "\"\xff\"": "\uFFFD", `1`: "", `null`: "", ``: "", `{}`: "",
	} {
		require.Equal(t, want, wire.Text([]byte(raw)))
		if wire.Kind([]byte(raw)) == '"' {
			require.Equal(t, "before"+want, string(wire.AppendText([]byte("before"), []byte(raw))))
		}
	}
	require.Equal(t, `1`, string(wire.Trim([]byte("\t1 \r\n"))))
}

func TestAppendLine(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`{"a": [1, 2]}`: `{"a": [1, 2]}`, "{\n\"a\": [1,\r\n\t2], \"b c\": \" \\\" \"}": `{"a":[1,2],"b c":" \" "}`,
	} {
		require.Equal(t, want, string(wire.AppendLine(nil, []byte(value))))
	}
	for object, want := range map[string]string{
		``: `{`, ` { } `: `{`, `{}`: `{`, ` { "a":1, "b":2 } `: `{,"a":1, "b":2`, "{\"a\":\n1}": `{,"a":1`,
	} {
		require.Equal(t, want, string(wire.AppendMembers([]byte("{"), []byte(object))))
	}
}

func TestFindEach(t *testing.T) {
	t.Parallel()
	names := []string{`"name"`, `"user"`, `"a/b"`}
	for _, tt := range []struct {
		name, object string
		want         [3]string
	}{
		{"in any order", `{"user":{"name":"inner"},"name":"outer"}`, [3]string{`"outer"`, `{"name":"inner"}`, ``}},
		{"among others, with white space", "{ \"x\" : [1,2] ,\n\"name\" : null }", [3]string{`null`, ``, ``}},
		{"with names that are written with escapes", `{"n\u0061me":1,"\u0075ser":2,"a\/b":3}`, [3]string{`1`, `2`, `3`}},
		{"not by a part of a name", `{"nam":1,"names":2,"n\u0061mes":3,"":4}`, [3]string{}},
		{"in an empty object", `{}`, [3]string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var values [3][]byte
			wire.FindEach([]byte(tt.object), names, values[:])
			for i, want := range tt.want {
				require.Equal(t, want, string(values[i]), names[i])
			}
		})
	}
}

func TestFindEachAllocations(t *testing.T) {
	object, names := []byte(`{"category":"Auth","name":"Registered","user":{"userId":"u1"}}`), []string{`"name"`, `"user"`}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		var values [2][]byte
		wire.FindEach(object, names, values[:])
	}))
}

// FuzzEdit checks that an edited value is valid, and differs at the path and nowhere else.
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
