package sinks_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

// letter returns what becomes of e when a sink refuses it for the reason.
func letter(t testing.TB, e *inlet.Event, name, reason string) *inlet.Event {
	letters := new(sinks.Memory)
	d := newDeadLetter(t, &scripted{answers: []error{inlet.Permanent(errors.New(reason))}}, letters,
		&sinks.DeadLetterOptions{Name: name})
	require.NoError(t, d.Write(t.Context(), []*inlet.Event{e}))
	return letters.Events()[0]
}

func TestLetter(t *testing.T) {
	t.Parallel()

	t.Run("is the event with the reason", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			e := event("a")
			e.Properties = json.RawMessage(`{"n":1.10}`)
			l := letter(t, e, "warehouse", "no such\ncolumn \"x\"")
			require.JSONEq(t, `{"_refused":{"error":"no such\ncolumn \"x\"","at":"2000-01-01T00:00:00Z","by":"warehouse"}}`, string(l.Extra))
			require.True(t, json.Valid(l.AppendJSON(nil)))
			require.NotContains(t, string(l.AppendJSON(nil)), "\n")

			r, ok := sinks.RefusalOf(l)
			require.True(t, ok)
			require.Equal(t, sinks.Refusal{Error: "no such\ncolumn \"x\"", At: time.Now().UTC(), By: "warehouse"}, r)
			require.True(t, e.Equal(sinks.WithoutRefusal(l)))
			require.Nil(t, sinks.WithoutRefusal(l).Extra)
		})
	})

	t.Run("has no name if its sink has none", func(t *testing.T) {
		t.Parallel()
		require.NotContains(t, string(letter(t, event("a"), "", "poison").Extra), `"by"`)
	})

	t.Run("survives its canonical form", func(t *testing.T) {
		t.Parallel()
		l := letter(t, event("a"), "warehouse", "poison")
		var read inlet.Event
		require.NoError(t, read.UnmarshalJSON(l.AppendJSON(nil)))
		want, _ := sinks.RefusalOf(l)
		got, ok := sinks.RefusalOf(&read)
		require.True(t, ok)
		require.Equal(t, want, got)
	})

	t.Run("leaves the event as it was", func(t *testing.T) {
		t.Parallel()
		e := event("a")
		e.Extra = append(make(json.RawMessage, 0, 100), `{"a":1}`...)
		letter(t, e, "", "poison")
		require.Equal(t, `{"a":1}`, string(e.Extra))
		require.Equal(t, make([]byte, 93), []byte(e.Extra[7:100]))
	})
}

func TestLetterKeepsTheOtherMembersOfExtra(t *testing.T) {
	t.Parallel()
	const old = `{"error":"before","at":"2026-01-02T03:04:05Z"}`
	for _, tt := range []struct{ name, extra, want string }{
		{"numbers as they are written", `{"n":1.10,"big":123456789012345678901234567890,"e":1E400,"z":-0}`, `{"n":1.10,"big":123456789012345678901234567890,"e":1E400,"z":-0}`},
		{"names as they are written", `{"\u0061\/":1,"":null,"é":"\ud83d\ude00\u0000"}`, `{"\u0061\/":1,"":null,"é":"\ud83d\ude00\u0000"}`},
		{"values that look like members", `{"a":"}\",\"_refused\":1","b":{"_refused":2},"c":[{"_refused":3}]}`, `{"a":"}\",\"_refused\":1","b":{"_refused":2},"c":[{"_refused":3}]}`},
		{"white space within members", " { \"a\" :\t[1 , 2]\r\n, \"b\" : {\n} } ", "{\"a\" :\t[1 , 2],\"b\" : {\n}}"},
		{"behind an older reason", `{"_refused":` + old + `,"a":1}`, `{"a":1}`},
		{"before an older reason", `{"a":1,"_refused":` + old + `}`, `{"a":1}`},
		{"on both sides of an older reason", `{"a":1 , "_refused" : ` + old + ` ,"b":2}`, `{"a":1,"b":2}`},
		{"whatever the older reason is", `{"a":1,"_refused":"no object"}`, `{"a":1}`},
		{"however the older reason's name is written", `{"\u005frefused":` + old + `,"a":1}`, `{"a":1}`},
		{"none", `{}`, ``},
		{"none but an older reason", `{"_refused":` + old + `}`, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.True(t, json.Valid([]byte(tt.extra)))
			e := event("a")
			e.Extra = json.RawMessage(tt.extra)
			l := letter(t, e, "", "poison")
			require.True(t, json.Valid(l.Extra), "%s", l.Extra)
			r, ok := sinks.RefusalOf(l)
			require.True(t, ok)
			require.Equal(t, "poison", r.Error)
			require.Equal(t, tt.want, string(sinks.WithoutRefusal(l).Extra))
			require.True(t, strings.HasPrefix(string(l.Extra), strings.TrimSuffix(tt.want, "}")))
		})
	}
}

func TestLetterHasAReasonOfBoundedValidText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, reason, want string }{
		{"that fits", strings.Repeat("x", 1024), strings.Repeat("x", 1024)},
		{"that does not", strings.Repeat("x", 1025), strings.Repeat("x", 1021) + "…"},
		{"that would be cut within a character", strings.Repeat("é", 1000), strings.Repeat("é", 510) + "…"},
		{"that is no UTF-8", "a\xff\xfeb\xe2\x82", "a\uFFFDb\uFFFD"},
		{"that grows when it is repaired", strings.Repeat("a\xff", 600), strings.Repeat("a\uFFFD", 255) + "a…"},
		{"with control characters", "\x00\x1b[31m\u2028", "\x00\x1b[31m\u2028"},
		{"that is empty", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := letter(t, event("a"), "", tt.reason)
			require.True(t, json.Valid(l.Extra))
			r, ok := sinks.RefusalOf(l)
			require.True(t, ok)
			require.Equal(t, tt.want, r.Error)
			require.True(t, utf8.ValidString(r.Error))
			require.LessOrEqual(t, len(r.Error), 1024)
		})
	}
}

func TestRefusalOfAnEventThatIsNoLetter(t *testing.T) {
	t.Parallel()
	for _, extra := range []string{"", `{}`, `{"a":1}`, `{"_refused":"by a client"}`, `{"_refused":{}}`, `{"_refused":{"error":"e","at":"yesterday"}}`} {
		e := event("a")
		e.Extra = json.RawMessage(extra)
		r, ok := sinks.RefusalOf(e)
		require.False(t, ok, "%s", extra)
		require.Zero(t, r)
	}
}

func TestWithoutRefusalSharesNoMemory(t *testing.T) {
	t.Parallel()
	e := event("a")
	e.Properties, e.Extra = json.RawMessage(`{"n":1}`), json.RawMessage(`{"a":1}`)
	plain := sinks.WithoutRefusal(e)
	require.True(t, e.Equal(plain))
	clear(e.Properties)
	clear(e.Extra)
	require.Equal(t, `{"n":1}`, string(plain.Properties))
	require.Equal(t, `{"a":1}`, string(plain.Extra))
}

// FuzzLetter takes any object for the Extra of an event that is refused twice.
func FuzzLetter(f *testing.F) {
	f.Add(`{"a":1,"_refused":{"error":"e"},"b":[1.0]}`, "reason")
	f.Add(" {\t\"\\u005frefused\" : null , \"\":{}\n} ", "\xff")
	f.Fuzz(func(t *testing.T, extra, reason string) {
		var before map[string]json.RawMessage
		if json.Unmarshal([]byte(extra), &before) != nil || before == nil {
			t.Skip()
		}
		e := event("a")
		e.Extra = json.RawMessage(extra)
		l := letter(t, letter(t, e, "", "first"), "name", reason)

		_, ok := sinks.RefusalOf(l)
		require.True(t, ok)
		var with, without map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(l.Extra, &with))
		require.Contains(t, with, "_refused")
		if plain := sinks.WithoutRefusal(l).Extra; plain != nil {
			require.NoError(t, json.Unmarshal(plain, &without))
		}
		delete(with, "_refused")
		delete(before, "_refused")
		require.Equal(t, len(before), len(without))
		for name, value := range before {
			require.Equal(t, string(value), string(with[name]))
			require.Equal(t, string(value), string(without[name]))
		}
	})
}
