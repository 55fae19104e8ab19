package wire

import (
	"encoding/json"
	"fmt"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// spellings are the ways to write a character in a string of JSON.
func spellings(r rune) (written []string) {
	if r >= ' ' && r != '"' && r != '\\' {
		written = append(written, string(r))
	}
	if at := map[rune]string{'"': `\"`, '\\': `\\`, '/': `\/`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}[r]; at != "" {
		written = append(written, at)
	}
	if high, low := utf16.EncodeRune(r); r > 0xffff {
		return append(written, fmt.Sprintf(`\u%04x\u%04x`, high, low), fmt.Sprintf(`\u%04X\u%04X`, high, low))
	}
	return append(written, fmt.Sprintf(`\u%04x`, r), fmt.Sprintf(`\u%04X`, r))
}

// runes are all characters that a writer of JSON may treat specially: ASCII, its neighbours and
// U+2028. Of the others they are those next to a limit of an encoding, and a sample.
func runes() (all []rune) {
	const sample = 4093 // a prime, so that the low bits differ
	for r := rune(0); r <= utf8.MaxRune; r++ {
		near := r <= 0x2ff || 0x2000 <= r && r <= 0x20ff || r%sample == 0
		for _, limit := range []rune{0x800, 0xd800, 0xe000, 0xfffd, 0x10000, utf8.MaxRune} {
			near = near || limit-0x10 <= r && r <= limit+0x10
		}
		if near && utf8.ValidRune(r) {
			all = append(all, r)
		}
	}
	return all
}

// A name has one form, however its characters are written, alone and next to others: the one of
// a text, as short as JSON permits.
func TestNameForm(t *testing.T) {
	t.Parallel()
	d := new(Document)
	for _, r := range runes() {
		for _, written := range spellings(r) {
			for _, around := range [][2]string{{}, {"a", ">\u2028"}, {"é<&", "\x7f"}} {
				want := string(AppendString(nil, around[0]+string(r)+around[1]))
				quoted := `"` + around[0] + written + around[1] + `"`
				require.Equal(t, want, string(appendPlain(nil, []byte(quoted))), "%U as %s", r, quoted)
				require.NoError(t, d.Read([]byte(`{`+quoted+`:1}`), `"batch"`, Limits{}))
				require.Equal(t, want, string(d.Root().Name(0)), "%U as %s", r, quoted)
			}
		}
	}
}

// Invalid text in a name is U+FFFD, in the same form as one that was sent.
func TestRepairedNameForm(t *testing.T) {
	t.Parallel()
	for _, written := range []string{
		`\ud800`, `\uDFFF`, "\xff", "\xed\xa0\x80", `\ud800\u0001`, "\xfe>", `\udc00\ud800`, `>\ud800<\u0001`, "\xc3\\u0000",
	} {
		var text string
		require.NoError(t, json.Unmarshal([]byte(`"`+written+`"`), &text))
		d := read(t, `{"`+written+`":1}`, Limits{})
		require.Equal(t, string(AppendString(nil, text)), string(d.Root().Name(0)), "%q", written)
	}
}

// A name that occurs twice is found wherever that is: in objects with any number of names, with
// names of any length, with an object between the two, and at the end of a body, where the last
// word is not complete.
func TestTwice(t *testing.T) {
	t.Parallel()
	name := func(i, length int) string { return fmt.Sprintf(`"%0*x"`, length, i) }
	d := new(Document)
	for length := 2; length < 20; length++ {
		for n := range 70 {
			body := `{`
			for i := range n {
				body += name(i, length) + `:{"a":0,` + name(i, length) + `:[]},`
			}
			last := name(n, length)
			require.NoError(t, d.Read([]byte(body+last+`:1}`), `"batch"`, Limits{}), body)
			for i := 0; i <= n; i += 1 + n/4 {
				again := name(i, length)
				err := d.Read([]byte(body+last+`:1,`+again+`:2}`), `"batch"`, Limits{})
				require.Equal(t, &FaultError{Fault{Duplicate, again[1 : len(again)-1]}}, err, "%s in %s", again, body)
			}
		}
	}
}
