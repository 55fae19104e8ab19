package inlet_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

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

func TestEveryCodeHasAStatusAndAText(t *testing.T) {
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
}

func TestEveryCodeIsAnsweredAsSDKsNeedIt(t *testing.T) {
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
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New(secret)
	e := &inlet.Error{Code: inlet.CodeRateLimited, Message: "slow down", RetryAfter: 1500 * time.Millisecond, Err: cause}
	require.ErrorIs(t, e, cause)
	require.Equal(t, "rate_limited: slow down: "+secret, e.Error())
	w := serveError(e)
	require.Equal(t, "slow down", read(t, w).Message)
	require.Equal(t, "2", w.Header().Get("Retry-After"))
	require.Equal(t, "2", w.Header().Get("X-RateLimit-Reset"))
	w = serveError(&inlet.Error{Code: inlet.CodeUnknownKey, RetryAfter: time.Hour})
	require.Empty(t, w.Header().Get("Retry-After"), "what must not come back is not told when to")
	w = serveError(&inlet.Error{Code: inlet.CodeInvalidJSON, Offset: 17, Message: `odd "text"` + "\n\xff"})
	require.Equal(t, int64(17), *read(t, w).Offset)
	require.Equal(t, "odd \"text\"\n\ufffd", read(t, w).Message)
}

func TestWriteErrorAnswersInTheFormOfTheRoute(t *testing.T) {
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
	require.Equal(t, "named", read(t, w).RequestID)
	require.Equal(t, inlet.CodeInternal, inlet.OutcomeFromContext(r.Context()).Code)
}
