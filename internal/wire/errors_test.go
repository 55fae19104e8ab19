package wire_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/wire"
)

// The place of an error is one that an editor goes to.
func TestWithLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"at the start", `{x`, `line 1, column 2: invalid character 'x' at start of value`},
		{"in a later line", "{\n\t\"a\": {\n\t\t\"b\": 1,\n\t}\n}", `line 4, column 2: invalid character '}' at start of string (expecting '"')`},
		{"lines of an editor that writes two bytes", "{\r\n\"a\": ,\r\n}", `line 2, column 6: invalid character ',' at start of value`},
		{"behind characters of several bytes", `{"é€": x}`, `line 1, column 8: invalid character 'x' at start of value`},
		{"behind empty lines", "\n\n {\"a\" 1}", `line 3, column 7: invalid character '1' after object name (expecting ':')`},
		{"at the end", "{\n\"a\": [", `line 2, column 7: unexpected EOF`},
		{"a name that occurs twice", "{\"a\":1,\n\"a\":2}", `line 2, column 1: duplicate object member name "a"`},
		{"a value without a place", `[]`, `not a JSON object`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := wire.Members([]byte(c.text))
			require.EqualError(t, wire.WithLine(err, []byte(c.text)), c.want)
		})
	}
	other := errors.New("other")
	require.Equal(t, other, wire.WithLine(other, nil))
	require.NoError(t, wire.WithLine(nil, nil))
}
