package inlet_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// reasons returns code, field and event of each letter.
func reasons(t *testing.T, letters []*inlet.Event) (texts []string) {
	t.Helper()
	for _, e := range letters {
		r, ok := sinks.RefusalOf(e)
		require.True(t, ok, "%s", e.AppendJSON(nil))
		require.False(t, r.At.IsZero())
		require.Equal(t, "handler", r.By)
		require.NotEmpty(t, r.Error)
		require.NotEmpty(t, e.MessageID)
		require.Equal(t, website.ID, e.Source.ID)
		require.False(t, e.ReceivedAt.IsZero())
		require.False(t, e.Timestamp.IsZero())
		var read inlet.Event
		require.NoError(t, read.UnmarshalJSON(e.AppendJSON(nil)), "%s", e.AppendJSON(nil))
		require.True(t, read.Equal(e))
		text := string(r.Code) + " " + r.Field
		if r.Received != "" {
			text += " " + r.Received
		} else {
			plain := sinks.WithoutRefusal(e)
			text += " " + string(plain.Type) + "/" + plain.Name + "/" + plain.UserID + string(plain.Properties)
		}
		texts = append(texts, text)
	}
	return texts
}

func TestRejects(t *testing.T) {
	t.Parallel()
	const good = `{"type":"track","userId":"u","event":"Good","messageId":"g"}`
	planned := func(e *inlet.Event) *inlet.Problem {
		if e.Name == "Unplanned" {
			return &inlet.Problem{Code: "not_in_catalogue", Message: "no such event", Field: "event"}
		}
		return nil
	}
	refusing := &testsink.Keeper{Respond: func(_ context.Context, events []*inlet.Event) error {
		var failed []inlet.ItemError
		for i, e := range events {
			if e.Name == "Poison" {
				failed = append(failed, inlet.ItemError{Index: i, Err: inlet.Permanent(errors.New("no such column"))})
			}
		}
		if failed == nil {
			return nil
		}
		return &inlet.BatchError{Items: failed}
	}}
	for _, tt := range []struct {
		name, path, body, strict string
		status                   int
		stored                   int
		want                     []string
	}{
		{"nothing", "/v1/batch", batchOf(good), "", 200, 1, nil},
		{"a missing field", "/v1/batch", batchOf(good, `{"type":"track","event":"E","properties":{"a":1}}`), "", 200, 1, []string{`no_user_anon_id userId track/E/{"a":1}`}},
		{"alone", "/v1/track", `{"userId":"u","properties":{"a":1}}`, "", 400, 0, []string{`event_not_defined event track//u{"a":1}`}},
		{"a validator", "/v1/track", `{"userId":"u","event":"Unplanned"}`, "", 400, 0, []string{`not_in_catalogue event track/Unplanned/u`}},
		{"the sink", "/v1/batch", batchOf(good, `{"type":"track","userId":"u","event":"Poison"}`), "", 200, 1, []string{`refused_by_sink  track/Poison/u`}},
		{"validator and sink", "/v1/batch", batchOf(`{"type":"track","userId":"u","event":"Poison"}`, `{"type":"track","userId":"u","event":"Unplanned"}`), "", 400, 0,
			[]string{`not_in_catalogue event track/Unplanned/u`, `refused_by_sink  track/Poison/u`}},
		{"what is not an event", "/v1/batch", batchOf(`7`, good, `{"type":"click","userId":"u"}`, `{"userId":"v"}`, `{"type":"page","a":1,"a":2}`, `{"type":"page","userId":"u","properties":"x"}`), "", 200, 1,
			[]string{"not_object  7", `type_unknown type {"type":"click","userId":"u"}`, `type_required type {"userId":"v"}`, `duplicate_name a {"type":"page","a":1,"a":2}`, `properties_not_object properties {"type":"page","userId":"u","properties":"x"}`}},
		{"too deep", "/v1/track", `{"userId":"u","event":"E","properties":{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}}`, "", 400, 0,
			[]string{`too_deep  {"userId":"u","event":"E","properties":{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}}`}},
		{"a name twice", "/v1/track", `{"userId":"u","event":"E","a":1,"a":2}`, "", 400, 0, []string{`duplicate_name a {"userId":"u","event":"E","a":1,"a":2}`}},
		{"strict mode", "/v1/batch", batchOf(good, `{"type":"page"}`), "1", 400, 0, []string{"strict_mode  track/Good/u", "no_user_anon_id userId page//"}},
		{"a key in what is not an event", "/v1/batch", batchOf(`{"type":"click","writeKey":"ILoveData123"}`), "", 400, 0, []string{`type_unknown type {"type":"click","writeKey":"*"}`}},
		{"a whole request", "/v1/batch", `{"batch":[`, "", 400, 0, nil},
		{"an empty batch", "/v1/batch", batchOf(), "", 400, 0, nil},
		{"a v1 payload", "/v2.0/track", `{"userId":"u"}`, "", 404, 0, nil},
		{"Commanders Act, as version 1", "/events?tc_s=1", `{"event":{"name":"x"},"user":{"id":"u"}}`, "", 0, 0, []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rejected := new(testsink.Keeper)
			sink := &testsink.Keeper{Respond: refusing.Respond}
			keys := inlet.MustKeys(map[string]inlet.Source{"ILoveData123": *website})
			h := middleware.Auth(keys, nil)(mustNew(t, sink, &inlet.Options{Rejects: rejected, Validators: []inlet.Validator{planned}}))
			r := request("POST", tt.path, strings.NewReader(tt.body), "Authorization", "Bearer ILoveData123", "X-Strict-Mode", tt.strict)
			w := serve(h, r)
			if tt.status == 0 {
				require.NotContains(t, w.Body.String(), `"success":true}`, "%s", w.Body)
				require.Len(t, rejected.Events(), 1)
				reasons(t, rejected.Events())
				return
			}
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			require.Equal(t, tt.want, reasons(t, rejected.Events()))
			for _, batch := range rejected.Batches() {
				require.NotContains(t, string(batch[0].AppendJSON(nil)), "ILoveData123")
			}
			stored := 0
			for _, e := range sink.Events() {
				if e.Name == "Good" {
					stored++
				}
			}
			require.Equal(t, tt.stored, stored)
		})
	}

	t.Run("without a key nothing is written", func(t *testing.T) {
		t.Parallel()
		rejected := new(testsink.Keeper)
		h := mustNew(t, new(testsink.Keeper), &inlet.Options{Rejects: rejected})
		requireRefused(t, serve(h, request("POST", "/v1/track", strings.NewReader(`{"userId":"u"}`))), 401, inlet.CodeMissingKey)
		require.Zero(t, rejected.Calls())
	})
	t.Run("what comes again is not written", func(t *testing.T) {
		t.Parallel()
		rejected := new(testsink.Keeper)
		mixed := batchOf(`{"type":"track","userId":"u","event":"Poison"}`, good)
		down := &testsink.Keeper{Respond: func(context.Context, []*inlet.Event) error {
			return &inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: inlet.Permanent(errors.New("bad"))}, {Index: 1, Err: errors.New("down")}}}
		}}
		h := mustNew(t, down, &inlet.Options{Rejects: rejected})
		requireRefused(t, serve(h, authenticated("/v1/batch", mixed)), 503, inlet.CodeSinkUnavailable)
		require.Zero(t, rejected.Calls())

		limited := inlet.WithCharge(authenticated("/v1/batch", batchOf(good, `{}`)), func(context.Context, int, int) error { return &inlet.Error{Code: inlet.CodeRateLimited} })
		requireRefused(t, serve(h, limited), 429, inlet.CodeRateLimited)
		require.Zero(t, rejected.Calls())
	})
	t.Run("a letter goes through the enrichers", func(t *testing.T) {
		t.Parallel()
		rejected, log := new(testsink.Keeper), new(bytes.Buffer)
		h := mustNew(t, new(testsink.Keeper), &inlet.Options{
			Rejects: rejected, Logger: slog.New(slog.NewTextHandler(log, nil)),
			Enrichers: []inlet.Enricher{
				func(_ context.Context, e *inlet.Event) { _ = e.Set("traits.email", nil) },
				breakEvent(func(*inlet.Event) { panic("broken") }),
			},
		})
		requireRefused(t, serve(h, authenticated("/v1/group", `{"userId":"u","traits":{"email":"a@shop.example","n":1}}`)), 400, inlet.CodeIDRequired)
		requireRefused(t, serve(h, authenticated("/v1/group", `{"userId":"bad","messageId":"m","traits":{"email":"a@shop.example","n":1}}`)), 400, inlet.CodeIDRequired)
		letters := rejected.Events()
		require.Equal(t, `{"n":1}`, string(letters[0].Traits))
		require.Nil(t, letters[1].Traits, "an event that an enricher has failed for")
		require.Equal(t, "m", letters[1].MessageID)
		require.Contains(t, log.String(), "Enrichers[1]")
	})
	t.Run("many are written in pieces within the budget", func(t *testing.T) {
		t.Parallel()
		rejected := new(testsink.Keeper)
		h := mustNew(t, new(testsink.Keeper), &inlet.Options{Rejects: rejected})
		events := make([]string, 1000)
		for i := range events {
			events[i] = `{"type":"page","messageId":"` + strconv.Itoa(i) + `"}`
		}
		require.Equal(t, 400, serve(h, authenticated("/v1/batch", batchOf(events...))).Code)
		require.Len(t, rejected.Events(), 1000)
		require.Equal(t, 10, rejected.Calls())
		for i, id := range rejected.IDs() {
			require.Equal(t, strconv.Itoa(i), id)
		}
	})
	t.Run("Ingest leaves them to its caller", func(t *testing.T) {
		t.Parallel()
		rejected := new(testsink.Keeper)
		require.Error(t, mustNew(t, new(testsink.Keeper), &inlet.Options{Rejects: rejected}).Ingest(t.Context(), website, inlet.NewPage("", "", nil)))
		require.Zero(t, rejected.Calls())
	})
	t.Run("Shutdown flushes them", func(t *testing.T) {
		t.Parallel()
		rejected := new(flushing)
		require.NoError(t, mustNew(t, new(testsink.Keeper), &inlet.Options{Rejects: rejected}).Shutdown(t.Context()))
		require.EqualValues(t, 1, rejected.flushes.Load())
	})
}

func TestRejectsFail(t *testing.T) {
	t.Parallel()
	mixed := batchOf(`{"type":"page","userId":"u","messageId":"g"}`, `{"type":"page","messageId":"b"}`)
	down := errors.New("down")
	one := func(err error) error { return &inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: err}}} }
	for _, tt := range []struct {
		name    string
		rejects inlet.Sink
		best    bool
		status  int
		lapsed  int
	}{
		{"down", testsink.Failing(down), false, 503, 1},
		{"down, of one event", testsink.Failing(one(down)), false, 503, 1},
		{"panics", inlet.SinkFunc(func(context.Context, []*inlet.Event) error { panic(secret) }), false, 503, 1},
		{"hangs", inlet.SinkFunc(func(ctx context.Context, _ []*inlet.Event) error { <-ctx.Done(); return ctx.Err() }), false, 503, 1},
		{"refuses permanently", testsink.Failing(inlet.Permanent(down)), false, 200, 1},
		{"down, best effort", testsink.Failing(down), true, 200, 1},
		{"panics, best effort", inlet.SinkFunc(func(context.Context, []*inlet.Event) error { panic(secret) }), true, 200, 1},
		{"works", new(testsink.Keeper), false, 200, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sink, seen, log := new(testsink.Keeper), new(observer), new(bytes.Buffer)
				h := mustNew(t, sink, &inlet.Options{
					Rejects: tt.rejects, RejectsBestEffort: tt.best, Observer: seen, Logger: slog.New(slog.NewTextHandler(log, nil)),
				})
				began := time.Now()
				w := serve(h, authenticated("/v1/batch", mixed))
				require.LessOrEqual(t, time.Since(began), 10*time.Second)
				require.Equal(t, tt.status, w.Code, "%s", w.Body)
				require.NotContains(t, w.Body.String(), secret)
				require.Equal(t, tt.lapsed, seen.records[0].Unrecorded)
				if tt.status == http.StatusOK {
					require.Equal(t, []string{"g"}, sink.IDs())
					require.Equal(t, tt.lapsed > 0, strings.Contains(log.String(), "inlet: refused events not recorded"), "%s", log)
					return
				}
				require.NotEmpty(t, w.Header().Get("Retry-After"))
				require.Zero(t, sink.Calls(), "what comes again was stored")
				require.Contains(t, log.String(), "Options.Rejects")
			})
		})
	}
}
