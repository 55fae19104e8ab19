package wire

import (
	"encoding/json"
	"fmt"
	"testing"
	"unicode/utf16"

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

// A name has one form, however its characters are written, alone and next to others: the one of
// a text, as short as JSON permits.
func TestNameForm(t *testing.T) {
	t.Parallel()
	d := new(Document)
	for r := rune(0); r <= 0x1ffff; r++ {
		if 0xd800 <= r && r <= 0xdfff {
			continue
		}
		for _, written := range spellings(r) {
			for _, around := range [][2]string{{}, {"a", ">\u2028"}, {"é<&", "\x7f"}} {
				want := string(AppendString(nil, around[0]+string(r)+around[1]))
				got := string(appendPlain(nil, []byte(`"`+around[0]+written+around[1]+`"`)))
				if got != want {
					require.Equal(t, want, got, "%U as %s", r, written)
				}
			}
		}
		if r > 0x2fff && r < 0xff00 {
			continue // a body for each is enough of the others
		}
		for _, written := range spellings(r) {
			require.NoError(t, d.Read([]byte(`{"`+written+`":1}`), `"batch"`, Limits{}))
			require.Equal(t, string(AppendString(nil, string(r))), string(d.Root().Name(0)), "%U as %s", r, written)
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
