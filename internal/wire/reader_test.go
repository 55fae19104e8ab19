package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/jsoncases"
	"github.com/inlet-go/inlet/internal/wire"
)

// rewrite writes a text again by what a reader says of it, without white space and escapes.
func rewrite(r *wire.Reader) []byte {
	switch kind := r.Kind(); kind {
	case '{', '[':
		out := []byte{kind}
		for more := r.Enter(); more; more = r.More() {
			if len(out) > 1 {
				out = append(out, ',')
			}
			if kind == '{' {
				out = append(appendQuoted(out, r.Name), ':')
			}
			out = append(out, rewrite(r)...)
		}
		return append(out, kind+2)
	case '"':
		return appendQuoted(nil, r.Text)
	}
	return r.Scalar()
}

func appendQuoted(dst []byte, read func() ([]byte, bool)) []byte {
	inner, escaped := read()
	if escaped {
		inner = wire.AppendUnescaped(nil, inner)
	}
	return wire.AppendString(dst, string(inner))
}

// A reader finds what is in a valid text, and its pieces are those that skipping finds.
func TestReader(t *testing.T) {
	t.Parallel()
	texts := map[string]string{
		"white space":  " { \"a\" : [ 1 ,\n{ } , [ ] ] ,\t\"b\\n\" : { \"c\" : null } } ",
		"escapes":      `{"\u0061\"\\\/\b\f\n\r\t":"\ud83d\ude00 \u00e9 \u0000 long enough for a word \\"}`,
		"a scalar":     `-1.5e+7`,
		"a text":       `"\\\""`,
		"empty values": `[{},[],"",{"":""}]`,
	}
	for name, text := range jsoncases.Valid() {
		if bytes.Contains([]byte(text), []byte("\\ud")) || bytes.Contains([]byte(text), []byte("\\uD")) {
			continue // unpaired surrogates differ
		}
		texts[name] = text
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := wire.NewReader([]byte(text))
			var want, got any
			require.NoError(t, json.Unmarshal([]byte(text), &want))
			require.NoError(t, json.Unmarshal(rewrite(&r), &got), "%s", text)
			require.Equal(t, want, got)
			skipping := wire.NewReader([]byte(text))
			skipping.Skip()
			require.Equal(t, r.Offset(), skipping.Offset())
		})
	}
}

// FuzzReader reads any text. It ends, and each piece is a part of the text.
func FuzzReader(f *testing.F) {
	for _, text := range []string{`{"a":[1,{}],"b":"\u0061"}`, `{`, `[`, `{"`, `{"a`, `{"a"`, `{"a":`, `[1`, `[,`, `]`, `"\`, `"\u`, `"\u12`, `:`, `,`, ``, ` `, `{"a":1]`, "\xff\x00", `[[[[`, `{}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := wire.NewReader(text)
		for r.Offset() < len(text) {
			before := r.Offset()
			pieces(&r, 0)
			r.More()
			require.Greater(t, r.Offset(), before, "%q", text)
		}
		inner := wire.AppendUnescaped(nil, text)
		require.LessOrEqual(t, len(inner), len(text))
		if valid := fmt.Appendf(nil, `"%s"`, text); json.Valid(valid) && utf8.Valid(text) && !bytes.Contains(bytes.ToLower(text), []byte(`\ud`)) {
			require.Equal(t, wire.Text(valid), string(inner), "%q", text)
		}
	})
}

func pieces(r *wire.Reader, depth int) {
	kind := r.Kind()
	if depth > 100 || kind != '{' && kind != '[' {
		r.Skip()
		return
	}
	for more := r.Enter(); more; more = r.More() {
		if kind == '{' {
			r.Name()
		}
		pieces(r, depth+1)
	}
}
