package wire_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/wire"
)

// searched returns what a search finds, as text.
func searched(body string, names ...string) (found []string) {
	wire.NewSearcher(names).Search([]byte(body), `"batch"`, func(item, name int, value []byte) bool {
		found = append(found, fmt.Sprintf("%d %s %s", item, names[name], value))
		return true
	})
	return found
}

// indexed returns what the index of a body says that a search finds, in the order of items.
func indexed(d *wire.Document, names ...string) (root, items []string) {
	in := func(item int, o wire.Object) (found []string) {
		for i := range o.Len() {
			for _, name := range names {
				if string(o.Name(i)) == name && !(item < 0 && name == `"batch"`) {
					found = append(found, fmt.Sprintf("%d %s %s", item, name, o.Value(i)))
				}
			}
		}
		return found
	}
	list, _ := d.Items()
	for i := range list.Len() {
		items = append(items, in(i, list.At(i).Object)...)
	}
	return in(-1, d.Root()), items
}

func TestSearch(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		`{}`:                              nil,
		`[]`:                              nil,
		``:                                nil,
		`{"k":"v"}`:                       {`-1 "k" "v"`},
		` { "k" : "v" , "l":1 } `:         {`-1 "k" "v"`, `-1 "l" 1`},
		`{"a":{"k":1},"b":[{"k":1}]}`:     nil,
		`{"\u006b":"v","\u006B\u006b":1}`: {`-1 "k" "v"`},
		`{"batch":[{"k":"1"},2,{"a":{},"k":[{"k":"}"}]}],"k":"\"\\"}`: {`0 "k" "1"`, `2 "k" [{"k":"}"}]`, `-1 "k" "\"\\"`},
		`{"\u0062atch":[{"k":1}]}`:                                    {`0 "k" 1`},
		`{"batch":{"k":1}}`:                                           nil,
		`{"k":"v`:                                                     nil,
		`{"k":"v",`:                                                   {`-1 "k" "v"`},
		`{"a":],"k":"v"}`:                                             nil,
		`{"a":tru,"k":"v"}`:                                           {`-1 "k" "v"`},
		`{"k":"\`:                                                     nil,
		`{"batch":[{"k":"v"}`:                                         {`0 "k" "v"`},
	} {
		require.Equal(t, want, searched(body, `"k"`, `"l"`), "%s", body)
	}
	t.Run("the end first", func(t *testing.T) {
		t.Parallel()
		for body, want := range map[string]string{
			`{"batch":[` + strings.Repeat(`{"k":"1"},`, 100) + `{}],"k":"v"}`: `"v"`,
			`{"k" : "v" , "l":{"k":1},"m":[]} `:                               ``,
			`{"k" : "v" , "l":{"m":1},"m":[]} `:                               `"v"`,
			`{"k":1}`:                                                         ``,
			`{"batch":[{"k":"v"}]}`:                                           ``,
			`{"a":{"k":"v"}}`:                                                 ``,
			`{"a":"k","b":"\"k","k":""}`:                                      `""`,
			`{"a":"\"k"}`:                                                     ``,
			`{"k":"v"`:                                                        ``,
			`{"k":"v",}`:                                                      ``,
			``:                                                                ``,
		} {
			require.Equal(t, want, string(wire.NewSearcher([]string{`"k"`, `"l"`}).Tail([]byte(body))), "%s", body)
		}
	})
	t.Run("ends when it is told to", func(t *testing.T) {
		t.Parallel()
		calls := 0
		wire.NewSearcher([]string{`"k"`}).Search([]byte(`{"batch":[{"k":1},{"k":2}],"k":3}`), `"batch"`, func(int, int, []byte) bool {
			calls++
			return calls < 2
		})
		require.Equal(t, 2, calls)
	})
}

// FuzzSearch compares a search with the index, and its check with the errors of that.
func FuzzSearch(f *testing.F) {
	for _, body := range []string{
		`{"k":"v","batch":[{"k":1,"l":{}},2]}`, `{"\u006b":[{"k":1}],"x":"\\"}`, `{"batch":[[{"k":1}]],"batch ":[]}`, `{"k":"v`, `[1]`, `{"a":{"a":1,"a":2}}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		found := searched(body, `"k"`, `"l"`)
		var d wire.Document
		err := d.Read([]byte(body), `"batch"`, wire.Limits{Items: 3})
		check := wire.Check([]byte(body), `"batch"`, 3)
		last := wire.NewSearcher([]string{`"k"`}).Tail([]byte(body))
		if _, fault := err.(*wire.FaultError); fault || err == wire.ErrTooManyItems {
			return // of lists whose name is written with escapes, and of what only the index looks for
		}
		require.Equal(t, err == nil, check == nil, "%v, %v", err, check)
		if err != nil || d.Repaired() {
			return
		}
		if last != nil {
			require.Equal(t, string(d.Root().Get(`"k"`)), string(last))
		}
		items, _ := d.Items()
		for i := range items.Len() {
			if items.At(i).Fault.Kind != wire.None || items.At(i).Repaired {
				return
			}
		}
		root, inItems := indexed(&d, `"k"`, `"l"`)
		var foundInRoot, foundInItems []string
		for _, text := range found {
			if strings.HasPrefix(text, "-1 ") {
				foundInRoot = append(foundInRoot, text)
			} else {
				foundInItems = append(foundInItems, text)
			}
		}
		require.Equal(t, root, foundInRoot)
		require.Equal(t, inItems, foundInItems)
	})
}

// A meter counts what it is asked for, and refuses what is beyond its limit.
type meter struct{ asked, most int64 }

func (m *meter) Reserve(n int64) error {
	if m.asked += n; m.asked > m.most {
		return errTooMuch
	}
	return nil
}

var errTooMuch = errors.New("too much")

// What a document makes is asked for before, whatever the body is, and a refusal ends the
// pass with its error.
func TestMeter(t *testing.T) {
	t.Parallel()
	members := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	for name, body := range map[string]string{
		"members of the root":  `{` + members(9000, `"%x":1,`) + `}`,
		"members of an item":   `{"batch":[{` + members(9000, `"%x":1,`) + `}]}`,
		"small items":          `{"batch":[` + members(2500, `{"%x":1},`) + `]}`,
		"items of other kinds": `{"batch":[` + strings.Repeat("1,", 2400) + `1]}`,
		"names with escapes":   `{` + members(5000, `"\u0041%x":1,`) + `}`,
		"deep levels":          `{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`,
		"inner objects":        `{"batch":[` + members(1000, `{"a":{"%x":1},"b":{"user":{"c":1}}},`) + `]}`,
		"invalid text":         `{"a":"` + strings.Repeat("\xff", 10_000) + `"}`,
		"half invalid text":    `{"a":"` + strings.Repeat("\xffa", 10_000) + `"}`,
		"unpaired surrogates":  `{"a":"` + strings.Repeat(`\ud800`, 3000) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := wire.Limits{Depth: 200, Members: 10_000, Items: 2500}
			for _, read := range []func(d *wire.Document) (made int64, err error){
				func(d *wire.Document) (int64, error) {
					err := d.Read([]byte(body), `"batch"`, limits)
					return d.Memory(), err
				},
				func(d *wire.Document) (int64, error) {
					o := wire.Outline{Watch: wire.NewWatch(`"user"`)}
					err := o.Read(d, []byte(body), `"batch"`, limits)
					return d.Memory() + o.Memory(), err
				},
			} {
				var d wire.Document
				m := meter{most: 1 << 40}
				d.SetMeter(&m)
				made, err := read(&d)
				if _, fault := err.(*wire.FaultError); err != nil {
					require.True(t, fault, "%v", err)
				}
				require.GreaterOrEqual(t, m.asked, made)
				t.Logf("body %d, made %d, asked for %d", len(body), made, m.asked)
				asked := m.asked
				for most := int64(0); most < asked; most += asked/20 + 1 {
					var d wire.Document
					d.SetMeter(&meter{most: most})
					_, err := read(&d)
					require.ErrorIs(t, err, errTooMuch)
					require.Zero(t, d.Root().Len())
					d.SetMeter(nil)
					_, err = read(&d)
					if _, fault := err.(*wire.FaultError); err != nil {
						require.True(t, fault, "%v", err)
					}
				}
			}
		})
	}
}
