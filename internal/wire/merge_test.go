package wire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// plainMerge is [AppendMergedNoting] as it is defined: it looks for each name among all
// names of the other object.
func plainMerge(dst, under, over []byte, path string, levels int, lost func(path string, value []byte)) []byte {
	dst = append(dst, '{')
	first := len(dst)
	for name, value := range members(over) {
		dst = appendName(dst, first, name)
		old, below := memberOf(under, name), path+"."+Text(name)
		if levels > 1 && Kind(value) == '{' && Kind(old) == '{' {
			dst = plainMerge(dst, old, value, below, levels-1, lost)
			continue
		}
		if old != nil && !bytes.Equal(old, value) {
			lost(below, old)
		}
		dst = append(dst, value...)
	}
	for name, value := range members(under) {
		if memberOf(over, name) == nil {
			dst = append(appendName(dst, first, name), value...)
		}
	}
	return append(dst, '}')
}

func memberOf(object, quoted []byte) []byte {
	for name, value := range members(object) {
		if Text(name) == Text(quoted) {
			return value
		}
	}
	return nil
}

// requireMerge checks that two objects are merged as defined, alone and one after another.
func requireMerge(t testing.TB, d *Defaults, under, over string) {
	t.Helper()
	note := func(all *[]string) func(path string, value []byte) {
		return func(path string, value []byte) { *all = append(*all, path+"="+string(value)) }
	}
	var wantLost, gotLost []string
	want := plainMerge(nil, []byte(under), []byte(over), "p", maxMergeDepth, note(&wantLost))
	got := AppendMergedNoting([]byte("before"), []byte(under), []byte(over), "p", note(&gotLost))
	require.Equal(t, "before"+string(want), string(got))
	if len(under)+len(over) < maxPath && lenOf(wantLost) <= 2*len(over) {
		require.Equal(t, wantLost, gotLost)
	}
	require.Len(t, gotLost, len(wantLost))
	require.Equal(t, string(want), string(AppendMerged(nil, []byte(under), []byte(over))))

	d.Set([]byte(under))
	for _, wanted := range []string{`"a"`, `""`, `"none"`} {
		merged, start, end := d.AppendUnder([]byte("before"), []byte(over), wanted)
		require.Equal(t, "before"+string(want), string(merged))
		require.Equal(t, string(memberOf(want, []byte(wanted))), string(merged[start:end]))
		require.Equal(t, string(memberOf([]byte(under), []byte(wanted))), string(d.Find(wanted)))
	}
	d.Leave(`"a"`, `"none"`)
	left, start, end := d.AppendUnder(nil, []byte(over), `"a"`)
	require.Equal(t, string(memberOf([]byte(over), []byte(`"a"`))) == "", start == end)
	without := AppendEdited(nil, want, []string{`"a"`}, func(_, _ []byte) []byte { return nil })
	require.Equal(t, string(without), string(AppendEdited(nil, left, []string{`"a"`}, func(_, _ []byte) []byte { return nil })))
	d.Reset()
}

// lenOf returns how long texts are together.
func lenOf(texts []string) (n int) {
	for _, text := range texts {
		n += len(text)
	}
	return n
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	deep := func(levels int, inner string) string {
		return strings.Repeat(`{"a":`, levels) + inner + strings.Repeat("}", levels)
	}
	objects := []string{
		`{}`, `{ }`, `{"a":1}`, `{"a":{}}`, `{ "a" : { "b" : 1 , "c" : [ 2 ] } , "d" : null }`, `{"a":{"b":2,"c":{"d":1}},"d":{}}`,
		`{"\u0061":{"\u0062":3,"\"\n":"\u0063"},"":""}`, `{"d":4,"a":{"c":5}}`, `{"c":{"a":1},"b":{"a":1},"a":{"a":1}}`,
		deep(3, `{"x":1}`), deep(4, `{"y":1}`), deep(6, `{"x":2,"z":3}`), "{" + manyMembers(300) + "}", `{"m7":{"a":1},` + manyMembers(5) + `,"m299":1}`,
	}
	var d Defaults
	for _, under := range objects {
		for _, over := range objects {
			requireMerge(t, &d, under, over)
		}
	}
	t.Run("path is bounded", func(t *testing.T) {
		t.Parallel()
		long := strings.Repeat("x", 300)
		var paths []string
		AppendMergedNoting(nil, fmt.Appendf(nil, `{"a":{"%s":{"b":1}},"%s":1}`, long, long), fmt.Appendf(nil, `{"a":{"%s":{"b":2}},"%s":2}`, long, long), "p",
			func(path string, _ []byte) { paths = append(paths, path) })
		require.Equal(t, []string{"p.a.b", "p"}, paths)
	})
	t.Run("all paths together are bounded", func(t *testing.T) {
		t.Parallel()
		under := `{"` + strings.Repeat("x", 200) + `":{` + manyMembers(1_000) + `}}`
		over := `{"` + strings.Repeat("x", 200) + `":{` + strings.ReplaceAll(manyMembers(1_000), ":", ":9") + `}}`
		names, paths := 0, 0
		AppendMergedNoting(nil, []byte(under), []byte(over), "p", func(path string, _ []byte) {
			paths++
			names += len(path) - len("p")
		})
		require.Equal(t, 1_000, paths, "each lost value is reported")
		require.NotZero(t, names)
		require.LessOrEqual(t, names, 2*len(over))
	})
}

// Not parallel: allocations are counted for the whole process.
func TestDefaultsAllocations(t *testing.T) {
	under, over := []byte(`{"library":{"name":"x","version":"1"},"page":{"url":"u"}}`), []byte(`{"l\u0069brary":{"name":"y"},"ip":"::"}`)
	var d Defaults
	dst := make([]byte, 0, 1<<10)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		d.Set(under)
		for range 3 {
			dst, _, _ = d.AppendUnder(dst[:0], over, "")
		}
		d.Reset()
	}))
}

func FuzzMerge(f *testing.F) {
	f.Add(`{"a":{"b":1, "c":2},"d":3 }`, `{"\u0061":{"c":4},"e":5}`)
	f.Add(`{"a":{"a":{"a":{"a":{"x":1}}}}}`, `{"a":{"a":{"a":{"a":{"y":1}}}}}`)
	f.Add(`{ "x" : [1, {}] , "" : "\"" }`, `{"\u0078":[],"y":{"x":1}}`)
	var d Defaults
	f.Fuzz(func(t *testing.T, under, over string) {
		for _, object := range []string{under, over} {
			var read Document
			if read.Read([]byte(object), "", Limits{Depth: 50}) != nil || read.Repaired() || object[0] != '{' {
				return
			}
		}
		requireMerge(t, &d, under, over)
	})
}

// A value of the other object gives way where the rule says so, and is what is reported.
func TestMergePreferring(t *testing.T) {
	t.Parallel()
	isNull := func(own, _ []byte) bool { return string(own) == "null" }
	for _, c := range []struct{ under, over, want, lost string }{
		{`{"a":1,"b":2}`, `{"a":null}`, `{"a":1,"b":2}`, "over.a null"},
		{`{"a":{"b":[1, 2]}}`, `{"a":{"b":null,"c":3}}`, `{"a":{"b":[1, 2],"c":3}}`, "over.a.b null"},
		{`{"a":{"b":1}}`, `{"a":null}`, `{"a":{"b":1}}`, "over.a null"},
		{`{"a":1}`, `{"\u0061": null , "b":null}`, `{"\u0061":1,"b":null}`, "over.a null"},
		{`{"a":1}`, `{"a":2}`, `{"a":2}`, "under.a 1"},
	} {
		var d Defaults
		var lost []string
		d.Set([]byte(c.under))
		d.Note("under", func(path string, value []byte) { lost = append(lost, path+" "+string(value)) })
		d.Prefer("over", isNull)
		got, _, _ := d.AppendUnder(nil, []byte(c.over), "")
		require.Equal(t, c.want, string(got))
		require.Equal(t, c.lost, strings.Join(lost, ", "))
		require.JSONEq(t, c.want, string(AppendPreferred(nil, []byte(c.under), []byte(c.over), isNull)))
	}
}
