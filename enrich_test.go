package inlet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
)

func TestEventGet(t *testing.T) {
	t.Parallel()
	e := &inlet.Event{
		Type: inlet.TypeTrack, Name: "Ordered", UserID: "u",
		Properties: []byte(`{"cart":{"items":[{"sku":"a"},{"sku":12345678901234567890}]},"a.b":1,"c\\d":2,"null":null,"0":{"é":true}}`),
		Context:    []byte(` {"ip":"::1"}`),
		Extra:      []byte(`{"channel":"web","name":"n"}`),
	}
	for path, want := range map[string]string{
		"properties.cart.items.0.sku": `"a"`,
		"properties.cart.items.1.sku": "12345678901234567890",
		"properties.cart.items.1":     `{"sku":12345678901234567890}`,
		`properties.a\.b`:             "1",
		`properties.c\\d`:             "2",
		"properties.null":             "null",
		"properties.0.é":              "true",
		"properties":                  string(e.Properties),
		"context.ip":                  `"::1"`,
		"context":                     `{"ip":"::1"}`,
		"channel":                     `"web"`,
		"name":                        `"n"`,
		"properties.cart.items.2":     "",
		"properties.cart.items.sku":   "",
		"properties.cart.Items":       "",
		"properties.a.b":              "",
		"properties.null.x":           "",
		"traits":                      "",
		"traits.email":                "",
		"integrations.All":            "",
		"event":                       "",
		"userId":                      "",
		"timestamp":                   "",
		"extra":                       "",
		"":                            "",
		"properties.":                 "",
		`properties.\a`:               "",
	} {
		got, ok := e.Get(path)
		require.Equal(t, want, string(got), path)
		require.Equal(t, want != "", ok, path)
	}
	broken := &inlet.Event{Properties: []byte(`{"a":`), Traits: []byte(`{"a"`), Context: []byte(`[`)}
	for _, path := range []string{"properties.a", "properties.a.b", "traits.a", "context.0"} {
		_, ok := broken.Get(path)
		require.False(t, ok, path)
	}
}

func TestEventSet(t *testing.T) {
	t.Parallel()
	const given = `{"plan":"pro","items":[{"n":1},2],"none":null}`
	for _, tt := range []struct {
		name, path string
		value      any
		want       string // of the properties, "" if Set fails
	}{
		{"a member", "properties.plan", "free", `{"plan":"free","items":[{"n":1},2],"none":null}`},
		{"a new member", "properties.n", 1, `{"plan":"pro","items":[{"n":1},2],"none":null,"n":1}`},
		{"missing parents", "properties.a.b", true, `{"plan":"pro","items":[{"n":1},2],"none":null,"a":{"b":true}}`},
		{"null is missing", "properties.none.b", 1.5, `{"plan":"pro","items":[{"n":1},2],"none":{"b":1.5}}`},
		{"an element", "properties.items.0.n", 2, `{"plan":"pro","items":[{"n":2},2],"none":null}`},
		{"one more element", "properties.items.2", 3, `{"plan":"pro","items":[{"n":1},2,3],"none":null}`},
		{"a name with a dot", `properties.a\.b`, 3, `{"plan":"pro","items":[{"n":1},2],"none":null,"a.b":3}`},
		{"raw JSON", "properties.plan", json.RawMessage(` {"a":1e400} `), `{"plan":{"a":1e400},"items":[{"n":1},2],"none":null}`},
		{"null", "properties.plan", json.RawMessage("null"), `{"plan":null,"items":[{"n":1},2],"none":null}`},
		{"text of pages", "properties.plan", "<b>&", `{"plan":"<b>&","items":[{"n":1},2],"none":null}`},
		{"nil removes", "properties.plan", nil, `{"items":[{"n":1},2],"none":null}`},
		{"nil removes an element", "properties.items.0", nil, `{"plan":"pro","items":[2],"none":null}`},
		{"nil removes nothing", "properties.a.b", nil, given},
		{"everything", "properties", map[string]int{"a": 1}, `{"a":1}`},
		{"no object", "properties", "text", ""},
		{"a list", "properties", []int{1}, ""},
		{"in a text", "properties.plan.x", 1, ""},
		{"beyond an array", "properties.items.3", 1, ""},
		{"a name in an array", "properties.items.n", 1, ""},
		{"what has no JSON", "properties.plan", make(chan int), ""},
		{"no number", "properties.plan", math.NaN(), ""},
		{"broken raw JSON", "properties.plan", json.RawMessage(`{`), ""},
		{"broken text", "properties.plan", json.RawMessage("\"\xff\""), ""},
		{"a field of text", "userId", "v", ""},
		{"what Inlet sets", "receivedAt", "v", ""},
		{"no path", "", "v", ""},
		{"an empty name", "properties..a", "v", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			properties := []byte(given)
			e := &inlet.Event{Type: inlet.TypeTrack, Properties: properties}
			err := e.Set(tt.path, tt.value)
			require.Equal(t, given, string(properties), "the old memory has changed")
			if tt.want == "" {
				require.ErrorContains(t, err, `inlet: Event.Set: path "`+tt.path)
				require.Equal(t, given, string(e.Properties))
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, string(e.Properties))
		})
	}
	t.Run("each field", func(t *testing.T) {
		t.Parallel()
		e := &inlet.Event{Type: inlet.TypePage}
		for _, path := range []string{"properties.a", "traits.a", "context.a", "integrations.a", "event.a"} {
			require.NoError(t, e.Set(path, 1))
		}
		require.Equal(t, `{"type":"page","properties":{"a":1},"traits":{"a":1},"context":{"a":1},"integrations":{"a":1},"event":{"a":1}}`, string(e.AppendJSON(nil)))
		require.NoError(t, e.Set("properties", nil))
		require.Nil(t, e.Properties)
		require.NoError(t, e.Set("event", nil))
		require.Nil(t, e.Extra)
	})
	t.Run("events that share memory", func(t *testing.T) {
		t.Parallel()
		sink := new(testsink.Keeper)
		h := mustNew(t, sink, &inlet.Options{Enrichers: []inlet.Enricher{func(_ context.Context, e *inlet.Event) {
			if e.UserID == "b" {
				_ = e.Set("context.app.name", "changed")
			}
		}}})
		requireSuccess(t, serve(h, authenticated("/v1/batch", `{"context":{"app":{"name":"shop"}},"batch":[{"type":"page","userId":"a"},{"type":"page","userId":"b"},{"type":"page","userId":"c"}]}`)))
		var names []string
		for _, e := range sink.Events() {
			name, _ := e.Get("context.app.name")
			names = append(names, string(name))
		}
		require.Equal(t, []string{`"shop"`, `"changed"`, `"shop"`}, names)
	})
}

func TestNewEvents(t *testing.T) {
	t.Parallel()
	type order struct {
		Total float64 `json:"total"`
	}
	var noMap map[string]any
	var noOrder *order
	for _, tt := range []struct {
		name  string
		event *inlet.Event
		want  string // the beginning, and the raw fields; "" if refused
		fault string
	}{
		{"track", inlet.NewTrack("u", "Ordered", order{1.5}), `"track","event":"Ordered" {"total":1.5}`, ""},
		{"track with a map", inlet.NewTrack("u", "Ordered", map[string]any{"a": "<"}), `"track","event":"Ordered" {"a":"<"}`, ""},
		{"track with raw JSON", inlet.NewTrack("u", "Ordered", json.RawMessage(`{ "a": 1 }`)), `"track","event":"Ordered" {"a":1}`, ""},
		{"track without properties", inlet.NewTrack("u", "Ordered", nil), `"track","event":"Ordered" `, ""},
		{"a nil map", inlet.NewTrack("u", "Ordered", noMap), `"track","event":"Ordered" `, ""},
		{"a nil pointer", inlet.NewTrack("u", "Ordered", noOrder), `"track","event":"Ordered" `, ""},
		{"identify", inlet.NewIdentify("u", order{2}), `"identify" {"total":2}`, ""},
		{"page", inlet.NewPage("u", "Home", order{2}), `"page","name":"Home" {"total":2}`, ""},
		{"screen", inlet.NewScreen("u", "", order{2}), `"screen" {"total":2}`, ""},
		{"group", inlet.NewGroup("u", "g", order{2}), `"group" {"total":2}`, ""},
		{"alias", inlet.NewAlias("u", "before"), `"alias" `, ""},
		{"a list", inlet.NewTrack("u", "Ordered", []int{1}), "", "properties: the value is not a JSON object"},
		{"a channel", inlet.NewTrack("u", "Ordered", make(chan int)), "", "properties: the value cannot be encoded: json: unsupported type: chan int"},
		{"a channel for traits", inlet.NewIdentify("u", make(chan int)), "", "traits: the value cannot be encoded: json: unsupported type: chan int"},
		{"no name", inlet.NewTrack("u", "", nil), "", "event: a track call requires the name of its event"},
		{"no user", inlet.NewPage("", "Home", nil), "", "userId: userId or anonymousId is required"},
		{"no group", inlet.NewGroup("u", "", nil), "", "groupId: an id is required"},
		{"no previous id", inlet.NewAlias("u", ""), "", "previousId: an id is required"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sink := new(testsink.Keeper)
			err := mustNew(t, sink, nil).Ingest(t.Context(), website, tt.event)
			if tt.want == "" {
				p, ok := errors.AsType[*inlet.Problem](err)
				require.True(t, ok, "%v", err)
				require.EqualError(t, p, tt.fault)
				require.True(t, inlet.IsPermanent(err))
				require.Zero(t, sink.Calls())
				return
			}
			require.NoError(t, err)
			e := sink.Events()[0]
			require.Equal(t, tt.want, strings.TrimPrefix(strings.Split(string(e.AppendJSON(nil)), `,"messageId"`)[0], `{"type":`)+" "+string(e.Properties)+string(e.Traits))
		})
	}
}

// Each fault of an event of the program's own is named, with its field.
func TestIngestFaults(t *testing.T) {
	t.Parallel()
	page := func(change func(e *inlet.Event)) *inlet.Event {
		e := &inlet.Event{Type: inlet.TypePage, UserID: "u"}
		change(e)
		return e
	}
	for want, e := range map[string]*inlet.Event{
		"": page(func(e *inlet.Event) {
			e.Properties, e.Traits, e.Context = []byte("null"), []byte{}, []byte("null")
			e.Integrations, e.Extra = []byte("null"), []byte("null")
		}),
		"properties: the value is not a JSON object":                                      page(func(e *inlet.Event) { e.Properties = []byte("7") }),
		"context: the value is not valid JSON: unexpected end of the JSON text at byte 5": page(func(e *inlet.Event) { e.Context = []byte(`{"a":`) }),
		"traits: duplicate member name in an object: a":                                   page(func(e *inlet.Event) { e.Traits = []byte(`{"a":1,"a":2}`) }),
		"traits: duplicate member name in an object: b":                                   page(func(e *inlet.Event) { e.Traits = []byte(`{"a":{"b":1,"b":2}}`) }),
		"integrations: the text is not valid UTF-8":                                       page(func(e *inlet.Event) { e.Integrations = []byte("{\"a\":\"\xff\"}") }),
		"extra: the event is nested too deeply": page(func(e *inlet.Event) {
			e.Extra = []byte(`{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`)
		}),
		"messageId: the member has the name of another field": page(func(e *inlet.Event) { e.Extra = []byte(`{"messageId":1}`) }),
		"groupId: the text is not valid UTF-8":                page(func(e *inlet.Event) { e.GroupID = "\xff" }),
		"sentAt: the time is not within the years 1 to 9999":  page(func(e *inlet.Event) { e.SentAt = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC) }),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			sink := new(testsink.Keeper)
			err := mustNew(t, sink, nil).Ingest(t.Context(), website, e)
			if want == "" {
				require.NoError(t, err)
				stored := sink.Events()[0]
				require.Nil(t, stored.Properties)
				require.NotContains(t, string(stored.AppendJSON(nil)), "null")
				return
			}
			p, ok := errors.AsType[*inlet.Problem](err)
			require.True(t, ok, "%v", err)
			require.EqualError(t, p, want)
		})
	}
}

// breakEvent is an enricher that leaves what no sink can store.
func breakEvent(change func(e *inlet.Event)) inlet.Enricher {
	return func(_ context.Context, e *inlet.Event) {
		if e.UserID == "bad" {
			change(e)
		}
	}
}

func TestEnrichersChecked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(e *inlet.Event)
		want   string // what the log says; "" if it may be stored
	}{
		{"nothing", func(*inlet.Event) {}, ""},
		{"new properties", func(e *inlet.Event) { e.Properties = []byte(`{"a":1}`) }, ""},
		{"no properties", func(e *inlet.Event) { e.Properties = nil }, ""},
		{"null", func(e *inlet.Event) { e.Properties = []byte("null") }, ""},
		{"no user", func(e *inlet.Event) { e.UserID = "" }, ""},
		{"another source", func(e *inlet.Event) { e.Source = &inlet.Source{ID: "other"} }, ""},
		{"broken properties", func(e *inlet.Event) { e.Properties = []byte(`{"a":`) }, "properties: the value is not valid JSON"},
		{"broken traits", func(e *inlet.Event) { e.Traits = []byte(`{"a":1}}`) }, "traits: the value is not valid JSON"},
		{"a list for the context", func(e *inlet.Event) { e.Context = []byte(`[]`) }, "context: the value is not a JSON object"},
		{"a name twice", func(e *inlet.Event) { e.Integrations = []byte(`{"a":1,"a":2}`) }, "integrations: duplicate member name"},
		{"text that is not UTF-8", func(e *inlet.Event) { e.Properties = []byte("{\"a\":\"\xff\"}") }, "properties: the text is not valid UTF-8"},
		{"a field of the form in Extra", func(e *inlet.Event) { e.Extra = []byte(`{"sourceId":"x"}`) }, "sourceId: the member has the name of another field"},
		{"no MessageID", func(e *inlet.Event) { e.MessageID = "" }, "left no MessageID"},
		{"a long MessageID", func(e *inlet.Event) { e.MessageID = strings.Repeat("m", 101) }, "messageId: messageId is too long"},
		{"no Source", func(e *inlet.Event) { e.Source = nil }, "left no Source"},
		{"a Source without an ID", func(e *inlet.Event) { e.Source = new(inlet.Source) }, "left no Source"},
		{"no Type", func(e *inlet.Event) { e.Type = "" }, "type: type is required"},
		{"another Type", func(e *inlet.Event) { e.Type = "click" }, "type: type must be one of"},
		{"no Name", func(e *inlet.Event) { e.Name = "" }, "left no Name"},
		{"a broken Name", func(e *inlet.Event) { e.Name = "\xff" }, "name: the text is not valid UTF-8"},
		{"no Timestamp", func(e *inlet.Event) { e.Timestamp = time.Time{} }, "left no Timestamp"},
		{"an odd Timestamp", func(e *inlet.Event) { e.Timestamp = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC) }, "timestamp: the time"},
		{"no ReceivedAt", func(e *inlet.Event) { e.ReceivedAt = time.Time{} }, "left no ReceivedAt"},
		{"too much", func(e *inlet.Event) { e.Properties = []byte(`{"a":"` + strings.Repeat("a", 4<<20) + `"}`) }, "too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sink, log := new(testsink.Keeper), new(bytes.Buffer)
			h := mustNew(t, sink, &inlet.Options{
				Logger:    slog.New(slog.NewTextHandler(log, nil)),
				Enrichers: []inlet.Enricher{func(context.Context, *inlet.Event) {}, breakEvent(tt.change), func(context.Context, *inlet.Event) {}},
			})
			body := batchOf(`{"type":"track","userId":"good","event":"E","properties":{"x":1}}`, `{"type":"track","userId":"bad","event":"E","properties":{"x":1}}`)
			w := serve(h, authenticated("/v1/batch", body))
			ingested := h.Ingest(t.Context(), website, inlet.NewTrack("bad", "E", nil))
			if tt.want == "" {
				requireSuccess(t, w)
				require.NoError(t, ingested)
				require.Len(t, sink.Events(), 3)
				require.Empty(t, log)
				for _, e := range sink.Events() {
					require.True(t, json.Valid(e.AppendJSON(nil)))
				}
				return
			}
			requireRefused(t, w, 500, inlet.CodeInternal)
			require.NotContains(t, w.Body.String(), "nricher")
			require.Zero(t, sink.Calls(), "something was stored")
			require.Contains(t, log.String(), "Enrichers[1] (github.com/inlet-go/inlet_test.")
			require.Contains(t, log.String(), tt.want)
			require.ErrorContains(t, ingested, "Enrichers[1]")
			require.ErrorContains(t, ingested, tt.want)
		})
	}
}

func TestHookPanics(t *testing.T) {
	t.Parallel()
	t.Run("an enricher fails the request", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			sink, log := new(testsink.Keeper), new(bytes.Buffer)
			h := mustNew(t, sink, &inlet.Options{
				Logger:    slog.New(slog.NewTextHandler(log, nil)),
				Enrichers: []inlet.Enricher{breakEvent(func(*inlet.Event) { panic(secret) })},
			})
			bad := batchOf(`{"type":"page","userId":"good"}`, `{"type":"page","userId":"bad"}`)
			for range 3 {
				w := serve(h, authenticated("/v1/batch", bad))
				requireRefused(t, w, 500, inlet.CodeInternal)
				require.NotContains(t, w.Body.String(), secret)
			}
			require.Zero(t, sink.Calls())
			require.Equal(t, 1, strings.Count(log.String(), "stack="), "stacks")
			require.Equal(t, 3, strings.Count(log.String(), "inlet: request failed"))
			require.ErrorContains(t, h.Ingest(t.Context(), website, inlet.NewPage("bad", "", nil)), "Enrichers[0]")

			requireSuccess(t, serve(h, authenticated("/v1/page", `{"userId":"good"}`)))
			time.Sleep(time.Minute)
			serve(h, authenticated("/v1/batch", bad))
			require.Equal(t, 2, strings.Count(log.String(), "stack="), "stacks a minute later")
		})
	})
	t.Run("a validator fails the event", func(t *testing.T) {
		t.Parallel()
		sink, log := new(testsink.Keeper), new(bytes.Buffer)
		h := mustNew(t, sink, &inlet.Options{
			Logger: slog.New(slog.NewTextHandler(log, nil)),
			Validators: []inlet.Validator{func(e *inlet.Event) *inlet.Problem {
				if e.UserID == "bad" {
					panic(secret)
				}
				return nil
			}},
		})
		for range 3 {
			w := serve(h, authenticated("/v1/batch", batchOf(`{"type":"page","userId":"a"}`, `{"type":"page","userId":"bad"}`, `{"type":"page","userId":"b"}`)))
			require.Equal(t, 200, w.Code)
			require.Equal(t, "[1:invalid_event]", rejects(readReply(t, w)))
			require.NotContains(t, w.Body.String(), secret)
		}
		require.Len(t, sink.Events(), 6)
		require.Equal(t, 1, strings.Count(log.String(), "stack="), "stacks")
		require.Contains(t, log.String(), "Validators[0] (github.com/inlet-go/inlet_test.TestHookPanics")
		err := h.Ingest(t.Context(), website, inlet.NewPage("a", "", nil), inlet.NewPage("bad", "", nil))
		require.True(t, inlet.IsPermanent(err), "%v", err)
		require.Len(t, sink.Events(), 7)
	})
}
