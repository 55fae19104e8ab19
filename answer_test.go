package inlet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
)

const secret = "password=hunter2"

// codesOfTheSource returns the value of every constant of type Code in the
// package, by its name.
func codesOfTheSource(t *testing.T) map[string]inlet.Code {
	t.Helper()
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	codes := map[string]inlet.Code{}
	for _, file := range files {
		if name := file.Name(); !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 {
				return true
			}
			kind, _ := spec.Type.(*ast.Ident)
			value, _ := spec.Values[0].(*ast.BasicLit)
			if kind != nil && kind.Name == "Code" && value != nil {
				text, err := strconv.Unquote(value.Value)
				require.NoError(t, err)
				codes[spec.Names[0].Name] = inlet.Code(text)
			}
			return true
		})
	}
	return codes
}

func TestCodes(t *testing.T) {
	t.Parallel()
	t.Run("status and text", func(t *testing.T) {
		t.Parallel()
		codes := codesOfTheSource(t)
		require.Greater(t, len(codes), 45)
		seen := map[inlet.Code]string{}
		internal := (&inlet.Error{Code: inlet.CodeInternal}).Error()
		for name, code := range codes {
			require.Empty(t, seen[code], "%s and %s are the same", name, seen[code])
			seen[code] = name
			require.Regexp(t, "^[a-z0-9]+(_[a-z0-9]+)*$", string(code))
			text := strings.TrimPrefix((&inlet.Error{Code: code}).Error(), string(code)+": ")
			require.NotEmpty(t, text)
			if code != inlet.CodeInternal {
				require.NotContains(t, internal, text, "%s has no row of its own", name)
			}
			require.Contains(t, []int{400, 401, 403, 404, 405, 408, 415, 429, 500, 503}, code.Status(), name)
			require.Equal(t, slices.Contains([]int{408, 429, 500, 503}, code.Status()), code.Retryable(), name)
		}
		require.Equal(t, 500, inlet.Code("unheard of").Status())
		require.False(t, inlet.Code("unheard of").Retryable())
	})
	t.Run("answer", func(t *testing.T) {
		t.Parallel()
		for _, code := range codesOfTheSource(t) {
			t.Run(string(code), func(t *testing.T) {
				t.Parallel()
				cause := errors.New(secret)
				w := serveError(&inlet.Error{Code: code, Err: cause, Field: "f"})
				a := requireRefused(t, w, code.Status(), code)
				require.Equal(t, "f", a.Field)
				require.Equal(t, code.Retryable(), w.Header().Get("Retry-After") != "")
				require.NotContains(t, w.Body.String(), secret)
				require.Equal(t, code == inlet.CodeInvalidJSON, a.Offset != nil)
				require.Equal(t, code == inlet.CodeInternal, a.RequestID != "")
				require.Equal(t, code == inlet.CodeShuttingDown, w.Header().Get("Connection") == "close")
				require.Equal(t, code == inlet.CodeRateLimited, w.Header().Get("X-RateLimit-Reset") != "")
			})
		}
	})
}

func TestError(t *testing.T) {
	t.Parallel()
	cause := errors.New(secret)
	e := &inlet.Error{Code: inlet.CodeRateLimited, Message: "slow down", RetryAfter: 1500 * time.Millisecond, Err: cause}
	require.ErrorIs(t, e, cause)
	require.Equal(t, "rate_limited: slow down: "+secret, e.Error())
	w := serveError(e)
	require.Equal(t, "slow down", readReply(t, w).Message)
	require.Equal(t, "2", w.Header().Get("Retry-After"))
	require.Equal(t, "2", w.Header().Get("X-RateLimit-Reset"))
	w = serveError(&inlet.Error{Code: inlet.CodeUnknownKey, RetryAfter: time.Hour})
	require.Empty(t, w.Header().Get("Retry-After"), "a client that must not retry is not given a time")
	w = serveError(&inlet.Error{Code: inlet.CodeInvalidJSON, Offset: 17, Message: `odd "text"` + "\n\xff"})
	require.Equal(t, int64(17), *readReply(t, w).Offset)
	require.Equal(t, "odd \"text\"\n\ufffd", readReply(t, w).Message)
}

func TestWriteError(t *testing.T) {
	t.Parallel()
	t.Run("in the form of the route", func(t *testing.T) {
		t.Parallel()
		requireRefused(t, serveError(errors.New(secret)), 500, inlet.CodeInternal)
		require.NotContains(t, serveError(errors.New(secret)).Body.String(), secret)
		requireRefused(t, serveError(inlet.ErrUnknownKey), 401, inlet.CodeUnknownKey)
		w := httptest.NewRecorder()
		inlet.WriteError(w, request("GET", "//v1/pixel/track/", nil), inlet.ErrUnknownKey)
		requirePixel(t, w, inlet.CodeUnknownKey)
		r := inlet.WithRequestID(request("POST", "/anything", nil), "named")
		w = httptest.NewRecorder()
		inlet.WriteError(w, r, errors.New(secret))
		require.Equal(t, "named", readReply(t, w).RequestID)
		require.Equal(t, inlet.CodeInternal, inlet.OutcomeFromContext(r.Context()).Code)
	})
	t.Run("an unexpected error is 500 without its text", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		h := mustNew(t, new(testsink.Keeper), &inlet.Options{
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Protocol: customProtocol(inlet.Route{Method: "POST", Path: "/own", Decode: func(*inlet.Input) error {
				return errors.New(secret)
			}}),
		})
		w := serve(h, authenticated("/own", "{}"))
		a := requireRefused(t, w, 500, inlet.CodeInternal)
		require.NotContains(t, w.Body.String(), secret)
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		require.Contains(t, log.String(), secret)
		require.Contains(t, log.String(), a.RequestID)
		require.NotEmpty(t, a.RequestID)
		named := inlet.WithRequestID(authenticated("/own", "{}"), "named")
		require.Equal(t, "named", requireRefused(t, serve(h, named), 500, inlet.CodeInternal).RequestID)
	})
}

func itemError(index int, err error) error {
	return &inlet.BatchError{Items: []inlet.ItemError{{Index: index, Err: err}}}
}

func TestWriteResult(t *testing.T) {
	t.Parallel()
	t.Run("single", func(t *testing.T) {
		t.Parallel()
		cause := errors.New(secret)
		tests := []struct {
			name       string
			err        error
			status     int
			code       inlet.Code
			retryAfter string
		}{
			{"nil", nil, 200, "", ""},
			{"an error", cause, 503, inlet.CodeSinkUnavailable, "3"},
			{"an error that says when", inlet.RetryAfter(cause, 90*time.Second), 503, inlet.CodeSinkUnavailable, "90"},
			{"an error that says when in fractions", inlet.RetryAfter(cause, 1500*time.Millisecond), 503, inlet.CodeSinkUnavailable, "2"},
			{"an error that says immediately", inlet.RetryAfter(cause, 0), 503, inlet.CodeSinkUnavailable, "1"},
			{"an error that says never", inlet.RetryAfter(cause, 1<<63-1), 503, inlet.CodeSinkUnavailable, "9223372037"},
			{"overload", fmt.Errorf("queue: %w", inlet.ErrOverloaded), 503, inlet.CodeOverloaded, "3"},
			{"closed", inlet.ErrClosed, 503, inlet.CodeSinkUnavailable, "3"},
			{"a deadline", context.DeadlineExceeded, 503, inlet.CodeSinkUnavailable, "3"},
			{"a permanent error", inlet.Permanent(cause), 400, inlet.CodeRefusedBySink, ""},
			{"a permanent error that is wrapped", fmt.Errorf("no: %w", inlet.Permanent(cause)), 400, inlet.CodeRefusedBySink, ""},
			{"a permanent error joined to a temporary one", errors.Join(inlet.Permanent(cause), cause), 503, inlet.CodeSinkUnavailable, "3"},
			{"a permanent problem", inlet.Permanent(&inlet.Problem{Code: inlet.CodeInvalidEvent, Message: "no plan", Field: "properties.plan"}), 400, inlet.CodeInvalidEvent, ""},
			{"an item's permanent error", itemError(0, inlet.Permanent(cause)), 400, inlet.CodeRefusedBySink, ""},
			{"an item's temporary error", itemError(0, cause), 503, inlet.CodeSinkUnavailable, "3"},
			{"an item's error that says when", itemError(0, inlet.RetryAfter(cause, 7*time.Second)), 503, inlet.CodeSinkUnavailable, "7"},
			{"no item at all", &inlet.BatchError{}, 503, inlet.CodeSinkUnavailable, "3"},
			{"an item out of range", itemError(1, inlet.Permanent(cause)), 503, inlet.CodeSinkUnavailable, "3"},
			{"an item below zero", itemError(-1, inlet.Permanent(cause)), 503, inlet.CodeSinkUnavailable, "3"},
			{"an item without an error", itemError(0, nil), 503, inlet.CodeSinkUnavailable, "3"},
			{"an item twice", &inlet.BatchError{Items: []inlet.ItemError{{0, inlet.Permanent(cause)}, {0, inlet.Permanent(cause)}}}, 503, inlet.CodeSinkUnavailable, "3"},
			{"an error of ours", &inlet.Error{Code: inlet.CodeRateLimited, Message: secret}, 503, inlet.CodeSinkUnavailable, "3"},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				w := serve(mustNew(t, testsink.Failing(test.err), &inlet.Options{RetryAfter: 3 * time.Second}), authenticated("/v1/track", goodTrack))
				require.Equal(t, test.retryAfter, w.Header().Get("Retry-After"))
				require.NotContains(t, w.Body.String(), secret)
				if test.code == "" {
					requireSuccess(t, w)
					return
				}
				requireRefused(t, w, test.status, test.code)
			})
		}
	})
	t.Run("batch", func(t *testing.T) {
		t.Parallel()
		permanent, temporary := inlet.Permanent(errors.New(secret)), errors.New(secret)
		items := func(errs ...error) error {
			e := new(inlet.BatchError)
			for i, err := range errs {
				if err != nil {
					e.Items = append(e.Items, inlet.ItemError{Index: i, Err: err})
				}
			}
			return e
		}
		// The third event of the request is refused before the sink: the sink is
		// given those at 0, 1 and 3.
		const body = `{"batch":[{"type":"page","userId":"a","messageId":"m0"},{"type":"page","userId":"b","messageId":"m1"},{"type":"page"},{"type":"page","userId":"d","messageId":"m3"}]}`
		tests := []struct {
			name     string
			err      error
			strict   string
			status   int
			code     inlet.Code
			accepted int
			rejected string
		}{
			{"all stored", nil, "", 200, "", 3, "[2:no_user_anon_id]"},
			{"one can never be stored", items(nil, permanent), "", 200, "", 2, "[1:refused_by_sink 2:no_user_anon_id]"},
			{"the last can never be stored", items(nil, nil, permanent), "", 200, "", 2, "[2:no_user_anon_id 3:refused_by_sink]"},
			{"none can ever be stored", items(permanent, permanent, permanent), "", 400, inlet.CodeAllRefused, 0, "[0:refused_by_sink 1:refused_by_sink 2:no_user_anon_id 3:refused_by_sink]"},
			{"the whole batch fails permanently", permanent, "", 400, inlet.CodeAllRefused, 0, "[0:refused_by_sink 1:refused_by_sink 2:no_user_anon_id 3:refused_by_sink]"},
			{"one cannot be stored now", items(permanent, nil, temporary), "", 503, inlet.CodeSinkUnavailable, 0, "[2:no_user_anon_id]"},
			{"strict, and refused before the sink", nil, "1", 400, inlet.CodeStrictMode, 0, "[2:no_user_anon_id]"},
			{"strict in words", nil, "true", 400, inlet.CodeStrictMode, 0, "[2:no_user_anon_id]"},
			{"strict is off by any other word", nil, "0", 200, "", 3, "[2:no_user_anon_id]"},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				sink := testsink.Failing(test.err)
				r := authenticated("/v1/batch", body)
				if test.strict != "" {
					r.Header.Set("X-Strict-Mode", test.strict)
				}
				w := serve(mustNew(t, sink, nil), r)
				require.Equal(t, test.status, w.Code)
				require.NotContains(t, w.Body.String(), secret)
				a := readReply(t, w)
				require.Equal(t, string(test.code), a.Code)
				require.Equal(t, test.status == 200, *a.Success)
				require.NotNil(t, a.Accepted)
				require.Equal(t, test.accepted, *a.Accepted)
				require.Equal(t, test.rejected, rejects(a))
				if test.code == inlet.CodeStrictMode {
					require.Zero(t, sink.Calls())
				}
			})
		}
	})
	t.Run("strict, and the sink refuses some", func(t *testing.T) {
		t.Parallel()
		w := serve(mustNew(t, testsink.Failing(itemError(1, inlet.Permanent(errors.New(secret)))), nil),
			authenticated("/v1/batch", batchOf(typedEvent("page"), typedEvent("page")), "X-Strict-Mode", "1"))
		a := requireRefused(t, w, 400, inlet.CodeStrictMode)
		require.Equal(t, 1, *a.Accepted)
		require.Equal(t, "[1:refused_by_sink]", rejects(a))
		require.Contains(t, a.Message, "stored")
	})
}

// rejects lists the rejected events as index:code.
func rejects(a reply) string {
	var list []string
	for _, r := range a.Rejected {
		list = append(list, fmt.Sprintf("%d:%s", r.Index, r.Code))
	}
	return fmt.Sprint(list)
}
