package inlet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// onArrival are options with the time at which the payloads of these tests arrived.
var onArrival = inlet.MigrateOptions{ReceivedAt: time.UnixMilli(1_700_000_000_000)}

// migrated returns the 2.0 form of a payload and the report.
func migrated(t testing.TB, payload string) (string, inlet.MigrationReport) {
	t.Helper()
	out, report, err := inlet.CommandersActV1().Migrate(nil, []byte(payload), onArrival)
	require.NoError(t, err)
	return string(out), report
}

// The payloads in testdata/migrate have the forms that were published or found on the wire.
// Each golden file holds the 2.0 form and the report. UPDATE_GOLDEN=1 rewrites them.
func TestMigrateGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/migrate/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			payload, err := os.ReadFile(file)
			require.NoError(t, err)
			result, report := migrated(t, string(payload))
			got := strings.TrimSuffix(result, "\n") + "\n" + reportText(t, report)
			golden := strings.TrimSuffix(file, ".json") + ".golden"
			if os.Getenv("UPDATE_GOLDEN") != "" {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
			again, _ := migrated(t, result)
			require.Equal(t, result, again)
		})
	}
}

// reportText returns a report with a line for each note.
func reportText(t testing.TB, report inlet.MigrationReport) string {
	notes := report.Notes
	report.Notes = nil
	var b strings.Builder
	for _, v := range append([]any{report}, anys(notes)...) {
		line, err := json.Marshal(v)
		require.NoError(t, err)
		b.Write(append(line, '\n'))
	}
	return b.String()
}

func anys[T any](list []T) (all []any) {
	for _, v := range list {
		all = append(all, v)
	}
	return all
}

func codesOf(report inlet.MigrationReport, kind string) (codes []string) {
	for _, n := range report.Notes {
		if n.Kind == kind {
			codes = append(codes, n.Code)
		}
	}
	return codes
}

func TestMigrateOptions(t *testing.T) {
	t.Parallel()
	const unreadable = `{"event_name":"x","event_timestamp":"soon","properties":{}}`
	t.Run("without a time of arrival", func(t *testing.T) {
		t.Parallel()
		for payload, want := range map[string]string{
			unreadable: `{"event_name":"x","context":{"event_timestamp":"soon","version":2}}`,
			`{"event_name":"x","event_timestamp":{"t":[1]},"properties":{}}`: `{"event_name":"x","context":{"event_timestamp":{"t":[1]},"version":2}}`,
			`{"event_name":"x","properties":{}}`:                             `{"event_name":"x","context":{"version":2}}`,
		} {
			out, report, err := inlet.CommandersActV1().Migrate(nil, []byte(payload), inlet.MigrateOptions{})
			require.NoError(t, err)
			require.Equal(t, want, string(out))
			for _, n := range report.Notes {
				require.Nil(t, n.Value, "nothing is lost")
			}
			again, twice, err := inlet.CommandersActV1().Migrate(nil, out, inlet.MigrateOptions{})
			require.NoError(t, err)
			require.Equal(t, want, string(again))
			require.Zero(t, twice.Migrated)
		}
	})
	t.Run("strict", func(t *testing.T) {
		t.Parallel()
		for _, payload := range []string{unreadable, `{"event_name":"x","properties":{"context":{"event_timestamp":"soon"}}}`, `{"event_name":"x","properties":{},"context":{"event_timestamp":{}}}`} {
			out, report, err := inlet.CommandersActV1().Migrate(nil, []byte(payload), inlet.MigrateOptions{Strict: true, ReceivedAt: onArrival.ReceivedAt})
			require.NoError(t, err)
			require.Equal(t, payload, string(out))
			require.Equal(t, []string{"timestamp_invalid"}, codesOf(report, "failure"))
			require.Equal(t, 1, report.Failed)
		}
	})
}

// A handler behind the layer stores what a handler without it does of the same text, although it
// does not look for members that it knows to be elsewhere.
func TestMigratedEvents(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/migrate/*.json")
	require.NoError(t, err)
	events := []string{
		`{"event_name":"e","event_id":"i","event_timestamp":1639044446636,"page":{"event_id":"x"},"properties":{"a":1,"version":1,"event_id":"y"}}`,
		`{"event_name":"e","event_timestamp":1639044446636,"created":"2022-01-01T10:00:00Z","properties":{}}`,
		`{"event_name":"e","event_id":"","event_timestamp":"2022-01-01T10:00:00Z","device":{"event_timestamp":1},"properties":{"properties":{}}}`,
		`{"event_name":"e","event_id":7,"eventId":"j","event_timestamp":"1639044446","properties":{"user":{"id":1}}}`,
		`{"event_name":"e","event_id":[],"event_timestamp":1639044446636,"properties":{}}`,
		`{"event_name":"e","event_timestamp":"soon","properties":{"created":"2022-01-01T10:00:00Z"}}`,
	}
	for _, file := range files {
		payload, err := os.ReadFile(file)
		require.NoError(t, err)
		events = append(events, string(payload))
	}
	stored := func(path, body string, layers ...func(http.Handler) http.Handler) (events string) {
		sink := new(testsink.Keeper)
		var h http.Handler = mustNew(t, sink, nil)
		for _, layer := range layers {
			h = layer(h)
		}
		serve(h, authenticated(path, body))
		for _, e := range sink.Events() {
			e.ReceivedAt = time.Time{}
			if e.Warnings.Has(inlet.WarnMessageIDGenerated) {
				e.MessageID = ""
			}
			if e.OriginalTimestamp.IsZero() {
				e.Timestamp = time.Time{}
			}
			events += string(e.AppendJSON(nil)) + "\n"
		}
		return events
	}
	layer, err := inlet.MigratePayload(inlet.CommandersActV1(), nil)
	require.NoError(t, err)
	for _, event := range events {
		for path, body := range map[string]string{"/events": event, "/events/batch": batchOf(event, events[0], event)} {
			text, _, err := inlet.CommandersActV1().Migrate(nil, []byte(body), inlet.MigrateOptions{})
			require.NoError(t, err)
			require.Equal(t, stored(path, string(text)), stored(path, body, layer), body)
		}
	}
}

func TestMigrateAppend(t *testing.T) {
	t.Parallel()
	t.Run("valid", func(t *testing.T) {
		t.Parallel()
		out, _, err := inlet.CommandersActV1().Migrate([]byte("before "), []byte(v1Search), onArrival)
		require.NoError(t, err)
		require.Equal(t, "before "+v2Search, string(out))
	})
	t.Run("not JSON", func(t *testing.T) {
		t.Parallel()
		out, report, err := inlet.CommandersActV1().Migrate([]byte("before"), []byte(`{"a":'b'}`), inlet.MigrateOptions{})
		require.Equal(t, "before", string(out))
		require.Equal(t, inlet.MigrationReport{}, report)
		var e *inlet.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, inlet.CodeInvalidJSON, e.Code)
		require.EqualValues(t, 5, e.Offset)
	})
}

func TestMigrateFailures(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]string{
		`[1]`:               "not_object",
		`{"batch":[5]}`:     "not_object",
		`{"a":1,"a":2}`:     "duplicate_name",
		`{"properties":{}}`: "event_name_required",
		`{"event":"","event_name":null,"properties":{}}`:            "event_name_required",
		`{"event_name":"x","version":1,"properties":"y"}`:           "properties_not_object",
		`{"type":"track","event":"x","userId":"u","properties":{}}`: "wrong_dialect",
		`{"type":"track","event":"x","anonymousId":"u"}`:            "wrong_dialect",
		`{"event_name":"x","context":"c","event_id":"E"}`:           "context_not_object",
	} {
		got, report := migrated(t, payload)
		require.Equal(t, payload, got)
		require.Equal(t, []string{want}, codesOf(report, "failure"), payload)
		require.Equal(t, 1, report.Failed)
		require.Zero(t, report.Migrated)
	}
}

func TestMigrateText(t *testing.T) {
	t.Parallel()
	got, report := migrated(t, "{\"batch\":[{\"event_name\":\"\\ud83d\",\"event_id\":\"E\",\"event_timestamp\":1700000000000,\"properties\":{}},{\"event_name\":\"a\xff\"}]}")
	require.Equal(t, `{"batch":[{"event_name":"\ufffd","context":{"event_id":"E","event_timestamp":1700000000000,"version":2}},{"event_name":"a`+"\uFFFD"+`"}]}`, got)
	require.Contains(t, codesOf(report, "warning"), "text_repaired")
}

func TestMigrationReportLogValue(t *testing.T) {
	t.Parallel()
	_, report := migrated(t, `{"event":"secret","eventId":"E","properties":{"user":{"email":"a@example.com"}},"user":{"email":"b@example.com"}}`)
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("migrated", "report", report)
	require.Contains(t, b.String(), `"report":{"events":1,"migrated":1,"failed":0,"conflict":1,"missing_required":1,"renamed":2,"timestamp_missing":1}`)
	require.NotContains(t, b.String(), "example.com")
}

func TestMigrateAllocs(t *testing.T) {
	if testkit.Race {
		t.Skip("pools forget under the race detector")
	}
	m, dst, v2 := inlet.CommandersActV1(), make([]byte, 0, 1<<10), []byte(`{"event_name":"login","context":{"event_id":"E"}}`)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _, _ = m.Migrate(dst, v2, inlet.MigrateOptions{}) }))
}

// v1Search is the vendor's example of an event of 1.0, and v2Search its 2.0 form.
const (
	v1Search = `{"event_name":"search","event_id":"E1","event_timestamp":1639044446636,"properties":{"search_term":"t-shirts","user":{"id":"12345","consent_categories":[1,3]}},"page":{"title":"Search page","location":"https://shop.com/s"},"device":{"user_agent":"UA","ip":"102.3.4.56","cookie":"_fbp=1"}}`
	v2Search = `{"event_name":"search","search_term":"t-shirts","user":{"id":"12345","consent_categories":["1","3"]},"context":{"event_id":"E1","event_timestamp":1639044446636,"page":{"title":"Search page","url":"https://shop.com/s"},"device":{"user_agent":"UA","ip":"102.3.4.56","cookie":"_fbp=1"},"version":2}}`
)

const v1Batch = `{"batch": [ {"event_name":"a","event_id":"E1","properties":{"x":1,"user":{"id":"u1"}},"event_timestamp":1700000000000} , {"event_name":"b","context":{"event_id":"E2"}} , 7, {"event":"c","eventId":"E3","properties":{},"page":{"title":"t"}}, {"properties":{"a":1}} ], "sent":1}`

func TestMigrator(t *testing.T) {
	t.Parallel()
	t.Run("event is stored like its 2.0 form", func(t *testing.T) {
		t.Parallel()
		files, err := filepath.Glob("testdata/migrate/v1_[0-9]*.json")
		require.NoError(t, err)
		require.Len(t, files, 13)
		for _, file := range files {
			v1, err := os.ReadFile(file)
			require.NoError(t, err)
			atDialectNow(t, func(t *testing.T) {
				v2, _, err := inlet.CommandersActV1().Migrate(nil, v1, inlet.MigrateOptions{})
				require.NoError(t, err)
				one, two := newDialectServer(t, middleware.Migrate(inlet.CommandersActV1(), nil)), newDialectServer(t)
				path := "/events?tc_s=1&token=" + actsToken
				require.Equal(t, http.StatusOK, one.post(path, "", string(v1)).Code, file)
				require.Equal(t, http.StatusOK, two.post(path, "", string(v2)).Code, file)
				require.Len(t, one.events, 1)
				require.Equal(t, eventsText(t, two.events), eventsText(t, one.events), file)
			})
		}
	})
	t.Run("batch keeps the order and refuses only failures", func(t *testing.T) {
		t.Parallel()
		atDialectNow(t, func(t *testing.T) {
			s := newDialectServer(t, middleware.Migrate(inlet.CommandersActV1(), nil))
			w := s.post("/events/batch?tc_s=1&token="+actsToken, "", v1Batch)
			require.Equal(t, http.StatusOK, w.Code)
			require.Contains(t, w.Body.String(), `"accepted":3`)
			require.Contains(t, w.Body.String(), `{"index":2,"code":"not_object"`)
			require.Contains(t, w.Body.String(), `{"index":4,"code":"event_name_required"`)
			require.Len(t, s.events, 3)
			require.JSONEq(t, `{"event_id":"E3","page":{"title":"t"},"version":2}`, string(s.events[2].Context))
		})
	})
}

// What cannot be migrated is refused with the code and the text of the reason, whether or not
// Report is set.
func TestMigratorFailures(t *testing.T) {
	t.Parallel()
	report := func(context.Context, *http.Request, inlet.MigrationReport) {}
	for _, tt := range []struct {
		event, field string
		code         inlet.Code
	}{
		{`{"properties":{"a":1}}`, "event_name", inlet.CodeEventNameRequired},
		{`{"event":"","event_name":null,"properties":[]}`, "event_name", inlet.CodeEventNameRequired},
		{`{"event_name":"x","version":1,"properties":"y"}`, "properties", inlet.CodePropertiesNotObject},
		{`{"event_name":"x","version":1,"properties":[1]}`, "properties", inlet.CodePropertiesNotObject},
		{`{"type":"track","event":"x","userId":"u","properties":{}}`, "type", inlet.CodeWrongDialect},
		{`{"event_name":"x","properties":{},"event_timestamp":"soon"}`, "event_timestamp", inlet.CodeTimestampInvalid},
		{`{"event_name":"x","context":"c","event_id":"E"}`, "context", inlet.CodeContextNotObject},
		{`{"event_name":"x","properties":{"a":1,"a":2}}`, "a", inlet.CodeDuplicateName},
		{`7`, "", inlet.CodeNotObject},
	} {
		for name, o := range map[string]*inlet.MigratePayloadOptions{"silent": {Strict: true}, "reported": {Strict: true, Report: report}} {
			t.Run(string(tt.code)+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newDialectServer(t, middleware.Migrate(inlet.CommandersActV1(), o))
				w := s.post("/events/batch?token="+actsToken, "", `{"batch":[`+v2Search+","+tt.event+","+v1Search+","+tt.event+`]}`)
				require.Equal(t, http.StatusOK, w.Code)
				require.Len(t, s.events, 2)
				var answer struct {
					Rejected []inlet.Reject
				}
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
				require.Len(t, answer.Rejected, 2)
				for i, r := range answer.Rejected {
					require.Equal(t, []int{1, 3}[i], r.Index)
					require.Equal(t, tt.code, r.Code)
					require.Equal(t, tt.field, r.Field)
					require.NotEmpty(t, r.Message)
				}
				requireNoGoName(t, w.Body.String())
			})
		}
	}
	t.Run("no text for clients names what only Go programs know", func(t *testing.T) {
		t.Parallel()
		for code, text := range inlet.CodeTexts {
			require.NotEmpty(t, text, code)
			requireNoGoName(t, text)
		}
	})
	t.Run("a trial refuses 1.0 as if there were no migration", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t, middleware.Migrate(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Shadow: true, Report: report}))
		w := s.post("/events?token="+actsToken, "", `{"properties":{"a":1}}`)
		require.Contains(t, w.Body.String(), `"code":"payload_v1"`)
		requireNoGoName(t, w.Body.String())
	})
	t.Run("a code of a host's migration", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t, middleware.Migrate(failing{}, nil))
		w := s.post("/events?token="+actsToken, "", v1Search)
		require.Contains(t, w.Body.String(), `"code":"invalid_event","message":"the event cannot be migrated: too_old","field":"version"`)
	})
}

// failing is a migration of a host's own, which fails.
type failing struct{}

func (failing) Applies(*http.Request) bool { return true }

func (failing) Migrate(dst, src []byte, _ inlet.MigrateOptions) ([]byte, inlet.MigrationReport, error) {
	note := inlet.MigrationNote{Kind: "failure", Code: "too_old", Field: "version"}
	return append(dst, src...), inlet.MigrationReport{Events: 1, Failed: 1, Notes: []inlet.MigrationNote{note}}, nil
}

// goName matches what could be an exported name of a package.
var goName = regexp.MustCompile(`\b[a-z]+\.[A-Z]|\b(Migrate|Options|Decode|Payload[A-Z]|[A-Z][a-z]+V1)\b`)

// requireNoGoName checks that a text for clients names no Go identifier.
func requireNoGoName(t testing.TB, text string) {
	t.Helper()
	require.NotRegexp(t, goName, text)
}

// A time of ours is never stored as the client's.
func TestMigratorTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		event, context string
		original       time.Time
		warnings       inlet.Warnings
	}{
		{`"event_timestamp":"11/01/2022 14:32"`, `"event_timestamp":"11/01/2022 14:32",`, time.Time{}, inlet.WarnTimestampInvalid},
		{`"event_timestamp":0`, `"event_timestamp":0,`, time.Time{}, inlet.WarnTimestampInvalid},
		{`"event_timestamp":[1]`, `"event_timestamp":[1],`, time.Time{}, inlet.WarnTimestampInvalid},
		{`"a":1`, `"a":1,`, time.Time{}, 0},
		{`"event_timestamp":null`, ``, time.Time{}, 0},
		{`"event_timestamp":""`, ``, time.Time{}, 0},
		{`"event_timestamp":"0001-01-01T00:00:00Z"`, ``, time.Time{}, 0},
		{`"event_timestamp":"soon","eventTimestamp":"2026-03-01T11:00:00Z"`, `"event_timestamp":1772362800000,`, dialectNow.Add(-time.Hour), 0},
		{`"eventTimestamp":"soon","event_timestamp":1772362800000`, `"event_timestamp":1772362800000,`, dialectNow.Add(-time.Hour), 0},
		{`"event_timestamp":null,"eventTimestamp":"1772362800"`, `"event_timestamp":1772362800000,`, dialectNow.Add(-time.Hour), 0},
		{`"event_timestamp":{},"context":{"event_timestamp":1772362800000}`, `"event_timestamp":1772362800000,`, dialectNow.Add(-time.Hour), 0},
		{`"event_timestamp":"20260301T110000Z"`, `"event_timestamp":1772362800000,`, dialectNow.Add(-time.Hour), 0},
	} {
		atDialectNow(t, func(t *testing.T) {
			s := newDialectServer(t, middleware.Migrate(inlet.CommandersActV1(), nil))
			requireSuccess(t, s.post("/events?token="+actsToken, "", `{"event_name":"x","event_id":"E",`+tt.event+`,"properties":{}}`))
			e := s.only(t)
			require.JSONEq(t, `{"event_id":"E",`+tt.context+`"version":2}`, string(e.Context), tt.event)
			require.Equal(t, tt.original, e.OriginalTimestamp, tt.event)
			require.Equal(t, tt.warnings, e.Warnings, tt.event)
			if tt.original.IsZero() {
				require.Equal(t, dialectNow, e.Timestamp)
			}
		})
	}
}

func TestMigratorLimits(t *testing.T) {
	t.Parallel()
	event := func(size int) string {
		const form = `{"event":"x","eventId":"E","properties":{"text":""}}`
		return strings.Replace(form, `""`, `"`+strings.Repeat("c", size-len(form))+`"`, 1)
	}
	s := newDialectServer(t, middleware.Migrate(inlet.CommandersActV1(), nil))
	w := s.post("/events/batch?tc_s=1&token="+actsToken, "", `{"batch":[`+event(32_768)+","+event(32_769)+`]}`)
	require.Contains(t, w.Body.String(), `"accepted":1`)
	require.Contains(t, w.Body.String(), `{"index":1,"code":"event_too_large"`)
	require.Equal(t, "E", s.only(t).MessageID)
}

func TestMigratorPayload(t *testing.T) {
	t.Parallel()
	m, err := inlet.NewMigrator(inlet.CommandersActV1(), nil)
	require.NoError(t, err)
	pass := func(t *testing.T, method, path, body string) (before, after *http.Request, payload *inlet.Payload) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		next, p, err := m.Migrate(httptest.NewRecorder(), r)
		require.NoError(t, err)
		return r, next, p
	}
	t.Run("does not apply", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/v1/track", "/v1/batch", "/events/other", "/eventsource", "/myevents"} {
			before, after, p := pass(t, http.MethodPost, path, v1Search)
			require.Same(t, before, after)
			require.Nil(t, p)
		}
		before, after, _ := pass(t, http.MethodPut, "/events", v1Search)
		require.Same(t, before, after)
	})
	t.Run("applies to redundant slashes and below a mount", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/events", "/events/", "//events", "/cdp/events", "/v2/12/events/", "/events/batch", "/events//batch/"} {
			_, after, p := pass(t, http.MethodPost, path, v1Search)
			body, err := io.ReadAll(after.Body)
			require.NoError(t, err)
			require.Equal(t, v2Search, string(body))
			require.EqualValues(t, len(body), after.ContentLength)
			p.Release()
		}
	})
	t.Run("caller's request keeps its body", func(t *testing.T) {
		t.Parallel()
		reader, err := inlet.NewPayloadReader(inlet.PayloadLimits{})
		require.NoError(t, err)
		r, outer, err := reader.Read(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(v1Search)))
		require.NoError(t, err)
		defer outer.Release()
		next, p, err := m.Migrate(httptest.NewRecorder(), r)
		require.NoError(t, err)
		defer p.Release()
		require.NotSame(t, r, next)
		require.Equal(t, v2Search, string(p.Bytes()))
		require.Equal(t, outer.WireSize(), p.WireSize())
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, v1Search, string(body))
		require.EqualValues(t, len(body), r.ContentLength)
	})
	t.Run("version 2.0 shares the payload", func(t *testing.T) {
		t.Parallel()
		reader, err := inlet.NewPayloadReader(inlet.PayloadLimits{})
		require.NoError(t, err)
		r, outer, err := reader.Read(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(v2Search)))
		require.NoError(t, err)
		defer outer.Release()
		next, p, err := m.Migrate(httptest.NewRecorder(), r)
		require.NoError(t, err)
		defer p.Release()
		require.Same(t, r, next)
		require.Same(t, outer, p)
	})
	t.Run("not JSON is passed on", func(t *testing.T) {
		t.Parallel()
		_, after, p := pass(t, http.MethodPost, "/events", `{"event":`)
		defer p.Release()
		body, err := io.ReadAll(after.Body)
		require.NoError(t, err)
		require.Equal(t, `{"event":`, string(body))
	})
}

func TestMigratePayloadOptions(t *testing.T) {
	t.Parallel()
	t.Run("shadow", func(t *testing.T) {
		t.Parallel()
		var reports []inlet.MigrationReport
		m, err := inlet.NewMigrator(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{
			Shadow: true,
			Report: func(_ context.Context, r *http.Request, report inlet.MigrationReport) {
				require.Equal(t, "/events", r.URL.Path)
				reports = append(reports, report)
			},
		})
		require.NoError(t, err)
		_, p, err := m.Migrate(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(v1Search)))
		require.NoError(t, err)
		defer p.Release()
		require.Equal(t, v1Search, string(p.Bytes()))
		require.Len(t, reports, 1)
		require.Equal(t, 1, reports[0].Migrated)
		require.NotEmpty(t, reports[0].Notes)
	})
	t.Run("out of range", func(t *testing.T) {
		t.Parallel()
		_, err := inlet.NewMigrator(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Shadow: true})
		require.ErrorContains(t, err, "Report")
		_, err = inlet.NewMigrator(nil, nil)
		require.Error(t, err)
		_, err = inlet.NewMigrator(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Protocol: &inlet.Protocol{Limits: inlet.Limits{Depth: -1}}})
		require.ErrorContains(t, err, "Depth")
	})
	t.Run("strict", func(t *testing.T) {
		t.Parallel()
		m, err := inlet.NewMigrator(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Strict: true})
		require.NoError(t, err)
		const body = `{"event":"x","event_timestamp":"11/01/2022 14:32","properties":{}}`
		_, p, err := m.Migrate(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(body)))
		require.NoError(t, err)
		defer p.Release()
		require.Equal(t, body, string(p.Bytes()))
	})
}

// renaming is a migration that is not built in.
type renaming struct{}

func (renaming) Applies(r *http.Request) bool { return r.URL.Path == "/v1/track" }

func (renaming) Migrate(dst, src []byte, _ inlet.MigrateOptions) ([]byte, inlet.MigrationReport, error) {
	if !strings.HasPrefix(string(src), "{") {
		return dst, inlet.MigrationReport{}, &inlet.Error{Code: inlet.CodeInvalidRequest, Message: "no object"}
	}
	return append(dst, strings.ReplaceAll(string(src), `"old"`, `"event"`)...), inlet.MigrationReport{Events: 1, Migrated: 1}, nil
}

func TestMigratorCustom(t *testing.T) {
	t.Parallel()
	s := newDialectServer(t, middleware.Migrate(renaming{}, nil))
	require.Equal(t, http.StatusOK, s.post("/v1/track", "abc123", `{"old":"Signed Up","userId":"u"}`).Code)
	require.Equal(t, "Signed Up", s.only(t).Name)
	w := s.post("/v1/track", "abc123", `[]`)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), "no object")
}

// The golden files of other dialects hold with the migration in front.
func TestMigratorOtherDialects(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"testdata/segmentstream", "testdata/metarouter", "testdata/rudderstack", "testdata/jitsu", "testdata/segment"} {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			testGolden(t, dir, middleware.Migrate(inlet.CommandersActV1(), nil))
		})
	}
}

// A migration on trial stores what would be stored without it, and what that loses is warned of.
func TestMigrateShadow(t *testing.T) {
	t.Parallel()
	const (
		v1   = `{"event_name":"old","event_id":"E1","properties":{"a":1}}`
		v2   = `{"event_name":"new","b":2,"context":{"version":2,"event_id":"E2","event_timestamp":1639044446636}}`
		warn = "migration is on trial"
	)
	shadow := func(reports *int) layer {
		return middleware.Migrate(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{
			Shadow: true, Report: func(context.Context, *http.Request, inlet.MigrationReport) { *reports++ },
		})
	}
	// ask returns the answers to the same request three times, what was stored and the log.
	ask := func(t *testing.T, path, body string, o inlet.Options, layers ...layer) (answers, stored []string, log string) {
		var lines bytes.Buffer
		events := new(testsink.Keeper)
		o.Logger = slog.New(slog.NewTextHandler(&lines, nil))
		h, err := inlet.New(events, &o)
		require.NoError(t, err)
		served := middleware.Chain(append([]layer{middleware.Payload(nil), middleware.Auth(dialectKeys, nil)}, layers...)...)(h)
		for range 3 {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, path+"?token="+actsToken, strings.NewReader(body))
			served.ServeHTTP(w, r)
			answers = append(answers, fmt.Sprint(w.Code, w.Header().Get("X-Inlet-Error"), w.Body))
		}
		for _, batch := range events.Batches() {
			for _, e := range batch {
				stored = append(stored, e.Name+string(e.Properties)+e.MessageID)
			}
		}
		return answers, stored, lines.String()
	}
	for _, tt := range []struct {
		name, path, body string
		stored           int
		reported, warned bool
	}{
		{"an event of 1.0", "/events", v1, 0, true, true},
		{"an event of 2.0", "/events", v2, 1, true, false},
		{"a batch of both", "/events/batch", `{"batch":[` + v2 + `,` + v1 + `,` + v2 + `]}`, 2, true, true},
		{"a batch of 1.0", "/events/batch", `{"batch":[` + v1 + `]}`, 0, true, true},
		{"a batch of 2.0", "/events/batch", `{"batch":[` + v2 + `]}`, 1, true, false},
		{"a path that no dialect has", "/v2/events", v1, 0, true, false},
		{"an event that is refused for another reason", "/events", `{"event_name":"","context":{"version":2}}`, 0, true, false},
		{"no JSON", "/events", `{"event_name":`, 0, true, false},
		{"another dialect", "/v1/track", `{"event":"E","userId":"u","messageId":"m","writeKey":"` + actsToken + `"}`, 1, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reports := 0
			answers, stored, log := ask(t, tt.path, tt.body, inlet.Options{}, shadow(&reports))
			plain, storedPlain, logPlain := ask(t, tt.path, tt.body, inlet.Options{})
			require.Equal(t, plain, answers)
			require.Equal(t, storedPlain, stored)
			require.Len(t, stored, 3*tt.stored)
			require.Equal(t, tt.reported, reports > 0)
			want := 0
			if tt.warned {
				want = 1
			}
			require.Equal(t, want, strings.Count(log, warn), "%s", log)
			require.NotContains(t, logPlain, warn)
		})
	}
	t.Run("rejects keep what is refused, as it came", func(t *testing.T) {
		t.Parallel()
		reports, rejects := 0, new(testsink.Keeper)
		_, stored, log := ask(t, "/events/batch", `{"batch":[`+v1+`,`+v2+`]}`, inlet.Options{Rejects: rejects}, shadow(&reports))
		require.Len(t, stored, 3)
		require.NotContains(t, log, warn)
		require.Len(t, rejects.Batches(), 3)
		letter := rejects.Batches()[0][0]
		refusal, ok := sinks.RefusalOf(letter)
		require.True(t, ok)
		require.Equal(t, inlet.CodePayloadV1, refusal.Code)
		require.JSONEq(t, v1, refusal.Received)
		migrated, report, err := inlet.CommandersActV1().Migrate(nil, []byte(refusal.Received), inlet.MigrateOptions{})
		require.NoError(t, err)
		require.Equal(t, 1, report.Migrated, "%s", migrated)
	})
	t.Run("without a trial nothing is warned of", func(t *testing.T) {
		t.Parallel()
		_, stored, log := ask(t, "/events", v1, inlet.Options{}, middleware.Migrate(inlet.CommandersActV1(), nil))
		require.Len(t, stored, 3)
		require.NotContains(t, log, warn)
	})
}
