package wire_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/wire"
)

// What an index may have at most: so many times the bytes of its body, once invalid text in that is
// replaced, and what the names of its largest object need.
const (
	maxIndex      = 4
	maxOutlined   = 6 // with the outline that a migration needs
	maxIndexNames = 128 << 10
)

// counted counts what it is asked for.
type counted struct{ bytes int64 }

func (c *counted) Reserve(n int64) error {
	c.bytes += n
	return nil
}

// distinct repeats a text n times, separated by commas, with each # replaced by another of the
// shortest texts.
func distinct(text string, n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	all := make([]string, n)
	for i := range all {
		var name []byte
		for k := i + 1; k > 0; k /= len(letters) {
			name = append(name, letters[k%len(letters)])
		}
		all[i] = strings.ReplaceAll(text, "#", string(name))
	}
	return strings.Join(all, ",")
}

// shapes are bodies with a number of elements.
var shapes = map[string]func(n int) string{
	"numbers":                    func(n int) string { return listed(times("1", n)) },
	"empty objects":              func(n int) string { return listed(times("{}", n)) },
	"empty lists":                func(n int) string { return listed(times("[]", n)) },
	"texts":                      func(n int) string { return listed(times(`""`, n)) },
	"null":                       func(n int) string { return listed(times("null", n)) },
	"numbers and objects":        func(n int) string { return listed(times(`1,{},[]`, n)) },
	"objects of one member":      func(n int) string { return listed(times(`{"":0}`, n)) },
	"objects of one object":      func(n int) string { return listed(times(`{"":{"":0}}`, n)) },
	"objects of an empty object": func(n int) string { return listed(times(`{"":{}}`, n)) },
	"objects of five members":    func(n int) string { return listed(times(`{"a":1,"b":1,"c":1,"d":1,"e":1}`, n)) },
	"objects of 16 members":      func(n int) string { return listed(times(`{`+distinct(`"#":0`, 16)+`}`, n)) },
	"objects of 40 members":      func(n int) string { return listed(times(`{`+distinct(`"#":0`, 40)+`}`, n)) },
	"objects with escaped names": func(n int) string { return listed(times(`{`+distinct(`"\n#":0`, 4)+`}`, n)) },
	"minimal events":             func(n int) string { return listed(times(`{"type":"page","userId":"u"}`, n)) },
	"minimal events of 2.0":      func(n int) string { return listed(times(`{"event_name":"e"}`, n)) },
	"names twice":                func(n int) string { return listed(times(`{"a":1,"a":1}`, n)) },
	"empty names twice":          func(n int) string { return listed(times(`{"":0,"":0}`, n)) },
	"members of an event":        func(n int) string { return listed(`{` + distinct(`"#":0`, n) + `}`) },
	"members of properties":      func(n int) string { return listed(`{"p":{` + distinct(`"#":0`, n) + `}}`) },
	"objects of an event":        func(n int) string { return listed(`{` + distinct(`"#":{"":0}`, n) + `}`) },
	"objects of properties":      func(n int) string { return listed(`{"p":{` + distinct(`"#":{"":0}`, n) + `}}`) },
	"users of properties":        func(n int) string { return listed(times(`{"p":{"user":{"":0}}}`, n)) },
	"members of the root":        func(n int) string { return `{` + distinct(`"#":0`, n) + `}` },
	"events of many members":     func(n int) string { return listed(times(`{`+distinct(`"#":0`, 3000)+`}`, n/100)) },
	"many members, then few": func(n int) string {
		return listed(`{` + distinct(`"#":0`, n/2) + `},` + times(`"`+strings.Repeat("x", 100)+`"`, n/10))
	},
	"few members, then many": func(n int) string {
		return listed(times(`"`+strings.Repeat("x", 100)+`"`, n/10) + `,{` + distinct(`"#":0`, n/2) + `}`)
	},
	"a list":            func(n int) string { return `{"p":[` + times("0", n) + `]}` },
	"lists in a list":   func(n int) string { return `{"p":[` + times("[]", n) + `]}` },
	"objects in a list": func(n int) string { return `{"p":[` + times(`{"":0}`, n) + `]}` },
	"nested lists":      func(int) string { return listed(`{"p":` + strings.Repeat("[", 190) + strings.Repeat("]", 190) + `}`) },
	"nested objects": func(n int) string {
		return listed(times(`{"p":`+strings.Repeat(`{"":`, 190)+"0"+strings.Repeat("}", 190)+`}`, n/10))
	},
	"lists deeper than is allowed":  func(int) string { return `{"p":` + strings.Repeat("[", 9_990) + strings.Repeat("]", 9_990) + `}` },
	"invalid text":                  func(n int) string { return listed(`{"a":"` + strings.Repeat("\xff", n) + `"}`) },
	"invalid text in every event":   func(n int) string { return listed(times("{\"\":\"\xff\"}", n)) },
	"invalid names":                 func(n int) string { return listed(times("{\"\xff\":0}", n)) },
	"unpaired surrogates":           func(n int) string { return listed(`{"a":"` + strings.Repeat(`\ud800`, n) + `"}`) },
	"unpaired surrogates in events": func(n int) string { return listed(times(`{"":"\ud800"}`, n)) },
	"text":                          func(n int) string { return listed(`{"p":"` + strings.Repeat("x", 10*n) + `"}`) },
}

func listed(items string) string { return `{"batch":[` + items + `]}` }

func times(text string, n int) string { return strings.TrimSuffix(strings.Repeat(text+",", n), ",") }

// The index of a body costs no more than four times its bytes, whatever its shape, and what the
// names of one object need. It is counted, not measured.
func TestIndexMemory(t *testing.T) {
	t.Parallel()
	limits := map[string]wire.Limits{
		"a handler's limits": {Depth: 200, Members: 10_000, Bytes: 32_768, Items: 2_500},
		"wider limits":       {Depth: 200, Members: 10_000, Items: 1 << 30},
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for about, limits := range limits {
				for _, n := range []int{10, 2_400, 9_000} {
					body := []byte(shape(n))
					var d, outlined wire.Document
					var asked counted
					d.SetMeter(&asked)
					_ = d.Read(body, `"batch"`, limits)
					repaired := int64(repairedCopy(body)) // which is no index, and is what is indexed
					size := max(int64(len(body)), repaired)
					made := d.Memory() - repaired
					require.LessOrEqual(t, made, maxIndex*size+maxIndexNames, "%s: %d", about, n)
					require.GreaterOrEqual(t, asked.bytes, d.Memory(), "all of it was asked for")
					o := wire.Outline{Watch: wire.NewWatch(`"user"`)}
					_ = o.Read(&outlined, body, `"batch"`, limits)
					withOutline := outlined.Memory() - repaired + o.Memory()
					require.LessOrEqual(t, withOutline, maxOutlined*size+maxIndexNames, "%s, with the outline: %d", about, n)
					t.Logf("%s, %d: %d bytes, index %d (%.2f), with the outline %d (%.2f)", about, n, len(body),
						made, float64(made)/float64(size), withOutline, float64(withOutline)/float64(size))
				}
			}
		})
	}
}

// repairedCopy returns how long the copy of a body is whose text is repaired, 0 if it needs none.
func repairedCopy(body []byte) int {
	invalid := 0
	for rest := body; len(rest) > 0; {
		char, n := utf8.DecodeRune(rest)
		if char == utf8.RuneError && n == 1 {
			invalid++
		}
		rest = rest[n:]
	}
	if invalid == 0 && !bytes.Contains(body, []byte(`\ud800`)) {
		return 0
	}
	return len(body) + 2*invalid
}
