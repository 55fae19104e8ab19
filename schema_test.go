package inlet_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/testkit"
)

// fullEvent returns an event that has everything.
func fullEvent() *inlet.Event {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	return &inlet.Event{
		Type: inlet.TypeTrack, Name: "Order \"✅\"\n\u2028", MessageID: "m", UserID: "u", AnonymousID: "a", PreviousID: "p", GroupID: "g",
		Timestamp: at, OriginalTimestamp: at.Add(-time.Hour), SentAt: at.Add(-time.Minute), ReceivedAt: at.Add(time.Second),
		Source: website, Dialect: "segment",
		Properties: json.RawMessage(`{"n":12345678901234567890,"f":1e400,"nul":"\u0000","":null}`), Traits: json.RawMessage(`{"a":[]}`),
		Context: json.RawMessage(`{"page":{"path":"/"}}`), Integrations: json.RawMessage(`{"All":true}`),
		Extra:    json.RawMessage(`{"own":true,"_client":{"_seq":1}}`),
		Warnings: inlet.WarnIDNotString | inlet.WarnTextRepaired,
	}
}

func TestCanonicalForm(t *testing.T) {
	t.Parallel()
	t.Run("text", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, `{"type":"track","event":"Order \"✅\"\n`+"\u2028"+`","messageId":"m","userId":"u","anonymousId":"a","previousId":"p","groupId":"g",`+
			`"timestamp":"2026-03-01T12:00:00.123456789Z","originalTimestamp":"2026-03-01T11:00:00.123456789Z","sentAt":"2026-03-01T11:59:00.123456789Z",`+
			`"receivedAt":"2026-03-01T12:00:01.123456789Z","sourceId":"website","dialect":"segment","warnings":["text_repaired","id_not_string"],`+
			`"properties":{"n":12345678901234567890,"f":1e400,"nul":"\u0000","":null},"traits":{"a":[]},"context":{"page":{"path":"/"}},"integrations":{"All":true},`+
			`"own":true,"_client":{"_seq":1}}`, string(fullEvent().AppendJSON(nil)))
		require.Equal(t, `{"type":"page"}`, string((&inlet.Event{Type: inlet.TypePage}).AppendJSON(nil)))
		require.Equal(t, `x{"type":"screen","name":"N"}`, string((&inlet.Event{Type: inlet.TypeScreen, Name: "N"}).AppendJSON([]byte("x"))))
	})
	t.Run("reads back equal", func(t *testing.T) {
		t.Parallel()
		tests := map[string]func(e *inlet.Event){
			"everything":                  func(*inlet.Event) {},
			"nothing but a type":          func(e *inlet.Event) { *e = inlet.Event{Type: inlet.TypeAlias} },
			"no name":                     func(e *inlet.Event) { e.Name = "" },
			"no source":                   func(e *inlet.Event) { e.Source = nil },
			"no extra":                    func(e *inlet.Event) { e.Extra = nil },
			"all warnings":                func(e *inlet.Event) { e.Warnings = allWarnings() },
			"a page with a name":          func(e *inlet.Event) { e.Type = inlet.TypePage },
			"an identify, without a name": func(e *inlet.Event) { e.Type, e.Name = inlet.TypeIdentify, "" },
			"a page with an extra event":  func(e *inlet.Event) { e.Type, e.Extra = inlet.TypePage, json.RawMessage(`{"event":5}`) },
			"a group with both names": func(e *inlet.Event) {
				e.Type, e.Name, e.Extra = inlet.TypeGroup, "", json.RawMessage(`{"name":"N","event":"E"}`)
			},
			"text of any kind": func(e *inlet.Event) { e.UserID = "\x00\t\"\\/<>&\u2028\U0001F600é" },
			"another zone":     func(e *inlet.Event) { e.Timestamp = e.Timestamp.In(time.FixedZone("", 3600)) },
			"the first year":   func(e *inlet.Event) { e.Timestamp = time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC) },
			"the last year":    func(e *inlet.Event) { e.Timestamp = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC) },
			"empty objects": func(e *inlet.Event) {
				e.Properties, e.Traits, e.Context, e.Integrations = json.RawMessage(`{}`), json.RawMessage(`{}`), json.RawMessage(`{}`), json.RawMessage(`{}`)
			},
		}
		for name, change := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				e := fullEvent()
				change(e)
				line, err := json.Marshal(e)
				require.NoError(t, err)
				var again inlet.Event
				require.NoError(t, json.Unmarshal(line, &again))
				require.True(t, e.Equal(&again), "%s", line)
				require.Equal(t, string(e.AppendJSON(nil)), string(again.AppendJSON(nil)))
			})
		}
	})
	t.Run("is one line", func(t *testing.T) {
		t.Parallel()
		e := fullEvent()
		e.Properties = json.RawMessage("{\r\n\t\"a\" : [ 1,\n2 ],\n\"text\": \"\\n \\\" \\\\\"\n}")
		e.Extra = json.RawMessage("{\n \"x\" : {\n}\n,\"y\":1 }")
		line := string(e.AppendJSON(nil))
		require.NotContains(t, line, "\n")
		require.NotContains(t, line, "\r")
		require.Contains(t, line, `"properties":{"a":[1,2],"text":"\n \" \\"}`)
		require.True(t, strings.HasSuffix(line, `,"x":{},"y":1}`), line)
		requireCanonical(t, e)
		for _, empty := range []string{"{}", "{ }", "{\n}", ""} {
			require.Equal(t, `{"type":"page"}`, string((&inlet.Event{Type: inlet.TypePage, Extra: json.RawMessage(empty)}).AppendJSON(nil)))
		}
	})
	t.Run("refuses other texts", func(t *testing.T) {
		t.Parallel()
		for name, text := range map[string]string{
			"nothing": "", "null": "null", "a list": "[]", "half": `{"type":"page"`, "two": `{"type":"page"} {}`,
			"a name twice": `{"type":"page","userId":"a","userId":"b"}`, "a time of text": `{"type":"page","timestamp":"now"}`,
			"an id of a number": `{"type":"page","userId":1}`, "warnings of text": `{"type":"page","warnings":"w"}`,
			"broken text": "{\"type\":\"\xff\"}",
		} {
			require.Error(t, new(inlet.Event).UnmarshalJSON([]byte(text)), name)
		}
		e := fullEvent()
		require.NoError(t, e.UnmarshalJSON([]byte(`{"name":"first","type":"page","unknown":[1]}`)))
		require.Equal(t, &inlet.Event{Type: inlet.TypePage, Name: "first", Extra: json.RawMessage(`{"unknown":[1]}`)}, e, "what the event was before shows through")
		require.NoError(t, e.UnmarshalJSON([]byte(`{"type":"page","warnings":["empty_list","of the future"]}`)))
		require.Equal(t, inlet.WarnEmptyList, e.Warnings)
	})
	t.Run("copies the text", func(t *testing.T) {
		t.Parallel()
		line := fullEvent().AppendJSON(nil)
		var e inlet.Event
		require.NoError(t, e.UnmarshalJSON(line))
		for i := range line {
			line[i] = 'x'
		}
		require.True(t, fullEvent().Equal(&e))
	})
}

// What is delivered from a journal is read back first.
func TestEventUnmarshalAllocs(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector makes pools forget")
	}
	line := []byte(`{"type":"track","event":"Order Completed","messageId":"m1","userId":"u1","anonymousId":"a1","timestamp":"2026-01-02T03:04:05Z","receivedAt":"2026-01-02T03:04:05Z","sourceId":"web","dialect":"segment","properties":{"total":27.50,"products":[{"sku":"G-32"}]},"context":{"page":{"url":"https://shop.example/?step=3&coupon=MAYDEALS"}}}`)
	e := new(inlet.Event)
	allocations := testing.AllocsPerRun(100, func() { _ = e.UnmarshalJSON(line) })
	require.LessOrEqual(t, allocations, 11.0)
}

func TestEventEqual(t *testing.T) {
	t.Parallel()
	changes := map[string]func(e *inlet.Event){
		"Type": func(e *inlet.Event) { e.Type = inlet.TypePage }, "Name": func(e *inlet.Event) { e.Name = "x" },
		"MessageID": func(e *inlet.Event) { e.MessageID = "x" }, "UserID": func(e *inlet.Event) { e.UserID = "x" },
		"AnonymousID": func(e *inlet.Event) { e.AnonymousID = "x" }, "PreviousID": func(e *inlet.Event) { e.PreviousID = "x" },
		"GroupID": func(e *inlet.Event) { e.GroupID = "x" }, "Timestamp": func(e *inlet.Event) { e.Timestamp = e.Timestamp.Add(1) },
		"OriginalTimestamp": func(e *inlet.Event) { e.OriginalTimestamp = time.Time{} }, "SentAt": func(e *inlet.Event) { e.SentAt = time.Time{} },
		"ReceivedAt": func(e *inlet.Event) { e.ReceivedAt = time.Time{} }, "Source": func(e *inlet.Event) { e.Source = &inlet.Source{ID: "x"} },
		"no Source": func(e *inlet.Event) { e.Source = nil }, "Dialect": func(e *inlet.Event) { e.Dialect = "x" },
		"Properties": func(e *inlet.Event) { e.Properties = nil }, "Traits": func(e *inlet.Event) { e.Traits = nil },
		"Context": func(e *inlet.Event) { e.Context = nil }, "Integrations": func(e *inlet.Event) { e.Integrations = nil },
		"Extra": func(e *inlet.Event) { e.Extra = nil }, "Warnings": func(e *inlet.Event) { e.Warnings = 0 },
	}
	for name, change := range changes {
		e := fullEvent()
		change(e)
		require.False(t, e.Equal(fullEvent()), name)
		require.False(t, fullEvent().Equal(e), name)
	}
	e := fullEvent()
	e.Source = &inlet.Source{ID: website.ID, Disabled: true}
	require.True(t, e.Equal(fullEvent()), "of a source the ID counts")
}

func TestCloneEvents(t *testing.T) {
	t.Parallel()
	raws := func(e *inlet.Event) []json.RawMessage {
		return []json.RawMessage{e.Properties, e.Traits, e.Context, e.Integrations, e.Extra}
	}
	events := []*inlet.Event{fullEvent(), {Type: inlet.TypePage}, fullEvent()}
	clones := inlet.CloneEvents(events)
	require.Len(t, clones, 3)
	require.Nil(t, clones[1].Properties)
	for _, e := range events {
		for _, raw := range raws(e) {
			for i := range raw {
				raw[i] = '!'
			}
		}
		*e = inlet.Event{}
	}
	for _, i := range []int{0, 2} {
		require.True(t, fullEvent().Equal(clones[i]))
		for _, raw := range raws(clones[i]) {
			_ = append(raw, "an append must not reach the neighbour"...)
		}
		require.True(t, fullEvent().Equal(clones[i]))
	}
	one := fullEvent()
	require.NotSame(t, one, one.Clone())
	require.True(t, one.Equal(one.Clone()))
	require.Empty(t, inlet.CloneEvents(nil))
	require.NotNil(t, (&inlet.Event{Extra: json.RawMessage{}}).Clone().Extra, "empty and nil are distinguished")
}

// allWarnings is every warning there is.
func allWarnings() (all inlet.Warnings) {
	for bit := inlet.Warnings(1); bit != 0; bit <<= 1 {
		if len(slices.Collect(bit.Codes())) > 0 {
			all |= bit
		}
	}
	return all
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	codes := slices.Collect(allWarnings().Codes())
	require.Equal(t, []string{
		"message_id_generated", "timestamp_invalid", "timestamp_clamped", "timestamp_guessed", "skew_implausible",
		"text_repaired", "id_not_string", "empty_list", "reserved_member", "type_mismatch",
	}, codes[:10])
	require.NotContains(t, codes, "")
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(codes))), len(codes))
	w := inlet.WarnEmptyList | inlet.WarnTextRepaired
	require.True(t, w.Has(inlet.WarnEmptyList))
	require.True(t, w.Has(w))
	require.False(t, w.Has(w|inlet.WarnTypeMismatch))
	for range w.Codes() {
		break // the loop may be left
	}
	require.Empty(t, slices.Collect(inlet.Warnings(1<<31).Codes()))
}

func TestTypes(t *testing.T) {
	t.Parallel()
	for _, valid := range []inlet.Type{inlet.TypeIdentify, inlet.TypeTrack, inlet.TypePage, inlet.TypeScreen, inlet.TypeGroup, inlet.TypeAlias} {
		require.True(t, canonical.IsType(string(valid)))
	}
	for _, not := range []inlet.Type{"", "Track", "batch", "track "} {
		require.False(t, canonical.IsType(string(not)))
	}
}

// White space around a raw field is not part of the event: it has one form, read back or not.
func TestSpaceAroundRawFields(t *testing.T) {
	t.Parallel()
	for _, space := range []string{"", " ", "\t\t", "\r\n", " \n\t"} {
		raw := json.RawMessage(space + `{"a": 1}` + space)
		e := &inlet.Event{Type: inlet.TypeTrack, Properties: raw, Traits: raw, Context: raw, Integrations: raw, Extra: json.RawMessage(space + `{"b":2}` + space)}
		line := string(e.AppendJSON(nil))
		require.NotContains(t, line, "\n")
		require.NotContains(t, line, "\t")
		require.NotContains(t, strings.ReplaceAll(line, `: `, `:`), " ")
		var read inlet.Event
		require.NoError(t, read.UnmarshalJSON([]byte(line)))
		require.Equal(t, line, string(read.AppendJSON(nil)), "%q", space)
	}
}
