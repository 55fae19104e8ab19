package inlet_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// goodHit is a hit that is accepted.
const goodHit = `{"hitId":"h1","sentAt":"2026-02-28T12:00:00.123Z","event":{"name":"Registered","user":{"userId":"u1"}}}`

// requireEmpty checks that an answer is the documented success.
func requireEmpty(t testing.TB, w *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, http.StatusNoContent, w.Code, "%s", w.Body)
	require.Empty(t, w.Body.String())
	require.Empty(t, w.Header().Get("Content-Type"))
}

func TestSegmentStreamRequest(t *testing.T) {
	t.Parallel()
	t.Run("shares /track with Segment", func(t *testing.T) {
		t.Parallel()
		const call = `{"messageId":"m1","userId":"u1","event":"Signed Up"}`
		for _, tt := range []struct {
			name, path, body, dialect string
			status                    int
		}{
			{"an event that is an object is a hit", "/track", goodHit, "segmentstream", 204},
			{"an event that is a name is a call of Segment's", "/track", call, "segment", 200},
			{"the long path is Segment's", "/v1/track", call, "segment", 200},
			{"the long path is Segment's alone", "/v1/track", goodHit, "", 400},
			{"no event at all is Segment's to refuse", "/track", `{"userId":"u1"}`, "", 400},
			{"a trailing slash is no redirect", "/track/", goodHit, "segmentstream", 204},
			{"doubled slashes are no redirect", "//track", goodHit, "segmentstream", 204},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				s := newDialectServer(t)
				w := s.post(tt.path, hitToken, tt.body)
				require.Equal(t, tt.status, w.Code, "%s", w.Body)
				require.Empty(t, w.Header().Get("Location"))
				if tt.dialect == "" {
					require.Empty(t, s.events)
					return
				}
				require.Equal(t, tt.dialect, s.only(t).Dialect)
			})
		}
	})
	t.Run("content types", func(t *testing.T) {
		t.Parallel()
		for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "text/plain;charset=UTF-8", ""} {
			s := newDialectServer(t)
			r := request(http.MethodPost, "/track", strings.NewReader(goodHit), "Content-Type", contentType)
			r.SetBasicAuth(hitToken, "")
			requireEmpty(t, s.do(r))
			s.only(t)
		}
	})
}

func TestSegmentStreamLimits(t *testing.T) {
	t.Parallel()
	fill := func(body string, size int) string {
		return strings.Replace(body, `{`, `{"fill":"`+strings.Repeat("x", size-len(body)-len(`"fill":"",`))+`",`, 1)
	}
	const call = `{"messageId":"m1","userId":"u1","event":"Signed Up"}`
	for _, tt := range []struct {
		name, path, body string
		status           int
	}{
		{"a hit of 64 KiB", "/track", fill(goodHit, 65_536), 204},
		{"a hit of a byte more", "/track", fill(goodHit, 65_537), 400},
		{"a call of Segment's of 32 KiB on the same path", "/track", fill(call, 32_768), 200},
		{"a call of Segment's of a byte more on the same path", "/track", fill(call, 32_769), 400},
		{"a hit of the browser's of 64 KiB", "/collect", fill(goodHit, 65_536), 204},
		{"a hit of the browser's of a byte more", "/collect", fill(goodHit, 65_537), 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t)
			w := s.post(tt.path, hitToken, tt.body)
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			if tt.status == 400 {
				requireRefused(t, w, 400, inlet.CodePayloadTooLarge)
			}
		})
	}
}

func TestSegmentStreamKey(t *testing.T) {
	t.Parallel()
	t.Run("token", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			name, authorization string
			status              int
		}{
			{"as the document prints it", "Basic YWJjMTIzOg==", 204},
			{"without the colon", "Basic YWJjMTIz", 204},
			{"without padding", "Basic YWJjMTIzOg", 204},
			{"with the scheme in lower case", "basic  YWJjMTIzOg==", 204},
			{"with a password, which is none of ours", "Basic YWJjMTIzOnNlY3JldA==", 204},
			{"that is not known", "Basic d3Jvbmc6", 401},
			{"that is not base64", "Basic abc123:", 401},
			{"that is absent", "", 401},
		} {
			t.Run("a token "+tt.name, func(t *testing.T) {
				t.Parallel()
				s := newDialectServer(t)
				w := s.do(request(http.MethodPost, "/track", strings.NewReader(goodHit), "Authorization", tt.authorization))
				require.Equal(t, tt.status, w.Code, "%s", w.Body)
				require.Len(t, s.events, map[int]int{204: 1}[tt.status])
			})
		}
		t.Run("a source that is switched off is 403", func(t *testing.T) {
			t.Parallel()
			requireRefused(t, newDialectServer(t).post("/track", "switched", goodHit), 403, inlet.CodeSourceDisabled)
		})
	})
	// Trap 8, for a member that is a key on one route alone: elsewhere it is data.
	t.Run("projectId is a key on /collect only", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t)
		requireRefused(t, s.post("/track", "", `{"projectId":"abc123",`+goodHit[1:]), 401, inlet.CodeMissingKey)
		requireSuccess(t, s.post("/v1/track", "", `{"projectId":"data","writeKey":"abc123","userId":"u1","event":"E","messageId":"m1"}`))
		require.JSONEq(t, `{"projectId":"data"}`, string(s.only(t).Extra))
	})
}

// Trap 36: what Segment calls the time of sending is the time of the event here. Trap 40:
// in one place the document requires it, in another it is to be left out.
func TestSegmentStreamTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, sentAt string // the member with its comma
		want         time.Time
		warnings     inlet.Warnings
	}{
		{"an old time is kept, however late the hit", `"sentAt":"2019-02-21T10:56:10.723Z",`, time.Date(2019, 2, 21, 10, 56, 10, 723000000, time.UTC), 0},
		{"a time of a minute ago is not corrected", `"sentAt":"2026-03-01T11:59:00Z",`, dialectNow.Add(-time.Minute), 0},
		{"an offset is understood", `"sentAt":"2026-03-01T11:00:00.000+01:00",`, dialectNow.Add(-2 * time.Hour), 0},
		{"no time is now", ``, dialectNow, 0},
		{"null is now", `"sentAt":null,`, dialectNow, 0},
		{"a time without a zone is read as UTC", `"sentAt":"2026-03-01T11:00:00",`, dialectNow.Add(-time.Hour), inlet.WarnTimestampGuessed},
		{"a time that is none is now", `"sentAt":"11/01/2022 14:32",`, dialectNow, inlet.WarnTimestampInvalid},
		{"a time to come is now", `"sentAt":"2031-01-01T00:00:00Z",`, dialectNow, inlet.WarnTimestampClamped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			atDialectNow(t, func(t *testing.T) {
				s := newDialectServer(t)
				requireEmpty(t, s.post("/track", hitToken, `{"hitId":"h1",`+tt.sentAt+`"event":{"name":"E","user":{"userId":"u1"}}}`))
				e := s.only(t)
				require.Equal(t, tt.want, e.Timestamp)
				require.Zero(t, e.SentAt)
				require.Equal(t, tt.warnings, e.Warnings)
			})
		})
	}
}

func TestSegmentStreamFields(t *testing.T) {
	t.Parallel()
	t.Run("user", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			name, members, user string
			userID, anonymousID string
			code                inlet.Code
			warnings            inlet.Warnings
		}{
			{name: "a userId is enough", user: `{"userId":"u1"}`, userID: "u1"},
			{name: "an anonymousId is enough", user: `{"anonymousId":"a1"}`, anonymousID: "a1"},
			{name: "both are both", user: `{"userId":"u1","anonymousId":"a1"}`, userID: "u1", anonymousID: "a1"},
			{name: "ids in the root, as the browser sender has them", members: `"userId":"u1","anonymousId":"a1",`, user: `{}`, userID: "u1", anonymousID: "a1"},
			{name: "those in the event count", members: `"userId":"root",`, user: `{"userId":"u1"}`, userID: "u1"},
			{name: "a number is its digits", user: `{"userId":9007199254740993}`, userID: "9007199254740993", warnings: inlet.WarnIDNotString},
			{name: "a name that is written with escapes", user: `{"user\u0049d":"u1"}`, userID: "u1"},
			{name: "none", user: `{"firstName":"Ann"}`, code: inlet.CodeNoUserAnonID},
			{name: "nulls and white space are none", user: `{"userId":null,"anonymousId":" "}`, code: inlet.CodeNoUserAnonID},
			{name: "a user that is not an object", user: `"u1"`, code: inlet.CodeNoUserAnonID},
			{name: "an id that can be none", user: `{"userId":{}}`, code: inlet.CodeIDNotString},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				s := newDialectServer(t)
				w := s.post("/track", hitToken, `{"hitId":"h1",`+tt.members+`"event":{"name":"E","user":`+tt.user+`}}`)
				if tt.code != "" {
					requireRefused(t, w, 400, tt.code)
					require.Empty(t, s.events)
					return
				}
				requireEmpty(t, w)
				e := s.only(t)
				require.Equal(t, [2]string{tt.userID, tt.anonymousID}, [2]string{e.UserID, e.AnonymousID})
				require.Equal(t, tt.warnings, e.Warnings)
				requireCanonical(t, e)
			})
		}
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			name, path, body string
			code             inlet.Code
			field            string
		}{
			{"bad JSON", "/track", `{"event":{"name":"E"`, inlet.CodeInvalidJSON, ""},
			{"a list", "/collect", `[` + goodHit + `]`, inlet.CodeInvalidRequest, ""},
			{"no event", "/collect", `{"userId":"u1"}`, inlet.CodePropertiesNotObject, "event"},
			{"an event that is a name", "/collect", `{"userId":"u1","event":"E"}`, inlet.CodePropertiesNotObject, "event"},
			{"no name", "/track", `{"event":{"user":{"userId":"u1"}}}`, inlet.CodeEventNotDefined, "event.name"},
			{"a name that is not a string", "/track", `{"event":{"name":1,"user":{"userId":"u1"}}}`, inlet.CodeEventNotString, "event.name"},
			{"a context that is not an object", "/track", `{"context":1,"event":{"name":"E","user":{"userId":"u1"}}}`, inlet.CodeContextNotObject, "context"},
			{"integrations that are not an object", "/track", `{"integrations":"all","event":{"name":"E","user":{"userId":"u1"}}}`, inlet.CodeIntegrationsNotObject, "integrations"},
			{"an id that can be none", "/track", `{"hitId":[1],"event":{"name":"E","user":{"userId":"u1"}}}`, inlet.CodeIDNotString, "hitId"},
			{"an id of more than 100 bytes", "/track", `{"hitId":"` + strings.Repeat("h", 101) + `","event":{"name":"E","user":{"userId":"u1"}}}`, inlet.CodeMessageIDTooLong, "messageId"},
			{"a duplicate name", "/track", `{"event":{"name":"E","name":"F","user":{"userId":"u1"}}}`, inlet.CodeDuplicateName, "name"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				s := newDialectServer(t)
				a := requireRefused(t, s.post(tt.path, hitToken, tt.body), 400, tt.code)
				require.Equal(t, tt.field, a.Field)
				require.Empty(t, s.events)
			})
		}
	})
	t.Run("members without a field are kept", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t)
		requireEmpty(t, s.post("/collect", hitToken, `{"hitId":"h1","projectId":"abc123","writeKey":"k","writekey":"abc123","appId":"com.shop.app","type":"event","version":411,"website":{"type":"desktop"},
		"emailHash":"b4c9","userId":"u1","messageId":"m1","event":{"name":"E","total":1e400,"user":{"userId":"u2"}}}`))
		e := s.only(t)
		require.JSONEq(t, `{"writeKey":"k","appId":"com.shop.app","version":411,"website":{"type":"desktop"},"emailHash":"b4c9","_client":{"type":"event","userId":"u1","messageId":"m1"}}`, string(e.Extra))
		require.Equal(t, `{"name":"E","total":1e400,"user":{"userId":"u2"}}`, string(e.Properties))
		require.Equal(t, inlet.WarnReservedMember, e.Warnings)
		require.NotContains(t, string(e.AppendJSON(nil)), "abc123")
		requireCanonical(t, e)
	})
	t.Run("broken text is repaired", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t)
		requireEmpty(t, s.post("/track", hitToken, `{"hitId":"h1","event":{"name":"cut \ud83d","user":{"userId":"u1"}}}`))
		require.Equal(t, "cut \uFFFD", s.only(t).Name)
		require.Equal(t, inlet.WarnTextRepaired, s.only(t).Warnings)
		requireCanonical(t, s.only(t))
	})
	// Trap 43: each vendor's id is the one that duplicates are known by.
	t.Run("hitId is the id of deduplication", func(t *testing.T) {
		t.Parallel()
		stored := new(testsink.Keeper)
		dedupe, err := sinks.NewDedupe(stored, nil)
		require.NoError(t, err)
		h := middleware.Auth(dialectKeys, nil)(mustNew(t, dedupe, nil))
		for range 3 {
			r := request(http.MethodPost, "/track", strings.NewReader(goodHit))
			r.SetBasicAuth(hitToken, "")
			requireEmpty(t, serve(h, r))
		}
		require.Len(t, stored.Events(), 1)
		require.Equal(t, "h1", stored.Events()[0].MessageID)
	})
}

func TestSegmentStreamAnswer(t *testing.T) {
	t.Parallel()
	// Trap 10: elsewhere a 204 makes SDKs resend or fail.
	t.Run("no other dialect answers 204", func(t *testing.T) {
		t.Parallel()
		for _, d := range inlet.Dialects() {
			for _, r := range d.Routes() {
				require.Equal(t, d.Name() == "segmentstream", r.Form == inlet.FormEmpty, "%s %s", r.Method, r.Path)
			}
		}
	})
	t.Run("503 while the sink is down", func(t *testing.T) {
		t.Parallel()
		h := middleware.Auth(dialectKeys, nil)(mustNew(t, testsink.Failing(context.DeadlineExceeded), nil))
		r := request(http.MethodPost, "/track", strings.NewReader(goodHit))
		r.SetBasicAuth(hitToken, "")
		w := serve(h, r)
		requireRefused(t, w, 503, inlet.CodeSinkUnavailable)
		require.Equal(t, "1", w.Header().Get("Retry-After"))
	})
	t.Run("no rate limit of its own", func(t *testing.T) {
		t.Parallel()
		s := newDialectServer(t)
		for range 1000 {
			requireEmpty(t, s.post("/track", hitToken, goodHit))
		}
		t.Run("a limit that a team sets answers 429 with the time to wait", func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t, middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1, Burst: 1, Key: middleware.BySource}))
			requireEmpty(t, s.post("/track", hitToken, goodHit))
			w := s.post("/track", hitToken, goodHit)
			requireRefused(t, w, 429, inlet.CodeRateLimited)
			require.Regexp(t, "^[1-3]$", w.Header().Get("Retry-After"))
		})
	})
}

// The file is an example of a dialect outside of the package.
func TestSegmentStreamSource(t *testing.T) {
	t.Parallel()
	const name = "dialect_segmentstream.go"
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, nil, 0)
	require.NoError(t, err)
	for _, spec := range file.Imports {
		require.NotContains(t, spec.Path.Value, "inlet", "it imports a package of this module")
	}
	own := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			own[n.Name.Name] = true
		case *ast.TypeSpec:
			own[n.Name.Name] = true
		case *ast.ValueSpec:
			for _, id := range n.Names {
				own[id.Name] = true
			}
		case *ast.Field:
			for _, id := range n.Names {
				own[id.Name] = true
			}
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok && n.Tok == token.DEFINE {
					own[id.Name] = true
				}
			}
		case *ast.RangeStmt:
			if id, ok := n.Key.(*ast.Ident); ok {
				own[id.Name] = true
			}
		}
		return true
	})
	for _, id := range []string{
		"inlet", "bytes", "json", "http", "_", "nil", "true", "false", "iota", "len", "string", "int", "bool", "byte", "uint32", "error",
	} {
		own[id] = true
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !ast.IsExported(id.Name) {
			require.True(t, own[id.Name], "%s: %s is not exported", files.Position(id.Pos()), id.Name)
		}
		return true
	})
}

func FuzzSegmentStream(f *testing.F) {
	for _, body := range goldenRequests(f, "segmentstream/*.golden") {
		f.Add(body)
	}
	do := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, body string) {
		got := do(t, authenticated("/collect", body))
		switch got.status {
		case 204:
			require.Len(t, got.events, 1)
			requireCanonical(t, got.events[0])
			require.NotEmpty(t, got.events[0].UserID+got.events[0].AnonymousID)
			require.Zero(t, got.events[0].SentAt)
		case 400:
			require.Empty(t, got.events)
			require.NotEmpty(t, got.code)
		default:
			t.Fatalf("status %d", got.status)
		}
	})
}
