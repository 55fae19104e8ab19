package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

var roomy = Limits{Depth: 200, Members: 10000, Bytes: 32768, Items: 2500}

func read(t testing.TB, body string, limits Limits) *Document {
	d := new(Document)
	require.NoError(t, d.Read([]byte(body), `"batch"`, limits))
	return d
}

func TestDocumentSplitsRootAndItems(t *testing.T) {
	t.Parallel()
	d := read(t, ` { "a" : 1 ,"batch":[ {"x":"}","y":[{"z":"]"}]} , 7, {"w":true}, {} ] , "b":"two" } `, roomy)

	require.Equal(t, 3, d.Root().Len())
	require.Equal(t, `"a"`, string(d.Root().Name(0)))
	require.Equal(t, `1`, string(d.Root().Value(0)))
	require.Equal(t, `"two"`, string(d.Root().Get(`"b"`)))

	items, listed := d.Items()
	require.True(t, listed)
	require.Len(t, items, 4)
	require.Equal(t, `[{"z":"]"}]`, string(items[0].Get(`"y"`)))
	require.Equal(t, NotObject, items[1].Fault.Kind)
	require.Equal(t, `true`, string(items[2].Get(`"w"`)))
	require.Equal(t, 2, items[3].Size)
	require.Zero(t, items[3].Len())
}

func TestDocumentFaultsStayWithTheirItem(t *testing.T) {
	t.Parallel()
	many := "{" + manyMembers(11) + "}"
	for name, tc := range map[string]struct {
		item string
		want Fault
	}{
		"a name twice":                {`{"a":1,"b":2,"a":3}`, Fault{Duplicate, "a"}},
		"a name twice, once escaped":  {`{"a":1,"\u0061":3}`, Fault{Duplicate, "a"}},
		"a name twice, deep":          {`{"p":[{"q":{"a":1,"a":2}}]}`, Fault{Duplicate, "a"}},
		"names equal once repaired":   {"{\"\xff\":1,\"\xfe\":2}", Fault{Duplicate, "\uFFFD"}},
		"halves of pairs as names":    {`{"\ud800":1,"\udc00":2}`, Fault{Duplicate, "\uFFFD"}},
		"too deep":                    {`{"a":[[[[1]]]]}`, Fault{TooDeep, ""}},
		"as deep as may be":           {`{"a":[[[1]]]}`, Fault{}},
		"too many members":            {many, Fault{TooManyMembers, ""}},
		"too long":                    {`{"a":"` + strings.Repeat("x", 300) + `"}`, Fault{TooLarge, ""}},
		"the same name in two arrays": {`{"a":[{"b":1},{"b":2}],"b":{"a":1,"b":2}}`, Fault{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := Limits{Depth: 4, Members: 10, Bytes: 200, Items: 5}
			d := read(t, `{"batch":[{"ok":1},`+tc.item+`,{"ok":2}]}`, limits)
			items, _ := d.Items()
			require.Len(t, items, 3)
			require.Equal(t, tc.want, items[1].Fault)
			for _, i := range []int{0, 2} {
				require.Equal(t, None, items[i].Fault.Kind)
				require.NotNil(t, items[i].Get(`"ok"`))
			}
		})
	}
}

func manyMembers(n int) string {
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf(`"m%d":%d`, i, i))
	}
	return strings.Join(members, ",")
}

func TestDocumentFindsDuplicatesAmongManyNames(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, manyNames - 2, manyNames - 1, manyNames, manyNames + 1, 500, 5000} {
		// the first name again at the end, past nested objects with many names too
		nested := `"n1":{` + manyMembers(60) + `},"n2":{` + manyMembers(60) + `}`
		body := `{` + manyMembers(n) + `,` + nested + `,"last":0}`
		d := new(Document)
		require.NoError(t, d.Read([]byte(body), `"batch"`, Limits{}))
		body = strings.Replace(body, `"last"`, fmt.Sprintf(`"m%d"`, n/2), 1)
		var fault *FaultError
		require.ErrorAs(t, d.Read([]byte(body), `"batch"`, Limits{}), &fault, n)
		require.Equal(t, Fault{Duplicate, fmt.Sprintf("m%d", n/2)}, fault.Fault)
	}
}

func TestDocumentReportsWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]SyntaxError{
		``:                     {0, "the body is empty"},
		"  \n":                 {3, "the body is empty"},
		`{`:                    {1, "the text ends too early"},
		`{"a":1`:               {6, "the text ends too early"},
		`{"a":"b`:              {7, "the text ends too early"},
		`{'a':1}`:              {1, `strings and names stand in double quotes, not in '\''`},
		`{"a":True}`:           {5, `true, false and null are written in small letters: unexpected 'T'`},
		`{"a":NaN}`:            {5, `JSON has no NaN and no Infinity: unexpected 'N'`},
		`{"a":1 "b":2}`:        {7, `a comma is missing before '"'`},
		`{"a":1,}`:             {7, `a comma too many, or a value too few, before '}'`},
		`{"a":}`:               {5, `a comma too many, or a value too few, before '}'`},
		`{"a":1} {}`:           {8, `unexpected character '{'`},
		`{"type": identify}`:   {9, `unexpected character 'i'`},
		"\ufeff{}":             {0, `unexpected character '\ufeff'`},
		`{"a":"\x"}`:           {6, `unexpected character '\\'`},
		"{\"a\":\"line\nbr\"}": {10, `unexpected character '\n'`},
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			var syntax *SyntaxError
			require.ErrorAs(t, new(Document).Read([]byte(body), `"batch"`, roomy), &syntax)
			require.Equal(t, want, *syntax)
		})
	}
}

func TestDocumentRefusesARootThatIsNoObject(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`[]`, `null`, `"x"`, `1`} {
		require.ErrorIs(t, new(Document).Read([]byte(body), `"batch"`, roomy), ErrNotObject, body)
	}
}

func TestDocumentStopsAtTheLastItemAllowed(t *testing.T) {
	t.Parallel()
	limits := Limits{Items: 3}
	require.NoError(t, new(Document).Read([]byte(`{"batch":[{},{},{}]}`), `"batch"`, limits))
	require.ErrorIs(t, new(Document).Read([]byte(`{"batch":[{},{},{},{}]}`), `"batch"`, limits), ErrTooManyItems)
}

func TestDocumentRepairsBrokenText(t *testing.T) {
	t.Parallel()
	d := read(t, "{\"w\":\"ok\",\"batch\":[{\"a\":\"fine \\ud83d\\ude00\"},{\"a\":\"b\xffd\"},{\"a\":\"\\ud83d cut\"}]}", roomy)
	items, _ := d.Items()
	require.False(t, d.Repaired())
	require.False(t, items[0].Repaired)
	require.True(t, items[1].Repaired)
	require.Equal(t, "\"b\uFFFDd\"", string(items[1].Get(`"a"`)))
	require.Equal(t, len("{\"a\":\"b\xffd\"}"), items[1].Size, "the size is the one received")
	require.True(t, items[2].Repaired)
	require.Equal(t, `"\ufffd cut"`, string(items[2].Get(`"a"`)))
}

func TestDocumentReadAllocatesNothingOnceWarm(t *testing.T) {
	body := []byte(`{"batch":[{"a":{"b":[1,2,{"c":"d"}]},"e":"f"},{"a":1}],"sentAt":"x"}`)
	d := new(Document)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := d.Read(body, `"batch"`, roomy); err != nil {
			t.Error(err)
		}
	}))
}

// lenient is the grammar alone, as the library has it.
func lenient() []jsontext.Options {
	return []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
}

// What is ours must agree with the library on the grammar, with its strict mode on
// what is a duplicate or broken text, and find the members that encoding/json does.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{"batch":[{"a":1,"b":{"c":[{}]}},2],"x":"y"}`, `{"a":1,"\u0061":2}`, "{\"\xff\":\"\\ud800\"}",
		`{"a":{"b":{"c":1,"c":2}}}`, ` { "a" : [ 1 , { "b" : null } ] } `, `{"batch":[{"a":1,"a":1}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d := new(Document)
		err := d.Read(body, `"batch"`, Limits{})
		var syntax *SyntaxError
		if errors.As(err, &syntax) {
			require.False(t, jsontext.Value(body).IsValid(lenient()...))
			require.LessOrEqual(t, syntax.Offset, int64(len(body)))
			return
		}
		require.True(t, jsontext.Value(body).IsValid(lenient()...))
		if err != nil {
			return
		}
		clean := !d.Repaired()
		duplicates := false
		items, _ := d.Items()
		for _, it := range items {
			clean = clean && !it.Repaired
			duplicates = duplicates || it.Fault.Kind == Duplicate
		}
		strict := jsontext.Value(body).IsValid()
		require.Equal(t, strict, clean && !duplicates)
		if !strict {
			return
		}
		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(body, &want))
		require.Len(t, want, d.Root().Len())
		for i := range d.Root().Len() {
			name := Text(d.Root().Name(i))
			require.True(t, bytes.Equal(want[name], d.Root().Value(i)), name)
		}
	})
}
