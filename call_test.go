package inlet_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
)

func TestValidators(t *testing.T) {
	t.Parallel()
	t.Run("run in order, before enrichers", func(t *testing.T) {
		t.Parallel()
		sink := new(testsink.Keeper)
		var order []string
		h := mustNew(t, sink, &inlet.Options{
			Validators: []inlet.Validator{
				func(e *inlet.Event) *inlet.Problem {
					order = append(order, "first "+e.UserID)
					if e.UserID == "bad" {
						return &inlet.Problem{Code: inlet.CodeInvalidEvent, Message: "bad"}
					}
					return nil
				},
				func(e *inlet.Event) *inlet.Problem { order = append(order, "second "+e.UserID); return nil },
			},
			Enrichers: []inlet.Enricher{
				func(ctx context.Context, e *inlet.Event) {
					e.GroupID = inlet.SourceFromContext(ctx).ID + "/" + e.MessageID
				},
				func(_ context.Context, e *inlet.Event) { e.GroupID += "!" },
			},
		})
		w := serve(h, authenticated("/v1/batch", batchOf(`{"type":"page"}`, `{"type":"page","userId":"bad","messageId":"b"}`, `{"type":"page","userId":"good","messageId":"g"}`)))
		require.Equal(t, "[0:no_user_anon_id 1:invalid_event]", rejects(readReply(t, w)))
		require.Equal(t, []string{"first bad", "first good", "second good"}, order)
		require.Len(t, sink.Events(), 1)
		require.Equal(t, "website/g!", sink.Events()[0].GroupID)
	})
	t.Run("codes", func(t *testing.T) {
		t.Parallel()
		long := strings.Repeat("a", 64)
		for code, want := range map[inlet.Code]inlet.Code{
			"plan_missing": "plan_missing", "v2": "v2", "_": "_", inlet.Code(long): inlet.Code(long),
			inlet.CodeIDRequired: inlet.CodeIDRequired, inlet.CodeInvalidEvent: inlet.CodeInvalidEvent,
			"": inlet.CodeInvalidEvent, "Plan": inlet.CodeInvalidEvent, "a-b": inlet.CodeInvalidEvent, "é": inlet.CodeInvalidEvent,
			inlet.Code(long + "a"): inlet.CodeInvalidEvent, "a b": inlet.CodeInvalidEvent,
			inlet.CodeRateLimited: inlet.CodeInvalidEvent, inlet.CodeInternal: inlet.CodeInvalidEvent, inlet.CodeMissingKey: inlet.CodeInvalidEvent,
		} {
			t.Run(string(code), func(t *testing.T) {
				t.Parallel()
				h := mustNew(t, new(testsink.Keeper), &inlet.Options{Validators: []inlet.Validator{func(*inlet.Event) *inlet.Problem {
					return &inlet.Problem{Code: code, Message: "a plan is required", Field: "properties.plan"}
				}}})
				w := serve(h, authenticated("/v1/track", goodTrack))
				a := requireRefused(t, w, 400, want)
				require.Equal(t, "a plan is required", a.Message)
				require.Equal(t, want, a.Rejected[0].Code)
				require.Equal(t, "properties.plan", a.Field)
			})
		}
	})
}

type contextKey struct{}

// write serves a request with a sink that is given the context of the write.
func write(t *testing.T, r *http.Request, o *inlet.Options, f func(ctx context.Context)) *httptest.ResponseRecorder {
	return serve(mustNew(t, inlet.SinkFunc(func(ctx context.Context, _ []*inlet.Event) error {
		f(ctx)
		return ctx.Err()
	}), o), r)
}

func TestWriteContext(t *testing.T) {
	t.Parallel()
	t.Run("outlives the client and ends at its deadline", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, leave := context.WithCancelCause(context.WithValue(t.Context(), contextKey{}, "value"))
			r := inlet.WithRequestID(authenticated("/v1/track", goodTrack).WithContext(client), "r1")
			r = inlet.WithSource(r, website)
			w := write(t, r, &inlet.Options{WriteTimeout: time.Minute}, func(ctx context.Context) {
				leave(errors.New("the client has left"))
				require.NoError(t, ctx.Err(), "the client's leaving ends the write")
				require.NoError(t, context.Cause(ctx), "the client's leaving is the cause of something")
				require.Equal(t, "value", ctx.Value(contextKey{}))
				require.Same(t, website, inlet.SourceFromContext(ctx))
				require.Equal(t, "r1", inlet.RequestIDFromContext(ctx))
				deadline, ok := ctx.Deadline()
				require.True(t, ok)
				require.Equal(t, time.Minute, time.Until(deadline))

				child, cancel := context.WithCancel(ctx)
				defer cancel()
				select {
				case <-ctx.Done():
					require.Fail(t, "done too early")
				case <-time.After(time.Minute - 1):
				}
				require.NoError(t, child.Err())
				<-child.Done()
				require.Equal(t, time.Now(), deadline)
				require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
				require.ErrorIs(t, child.Err(), context.DeadlineExceeded)
				require.ErrorIs(t, context.Cause(ctx), context.DeadlineExceeded)
			})
			requireRefused(t, w, 503, inlet.CodeSinkUnavailable)
		})
	})
	t.Run("its error without waiting", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			requireSuccess(t, write(t, authenticated("/v1/track", goodTrack), &inlet.Options{WriteTimeout: time.Second}, func(ctx context.Context) {
				time.Sleep(time.Second - 1)
				require.NoError(t, ctx.Err())
			}))
			requireRefused(t, write(t, authenticated("/v1/track", goodTrack), &inlet.Options{WriteTimeout: time.Second}, func(ctx context.Context) {
				time.Sleep(time.Second)
				require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
			}), 503, inlet.CodeSinkUnavailable)
		})
	})
	t.Run("its timer ends with the write", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var kept context.Context
			requireSuccess(t, write(t, authenticated("/v1/track", goodTrack), nil, func(ctx context.Context) {
				kept = ctx
				ctx.Done()
			}))
			select {
			case <-kept.Done():
			default:
				require.Fail(t, "the timer runs on after the write")
			}
		})
	})
}

func TestWriteNothing(t *testing.T) {
	t.Parallel()
	sink := new(testsink.Keeper)
	h := mustNew(t, sink, nil)
	for _, body := range []string{batchOf(), batchOf("{}"), batchOf("{}", "{}")} {
		require.Equal(t, 400, serve(h, authenticated("/v1/batch", body)).Code)
	}
	require.Zero(t, sink.Calls())
}

func TestPanic(t *testing.T) {
	t.Parallel()
	t.Run("of a sink is a temporary failure", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		h := mustNew(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error { panic(secret) }),
			&inlet.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		w := serve(h, authenticated("/v1/track", goodTrack))
		requireRefused(t, w, 503, inlet.CodeSinkUnavailable)
		require.NotContains(t, w.Body.String(), secret)
		require.Contains(t, log.String(), secret)
		require.Contains(t, log.String(), "call_test.go", "no stack")
		require.NoError(t, h.Shutdown(t.Context()), "the request is still counted")
	})
	t.Run("that aborts the request passes", func(t *testing.T) {
		t.Parallel()
		abort := func() { panic(http.ErrAbortHandler) }
		aborting := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { abort(); return nil })
		for _, test := range []struct {
			name string
			sink inlet.Sink
			o    inlet.Options
		}{
			{"a sink", aborting, inlet.Options{}},
			{"a validator", new(testsink.Keeper), inlet.Options{Validators: []inlet.Validator{func(*inlet.Event) *inlet.Problem { abort(); return nil }}}},
			{"an enricher", new(testsink.Keeper), inlet.Options{Enrichers: []inlet.Enricher{func(context.Context, *inlet.Event) { abort() }}}},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				h := mustNew(t, test.sink, &test.o)
				require.PanicsWithValue(t, http.ErrAbortHandler, func() { serve(h, authenticated("/v1/track", goodTrack)) })
				require.NoError(t, h.Shutdown(t.Context()), "the request is still counted")
			})
		}
	})
	t.Run("keeps the memory of the write from reuse", func(t *testing.T) {
		t.Parallel()
		var lost []*inlet.Event
		sink := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
			if lost == nil {
				lost = events // as a goroutine of the sink's may still hold them
				panic("the sink is broken")
			}
			return nil
		})
		h := mustNew(t, sink, nil)
		first := `{"userId":"u","event":"First","messageId":"m","properties":{"s":"` + strings.Repeat("a", 1000) + `"}}`
		requireRefused(t, serve(h, authenticated("/v1/track", first)), 503, inlet.CodeSinkUnavailable)
		for range 100 {
			requireSuccess(t, serve(h, authenticated("/v1/track", strings.NewReplacer("First", "Other", "aa", "bb").Replace(first))))
		}
		require.Equal(t, "First", lost[0].Name)
		require.Equal(t, `{"s":"`+strings.Repeat("a", 1000)+`"}`, string(lost[0].Properties))
	})
}

// observer keeps copies of the records that it is given.
type observer struct{ records []inlet.Outcome }

func (o *observer) ObserveRequest(_ context.Context, r *inlet.Outcome) {
	record := *r
	record.Rejects = append([]inlet.Reject(nil), r.Rejects...)
	o.records = append(o.records, record)
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	t.Run("observed for every request", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			seen := new(observer)
			h := mustNew(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
				time.Sleep(2 * time.Second)
				return nil
			}), &inlet.Options{Observer: seen})
			zipped := encoded(t, "gzip", batchOf(typedEvent("page"), `{"type":"page"}`))
			serve(h, authenticated("/b/", zipped, "Content-Encoding", "gzip"))
			serve(h, request("POST", "/v1/track", strings.NewReader(goodTrack)))
			serve(h, authenticated("/nothing", goodTrack))
			serve(h, inlet.WithSource(request("GET", "/v1/pixel/track?userId=u", nil), website))
			require.NoError(t, h.Shutdown(t.Context()))
			serve(h, authenticated("/v1/track", goodTrack))
			require.Len(t, seen.records, 5)

			batch := seen.records[0]
			require.Equal(t, inlet.Outcome{
				Dialect: "segment", Path: "/v1/b", Source: website, Status: 200, Accepted: 1, Rejected: 1, Rejects: batch.Rejects,
				WireBytes: len(zipped), Bytes: len(batchOf(typedEvent("page"), `{"type":"page"}`)), Duration: 2 * time.Second, Write: 2 * time.Second,
			}, batch)
			require.Equal(t, inlet.CodeNoUserAnonID, batch.Rejects[0].Code)
			require.Equal(t, inlet.Outcome{Dialect: seen.records[1].Dialect, Path: "/v1/track", Status: 401, Code: inlet.CodeMissingKey}, seen.records[1])
			require.Equal(t, inlet.Outcome{Status: 404, Code: inlet.CodeNotFound}, seen.records[2])
			require.Equal(t, 200, seen.records[3].Status)
			require.Equal(t, inlet.CodeEventNotDefined, seen.records[3].Code)
			require.Equal(t, 503, seen.records[4].Status)
			require.Equal(t, inlet.CodeShuttingDown, seen.records[4].Code)
		})
	})
	t.Run("in the context of outer layers", func(t *testing.T) {
		t.Parallel()
		cause := errors.New(secret)
		for _, test := range []struct {
			name string
			err  error
			body string
			want inlet.Outcome
		}{
			{"stored", nil, batchOf(typedEvent("page")), inlet.Outcome{Status: 200, Accepted: 1}},
			{"some refused", nil, batchOf(typedEvent("page"), "{}"), inlet.Outcome{Status: 200, Accepted: 1, Rejected: 1, Rejects: []inlet.Reject{
				{Index: 1, Problem: inlet.Problem{Code: inlet.CodeTypeRequired, Message: "type is required", Field: "type"}},
			}}},
			{"failed", cause, batchOf(typedEvent("page")), inlet.Outcome{Status: 503, Code: inlet.CodeSinkUnavailable, Err: cause}},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				r := authenticated("/v1/batch", test.body)
				require.Zero(t, inlet.OutcomeFromContext(r.Context()))
				serve(mustNew(t, testsink.Failing(test.err), nil), r)
				want := test.want
				want.Dialect, want.Path, want.Source = "segment", "/v1/batch", website
				want.Bytes, want.WireBytes = len(test.body), len(test.body)
				require.Equal(t, want, inlet.OutcomeFromContext(r.Context()))
			})
		}
		require.Zero(t, inlet.OutcomeFromContext(t.Context()))
	})
}

func TestObserver(t *testing.T) {
	t.Parallel()
	t.Run("of Ingest, once", func(t *testing.T) {
		t.Parallel()
		good, bad := inlet.NewPage("u", "Home", nil), inlet.NewPage("", "Home", nil)
		down := errors.New("down")
		for _, tt := range []struct {
			name               string
			sink               inlet.Sink
			source             *inlet.Source
			events             []*inlet.Event
			status             int
			code               inlet.Code
			accepted, rejected int
		}{
			{"stored", new(testsink.Keeper), website, []*inlet.Event{good, good}, 200, "", 2, 0},
			{"some refused", new(testsink.Keeper), website, []*inlet.Event{good, bad}, 200, "", 1, 1},
			{"all refused", new(testsink.Keeper), website, []*inlet.Event{bad, nil}, 400, inlet.CodeAllRefused, 0, 2},
			{"the sink is down", testsink.Failing(down), website, []*inlet.Event{good, bad}, 503, inlet.CodeSinkUnavailable, 0, 1},
			{"no source", new(testsink.Keeper), nil, []*inlet.Event{good}, 500, inlet.CodeInternal, 0, 0},
			{"an enricher panics", new(testsink.Keeper), website, []*inlet.Event{inlet.NewPage("bad", "", nil)}, 500, inlet.CodeInternal, 0, 0},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				seen := new(observer)
				h := mustNew(t, tt.sink, &inlet.Options{Observer: seen, Enrichers: []inlet.Enricher{breakEvent(func(*inlet.Event) { panic("e") })}})
				err := h.Ingest(t.Context(), tt.source, tt.events...)
				require.Equal(t, tt.status != 200 || tt.rejected > 0, err != nil)
				require.Len(t, seen.records, 1)
				o := seen.records[0]
				require.Equal(t, inlet.DialectIngest, o.Dialect)
				require.Equal(t, tt.source, o.Source)
				require.Equal(t, tt.status, o.Status)
				require.Equal(t, tt.code, o.Code)
				require.Equal(t, tt.accepted, o.Accepted)
				require.Equal(t, tt.rejected, o.Rejected)
				require.Len(t, o.Rejects, tt.rejected)
				require.Equal(t, err, o.Err)
			})
		}
	})
	t.Run("of Ingest after Shutdown", func(t *testing.T) {
		t.Parallel()
		seen := new(observer)
		h := mustNew(t, new(testsink.Keeper), &inlet.Options{Observer: seen})
		require.NoError(t, h.Shutdown(t.Context()))
		require.Error(t, h.Ingest(t.Context(), website, inlet.NewPage("u", "", nil)))
		require.Len(t, seen.records, 1)
		require.Equal(t, inlet.CodeShuttingDown, seen.records[0].Code)
	})
	t.Run("of a panic", func(t *testing.T) {
		t.Parallel()
		seen := new(observer)
		h := mustNew(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error { panic(http.ErrAbortHandler) }), &inlet.Options{Observer: seen})
		require.Panics(t, func() { serve(h, authenticated("/v1/track", goodTrack)) })
		require.Len(t, seen.records, 1)
		require.Equal(t, 500, seen.records[0].Status)
		require.Equal(t, inlet.CodeInternal, seen.records[0].Code)
		require.Equal(t, website, seen.records[0].Source)
		require.Equal(t, "/v1/track", seen.records[0].Path)
	})
}

func TestRefusalLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := new(bytes.Buffer)
		h := mustNew(t, new(testsink.Keeper), &inlet.Options{
			Logger: slog.New(slog.NewTextHandler(log, nil)),
			Validators: []inlet.Validator{func(e *inlet.Event) *inlet.Problem {
				if e.Name == "Order Complete" {
					return &inlet.Problem{Code: "not_in_catalogue", Message: "no such event", Field: "event"}
				}
				return nil
			}},
		})
		lines := func() (lines []string) {
			lines = strings.Split(strings.TrimSpace(log.String()), "\n")
			log.Reset()
			for i := range lines {
				_, lines[i], _ = strings.Cut(lines[i], "level=")
			}
			return lines
		}
		misspelt := `{"type":"track","userId":"u","event":"Order Complete","messageId":"m1"}`
		serve(h, authenticated("/v1/batch", batchOf(misspelt, misspelt, `{"type":"track","event":"E"}`)))
		require.Equal(t, []string{
			`WARN msg="inlet: refused" code=not_in_catalogue refused=2 source=website dialect=segment path=/v1/batch reason="no such event" field=event type=track event="Order Complete" messageId=m1`,
			`WARN msg="inlet: refused" code=no_user_anon_id refused=1 source=website dialect=segment path=/v1/batch reason="userId or anonymousId is required" field=userId type=track event=E`,
		}, lines())

		for range 100 {
			serve(h, authenticated("/v1/track", misspelt))
		}
		require.Equal(t, []string{""}, lines(), "within a minute")
		time.Sleep(time.Minute)
		serve(h, authenticated("/v1/track", misspelt))
		require.Len(t, lines(), 1)
		other := inlet.WithSource(request("POST", "/v1/track", strings.NewReader(misspelt)), &inlet.Source{ID: "other"})
		serve(h, other)
		require.Contains(t, lines()[0], "source=other")

		serve(h, request("POST", "/v1/track", strings.NewReader(misspelt)))
		require.Equal(t, []string{""}, lines(), "without a source")
		serve(h, authenticated("/v1/track", "{"))
		require.Equal(t, []string{`WARN msg="inlet: refused" code=invalid_json refused=1 source=website dialect=segment path=/v1/track reason="unexpected end of the JSON text at byte 1"`}, lines())

		for i := range 5000 {
			source := &inlet.Source{ID: "s" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + time.Duration(i).String()}
			serve(h, inlet.WithSource(request("POST", "/v1/track", strings.NewReader(misspelt)), source))
		}
		require.Less(t, len(lines()), 1100, "each of any number of sources has a line")
	})
}
