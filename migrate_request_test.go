package inlet_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

const v1Batch = `{"batch": [ {"event_name":"a","event_id":"E1","properties":{"x":1,"user":{"id":"u1"}},"event_timestamp":1700000000000} , {"event_name":"b","context":{"event_id":"E2"}} , 7, {"event":"c","eventId":"E3","properties":{},"page":{"title":"t"}}, {"properties":{"a":1}} ], "sent":1}`

func TestMigrateInFront(t *testing.T) {
	t.Parallel()
	t.Run("an event of 1.0 is stored as one of 2.0 is", func(t *testing.T) {
		t.Parallel()
		for _, v := range vectors[:5] {
			atDialectNow(t, func(t *testing.T) {
				one, two := newDialectServer(t, middleware.Migrate(inlet.CommandersActV1(), nil)), newDialectServer(t)
				path := "/events?tc_s=1&token=" + actsToken
				require.Equal(t, http.StatusOK, one.post(path, "", v.v1).Code)
				require.Equal(t, http.StatusOK, two.post(path, "", v.v2).Code)
				require.Equal(t, eventsText(t, two.events), eventsText(t, one.events))
			})
		}
	})
	t.Run("in a batch each event stands where it stood, and only what cannot be migrated is refused", func(t *testing.T) {
		t.Parallel()
		atDialectNow(t, func(t *testing.T) {
			s := newDialectServer(t, middleware.Migrate(inlet.CommandersActV1(), nil))
			w := s.post("/events/batch?tc_s=1&token="+actsToken, "", v1Batch)
			require.Equal(t, http.StatusOK, w.Code)
			require.Contains(t, w.Body.String(), `"accepted":3`)
			require.Contains(t, w.Body.String(), `{"index":2,"code":"not_object"`)
			require.Contains(t, w.Body.String(), `{"index":4,"code":"payload_v1"`)
			require.Len(t, s.events, 3)
			require.JSONEq(t, `{"event_id":"E3","page":{"title":"t"},"event_timestamp":1772366400000,"version":2}`, string(s.events[2].Context))
		})
	})
}

func TestMigrateCountsWhatWasReceived(t *testing.T) {
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

func TestMigratePassesOn(t *testing.T) {
	t.Parallel()
	m, err := inlet.NewMigrator(inlet.CommandersActV1(), nil)
	require.NoError(t, err)
	pass := func(t *testing.T, method, path, body string) (before, after *http.Request, payload *inlet.Payload) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		next, p, err := m.Migrate(httptest.NewRecorder(), r)
		require.NoError(t, err)
		return r, next, p
	}
	t.Run("what it does not apply to is not even read", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/v1/track", "/v1/batch", "/events/other", "/eventsource", "/myevents"} {
			before, after, p := pass(t, http.MethodPost, path, vectors[0].v1)
			require.Same(t, before, after)
			require.Nil(t, p)
		}
		before, after, _ := pass(t, http.MethodPut, "/events", vectors[0].v1)
		require.Same(t, before, after)
	})
	t.Run("the endpoints are known with slashes in excess and below a mount", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/events", "/events/", "//events", "/cdp/events", "/v2/12/events/", "/events/batch", "/events//batch/"} {
			_, after, p := pass(t, http.MethodPost, path, vectors[0].v1)
			body, err := io.ReadAll(after.Body)
			require.NoError(t, err)
			require.Equal(t, vectors[0].v2, string(body))
			require.EqualValues(t, len(body), after.ContentLength)
			p.Release()
		}
	})
	t.Run("the caller's request keeps its body", func(t *testing.T) {
		t.Parallel()
		reader, err := inlet.NewPayloadReader(inlet.PayloadLimits{})
		require.NoError(t, err)
		r, outer, err := reader.Read(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(vectors[0].v1)))
		require.NoError(t, err)
		defer outer.Release()
		next, p, err := m.Migrate(httptest.NewRecorder(), r)
		require.NoError(t, err)
		defer p.Release()
		require.NotSame(t, r, next)
		require.Equal(t, vectors[0].v2, string(p.Bytes()))
		require.Equal(t, outer.WireSize(), p.WireSize())
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, vectors[0].v1, string(body))
		require.EqualValues(t, len(body), r.ContentLength)
	})
	t.Run("what is 2.0 already shares the payload", func(t *testing.T) {
		t.Parallel()
		reader, err := inlet.NewPayloadReader(inlet.PayloadLimits{})
		require.NoError(t, err)
		r, outer, err := reader.Read(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(vectors[0].v2)))
		require.NoError(t, err)
		defer outer.Release()
		next, p, err := m.Migrate(httptest.NewRecorder(), r)
		require.NoError(t, err)
		defer p.Release()
		require.Same(t, r, next)
		require.Same(t, outer, p)
	})
	t.Run("what is no JSON is passed on for the handler to refuse", func(t *testing.T) {
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
	t.Run("a shadow reports and changes nothing", func(t *testing.T) {
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
		_, p, err := m.Migrate(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(vectors[0].v1)))
		require.NoError(t, err)
		defer p.Release()
		require.Equal(t, vectors[0].v1, string(p.Bytes()))
		require.Len(t, reports, 1)
		require.Equal(t, 1, reports[0].Migrated)
		require.NotEmpty(t, reports[0].Notes)
	})
	t.Run("a shadow that reports nothing is a mistake", func(t *testing.T) {
		t.Parallel()
		_, err := inlet.NewMigrator(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Shadow: true})
		require.ErrorContains(t, err, "Report")
		_, err = inlet.NewMigrator(nil, nil)
		require.Error(t, err)
		_, err = inlet.NewMigrator(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Protocol: &inlet.Protocol{Limits: inlet.Limits{Depth: -1}}})
		require.ErrorContains(t, err, "Depth")
	})
	t.Run("strict mode leaves an event whose time cannot be read", func(t *testing.T) {
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

// upper is a migration of somebody else's.
type upper struct{}

func (upper) Applies(r *http.Request) bool { return r.URL.Path == "/v1/track" }

func (upper) Migrate(dst, src []byte, _ inlet.MigrateOptions) ([]byte, inlet.MigrationReport, error) {
	if !strings.HasPrefix(string(src), "{") {
		return dst, inlet.MigrationReport{}, &inlet.Error{Code: inlet.CodeInvalidRequest, Message: "no object"}
	}
	return append(dst, strings.ReplaceAll(string(src), `"old"`, `"event"`)...), inlet.MigrationReport{Events: 1, Migrated: 1}, nil
}

func TestMigrationOfOnesOwn(t *testing.T) {
	t.Parallel()
	s := newDialectServer(t, middleware.Migrate(upper{}, nil))
	require.Equal(t, http.StatusOK, s.post("/v1/track", "abc123", `{"old":"Signed Up","userId":"u"}`).Code)
	require.Equal(t, "Signed Up", s.only(t).Name)
	w := s.post("/v1/track", "abc123", `[]`)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), "no object")
}

// Other traffic comes out byte-equal.
func TestMigrateLeavesOtherDialectsAlone(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"testdata/segmentstream", "testdata/metarouter", "testdata/rudderstack", "testdata/jitsu", "testdata/segment"} {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			testGolden(t, dir, middleware.Migrate(inlet.CommandersActV1(), nil))
		})
	}
}
