package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/jsoncases"
)

var wideLimits = Limits{Depth: 200, Members: 10000, Bytes: 32768, Items: 2500}

func read(t testing.TB, body string, limits Limits) *Document {
	d := new(Document)
	require.NoError(t, d.Read([]byte(body), `"batch"`, limits))
	return d
}

func TestDocument(t *testing.T) {
	t.Parallel()
	t.Run("root and items", func(t *testing.T) {
		t.Parallel()
		d := read(t, ` { "a" : 1 ,"batch":[ {"x":"}","y":[{"z":"]"}]} , 7, {"w":true}, {} ] , "b":"two" } `, wideLimits)

		require.Equal(t, 3, d.Root().Len())
		require.Equal(t, `"a"`, string(d.Root().Name(0)))
		require.Equal(t, `1`, string(d.Root().Value(0)))
		require.Equal(t, `"two"`, string(d.Root().Get(`"b"`)))

		items, listed := d.Items()
		require.True(t, listed)
		require.Equal(t, 4, items.Len())
		require.Equal(t, `[{"z":"]"}]`, string(items.At(0).Get(`"y"`)))
		require.Equal(t, NotObject, items.At(1).Fault.Kind)
		require.Equal(t, `true`, string(items.At(2).Get(`"w"`)))
		require.Equal(t, 2, items.At(3).Size)
		require.Zero(t, items.At(3).Len())
	})
	t.Run("duplicates among many names", func(t *testing.T) {
		t.Parallel()
		for _, n := range []int{1, minTableNames - 2, minTableNames - 1, minTableNames, minTableNames + 1, 500, 5000} {
			// a name again at the end, after nested objects that have many names too
			nested := `"n1":{` + manyMembers(60) + `},"n2":{` + manyMembers(60) + `}`
			body := `{` + manyMembers(n) + `,` + nested + `,"last":0}`
			d := new(Document)
			require.NoError(t, d.Read([]byte(body), `"batch"`, Limits{}))
			body = strings.Replace(body, `"last"`, fmt.Sprintf(`"m%d"`, n/2), 1)
			var fault *FaultError
			require.ErrorAs(t, d.Read([]byte(body), `"batch"`, Limits{}), &fault, n)
			require.Equal(t, Fault{Duplicate, fmt.Sprintf("m%d", n/2)}, fault.Fault)
		}
	})
	t.Run("root not an object", func(t *testing.T) {
		t.Parallel()
		for _, body := range []string{`[]`, `null`, `"x"`, `1`} {
			require.ErrorIs(t, new(Document).Read([]byte(body), `"batch"`, wideLimits), ErrNotObject, body)
		}
	})
	t.Run("item limit", func(t *testing.T) {
		t.Parallel()
		limits := Limits{Items: 3}
		require.NoError(t, new(Document).Read([]byte(`{"batch":[{},{},{}]}`), `"batch"`, limits))
		require.ErrorIs(t, new(Document).Read([]byte(`{"batch":[{},{},{},{}]}`), `"batch"`, limits), ErrTooManyItems)
	})
	t.Run("invalid text repaired", func(t *testing.T) {
		t.Parallel()
		d := read(t, "{\"w\":\"ok\",\"batch\":[{\"a\":\"fine \\ud83d\\ude00\"},{\"a\":\"b\xffd\"},{\"a\":\"\\ud83d cut\"}]}", wideLimits)
		items, _ := d.Items()
		require.False(t, d.Repaired())
		require.False(t, items.At(0).Repaired)
		require.True(t, items.At(1).Repaired)
		require.Equal(t, "\"b\uFFFDd\"", string(items.At(1).Get(`"a"`)))
		require.Equal(t, len("{\"a\":\"b\xffd\"}"), items.At(1).Size, "the size is the one received")
		require.True(t, items.At(2).Repaired)
		require.Equal(t, `"\ufffd cut"`, string(items.At(2).Get(`"a"`)))
	})
}

func TestDocumentFaults(t *testing.T) {
	t.Parallel()
	many := "{" + manyMembers(11) + "}"
	for name, tc := range map[string]struct {
		item string
		want Fault
	}{
		"a name twice":                 {`{"a":1,"b":2,"a":3}`, Fault{Duplicate, "a"}},
		"a name twice, one escaped":    {`{"a":1,"\u0061":3}`, Fault{Duplicate, "a"}},
		"a name twice, deep":           {`{"p":[{"q":{"a":1,"a":2}}]}`, Fault{Duplicate, "a"}},
		"names equal once repaired":    {"{\"\xff\":1,\"\xfe\":2}", Fault{Duplicate, "\uFFFD"}},
		"unpaired surrogates as names": {`{"\ud800":1,"\udc00":2}`, Fault{Duplicate, "\uFFFD"}},
		"too deep":                     {`{"a":[[[[1]]]]}`, Fault{TooDeep, ""}},
		"maximum depth":                {`{"a":[[[1]]]}`, Fault{}},
		"too many members":             {many, Fault{TooManyMembers, ""}},
		"too large":                    {`{"a":"` + strings.Repeat("x", 300) + `"}`, Fault{TooLarge, ""}},
		"the same name in two arrays":  {`{"a":[{"b":1},{"b":2}],"b":{"a":1,"b":2}}`, Fault{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := Limits{Depth: 4, Members: 10, Bytes: 200, Items: 5}
			d := read(t, `{"batch":[{"ok":1},`+tc.item+`,{"ok":2}]}`, limits)
			items, _ := d.Items()
			require.Equal(t, 3, items.Len())
			require.Equal(t, tc.want, items.At(1).Fault)
			for _, i := range []int{0, 2} {
				require.Equal(t, None, items.At(i).Fault.Kind)
				require.NotNil(t, items.At(i).Get(`"ok"`))
			}
		})
	}
}

// In a single event, a list with the name of the list of events is data like any other.
func TestAsItem(t *testing.T) {
	t.Parallel()
	limits := Limits{Depth: 6, Members: 10, Bytes: 60, Items: 20}
	for _, list := range []string{
		`[]`, `[1,"a",null]`, `[{"a":1},{"a":1}]`, `["` + strings.Repeat("x", 100) + `"]`, `[{"` + strings.Repeat("x", 100) + `":1}]`,
		`[{"a":1,"a":2}]`, `[[{"a":1,"a":2}]]`, `[1,[[{"b":[{"a":1,"\u0061":2}]}]]]`, `[{"a":1},[{"a":1,"b":{"c":1,"c":2}}]]`,
		`[[[[1]]]]`, `[[[[[1]]]]]`, `[{"a":{"a":{"a":1}}}]`, `[{"a":{"a":{"a":{}}}}]`, `[[],[[[{}]]],[]]`, `[[],[[[[]]]],[]]`,
		`[` + strings.Repeat(`{"a":1},`, 7) + `{}]`, `[` + strings.Repeat(`{"a":1},`, 8) + `{}]`, `[[` + strings.Repeat(`{"a":1},`, 8) + `{}]]`,
		"[\"\xff\"]", `[["\ud800"]]`, "[{\"\xff\":1,\"\xfe\":2}]", `[[{"\ud800":1,"\udfff":2}]]`,
	} {
		t.Run(list, func(t *testing.T) {
			t.Parallel()
			body := []byte(`{"event":"E","batch":` + list + `}`)
			requireAsItem(t, body, limits)
		})
	}
}

// requireAsItem checks that a body is the same event whether it is read with a list or not.
func requireAsItem(t testing.TB, body []byte, limits Limits) {
	t.Helper()
	var d, whole Document
	if d.Read(body, `"batch"`, limits) != nil {
		return
	}
	got, want := d.AsItem(), Fault{}
	if err := whole.Read(body, "", limits); err != nil {
		var fault *FaultError
		require.ErrorAs(t, err, &fault)
		want = fault.Fault
	}
	require.Equal(t, want.Kind == None, got.Fault.Kind == None, "%s: %v", body, got.Fault)
	if want.Kind == None {
		require.Equal(t, whole.AsItem().Repaired, got.Repaired)
		requireSameObject(t, whole.Root(), got.Object)
	}
}

func manyMembers(n int) string {
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf(`"m%d":%d`, i, i))
	}
	return strings.Join(members, ",")
}

func TestSyntaxError(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]SyntaxError{
		``:                     {0, "unexpected end of an empty body"},
		"  \n":                 {3, "unexpected end of an empty body"},
		`{`:                    {1, "unexpected end of the JSON text"},
		`{"a":1`:               {6, "unexpected end of the JSON text"},
		`{"a":"b`:              {7, "unexpected end of the JSON text"},
		`{'a':1}`:              {1, `strings and names must be in double quotes: unexpected '\''`},
		`{"a":True}`:           {5, `true, false and null must be in lower case: unexpected 'T'`},
		`{"a":NaN}`:            {5, `NaN and Infinity are not valid in JSON: unexpected 'N'`},
		`{"a":1 "b":2}`:        {7, `missing comma before '"'`},
		`{"a":1,}`:             {7, `trailing comma or missing value before '}'`},
		`{"a":}`:               {5, `trailing comma or missing value before '}'`},
		`{"a":1} {}`:           {8, `unexpected character '{'`},
		`{"type": identify}`:   {9, `unexpected character 'i'`},
		"\ufeff{}":             {0, `unexpected character '\ufeff'`},
		`{"a":"\x"}`:           {6, `unexpected character '\\'`},
		"{\"a\":\"line\nbr\"}": {10, `unexpected character '\n'`},
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			var syntax *SyntaxError
			require.ErrorAs(t, new(Document).Read([]byte(body), `"batch"`, wideLimits), &syntax)
			require.Equal(t, want, *syntax)
		})
	}
}

func TestDocumentAllocations(t *testing.T) {
	body := []byte(`{"batch":[{"a":{"b":[1,2,{"c":"d"}]},"e":"f"},{"a":1}],"sentAt":"x"}`)
	d := new(Document)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := d.Read(body, `"batch"`, wideLimits); err != nil {
			t.Error(err)
		}
	}))
}

// The cases are those of jsoncases, as a value in an event and as a root.
func TestGrammar(t *testing.T) {
	t.Parallel()
	t.Run("valid", func(t *testing.T) {
		t.Parallel()
		for name, text := range jsoncases.Valid() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				require.True(t, json.Valid([]byte(text)), "the case is wrong")
				it, got, err := asEvent(text)
				require.NoError(t, err)
				require.Equal(t, None, it.Fault.Kind)
				require.False(t, it.Repaired)
				require.Equal(t, strings.Trim(text, " \t\r\n"), got)
				requireRoot(t, text, true)
			})
		}
	})
	t.Run("invalid", func(t *testing.T) {
		t.Parallel()
		for name, text := range jsoncases.Invalid() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				require.False(t, json.Valid([]byte(text)), "the case is wrong")
				requireRoot(t, text, false)
				_, _, err := asEvent(text)
				var syntax *SyntaxError
				require.ErrorAs(t, err, &syntax)
			})
		}
	})
	t.Run("choices", func(t *testing.T) {
		t.Parallel()
		for name, choice := range jsoncases.Choices() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				it, got, err := asEvent(choice.Text)
				switch choice.Want {
				case jsoncases.Refused:
					var syntax *SyntaxError
					require.ErrorAs(t, err, &syntax)
				case jsoncases.Deep:
					require.NoError(t, err)
					require.Equal(t, TooDeep, it.Fault.Kind)
				case jsoncases.Kept:
					require.NoError(t, err)
					require.False(t, it.Repaired)
					require.Equal(t, choice.Text, got)
				case jsoncases.Repaired:
					require.NoError(t, err)
					require.True(t, it.Repaired)
					require.True(t, utf8.ValidString(got))
					requireSameValue(t, choice.Text, got)
				}
			})
		}
	})
}

// asEvent reads value as a member of an event in a batch, and returns what was read.
func asEvent(value string) (it Item, got string, err error) {
	d := new(Document)
	if err := d.Read([]byte(`{"batch":[{"v":`+value+`}]}`), `"batch"`, wideLimits); err != nil {
		return Item{}, "", err
	}
	items, _ := d.Items()
	return items.At(0), string(items.At(0).Get(`"v"`)), nil
}

// requireRoot checks whether a text is accepted as a body, or refused only because its root
// is not an object.
func requireRoot(t testing.TB, text string, want bool) {
	t.Helper()
	var syntax *SyntaxError
	err := new(Document).Read([]byte(text), `"batch"`, Limits{})
	require.Equal(t, want, !errors.As(err, &syntax), "%v", err)
	if want && !strings.HasPrefix(strings.TrimSpace(text), "{") {
		require.ErrorIs(t, err, ErrNotObject)
	}
}

// requireSameValue checks that a repaired text has the value that encoding/json, which repairs
// in the same way, reads from the invalid one.
func requireSameValue(t testing.TB, invalid, got string) {
	t.Helper()
	require.Equal(t, decoded(t, invalid), decoded(t, got))
}

// decoded reads a value with encoding/json, with numbers as their text.
func decoded(t testing.TB, text string) (value any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	require.NoError(t, d.Decode(&value), "%q", text)
	return value
}

// lenient makes the library check the grammar alone.
func lenient() []jsontext.Options {
	return []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
}

// FuzzDocument compares the reader to the library: on the grammar, and with its strict mode
// on duplicate names and invalid text. It must find the members that encoding/json finds.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{"batch":[{"a":1,"b":{"c":[{}]}},2],"x":"y"}`, `{"a":1,"\u0061":2}`, "{\"\xff\":\"\\ud800\"}",
		`{"a":{"b":{"c":1,"c":2}}}`, ` { "a" : [ 1 , { "b" : null } ] } `, `{"batch":[{"a":1,"a":1}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		requireAsItem(t, body, Limits{Depth: 6, Members: 10, Bytes: 100, Items: 100})
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
		for i := range items.Len() {
			it := items.At(i)
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

// FuzzAgainstStandard compares the reader to encoding/json: both accept a text or both
// refuse it, and read the same value. Three differences are intended: duplicate names,
// which encoding/json accepts, are a fault; invalid text, which it repairs silently, is
// marked; and how deep a text may be nested.
func FuzzAgainstStandard(f *testing.F) {
	for _, text := range jsoncases.Valid() {
		f.Add([]byte(text))
	}
	for _, text := range jsoncases.Invalid() {
		if len(text) < 1000 {
			f.Add([]byte(text))
		}
	}
	for _, choice := range jsoncases.Choices() {
		f.Add([]byte(choice.Text))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		body := fmt.Appendf(nil, `{"batch":[{"v":%s}]}`, value)
		if depthOf(body) > 9_990 {
			return
		}
		d := new(Document)
		var syntax *SyntaxError
		err := d.Read(body, `"batch"`, Limits{})
		require.Equal(t, json.Valid(body), !errors.As(err, &syntax), "%v", err)
		items, _ := d.Items()
		if err != nil || items.Len() != 1 || items.At(0).Fault.Kind != None || items.At(0).Len() != 1 {
			return
		}
		if !items.At(0).Repaired {
			require.True(t, bytes.Contains(body, items.At(0).Value(0)))
		}
		var want struct{ Batch []map[string]any }
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&want))
		if len(want.Batch) != 1 { // "Batch" and "batch": encoding/json ignores case
			return
		}
		require.Equal(t, want.Batch[0]["v"], decoded(t, string(items.At(0).Value(0))))
	})
}

// depthOf returns an upper bound of how deep a text is nested.
func depthOf(text []byte) int { return bytes.Count(text, []byte{'['}) + bytes.Count(text, []byte{'{'}) }
