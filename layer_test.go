package inlet_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// A dialect of a host's own is treated by layers and handler as the built-in ones are.
func TestOwnDialect(t *testing.T) {
	t.Parallel()
	decode := func(in *inlet.Input) error {
		root, ok := in.Single()
		if !ok {
			return nil
		}
		e := in.Add(0)
		e.Type, e.Name = inlet.TypeTrack, in.Text(root.Get("event"))
		if root.Repaired() {
			e.Warnings |= inlet.WarnTextRepaired
		}
		if p := in.SetID(e, &e.UserID, root.Get("userId"), "userId"); p != nil {
			in.Withdraw(p)
			return nil
		}
		in.SetTime(e, &e.Timestamp, root.Get("at"))
		e.Context = in.AppendRaw(func(dst []byte) []byte { return append(dst, `{"own":true}`...) })
		in.SetExtra(e, root, func(i int) (extra, client bool) {
			switch string(root.Name(i)) {
			case `"event"`, `"userId"`, `"at"`:
				return false, false
			case `"sourceId"`:
				return true, true
			}
			return true, false
		})
		return nil
	}
	protocol := speaking(inlet.Route{Method: "POST", Path: "/own", Form: inlet.FormEmpty, Decode: decode},
		inlet.Route{Method: "GET", Path: "/own.gif", Form: inlet.FormPixel, Decode: decode})
	keys := inlet.MustKeys(map[string]inlet.Source{"K": {ID: "shop"}})
	sink := new(keeper)
	h := mustAuth(t, keys, &inlet.AuthOptions{Protocol: protocol})(mustNew(t, sink, &inlet.Options{Protocol: protocol}))

	t.Run("has repaired text marked", func(t *testing.T) {
		body := "{\"event\":\"\xff\",\"userId\":\"u\",\"x\":1,\"sourceId\":\"mine\"}"
		w := serve(h, request("POST", "/own", strings.NewReader(body), "X-Write-Key", "K"))
		require.Equal(t, 204, w.Code, "%s", w.Body)
		e := sink.kept()[0]
		require.Equal(t, "\ufffd", e.Name)
		require.True(t, e.Warnings.Has(inlet.WarnTextRepaired))
		require.JSONEq(t, `{"own":true}`, string(e.Context))
		require.JSONEq(t, `{"x":1,"_client":{"sourceId":"mine"}}`, string(e.Extra))
	})
	t.Run("can withdraw an event", func(t *testing.T) {
		w := serve(h, request("POST", "/own", strings.NewReader(`{"event":"E","userId":[]}`), "X-Write-Key", "K"))
		requireRefused(t, w, 400, inlet.CodeIDNotString)
	})
	t.Run("answers refusals of its layers in its own form", func(t *testing.T) {
		w := serve(h, request("GET", "/own.gif", nil))
		require.Equal(t, 200, w.Code)
		require.Equal(t, "image/gif", w.Header().Get("Content-Type"))
		require.Equal(t, string(inlet.CodeMissingKey), w.Header().Get("X-Inlet-Error"))

		inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeRateLimited})
		})
		limited := mustAuth(t, keys, &inlet.AuthOptions{Protocol: protocol})(inner)
		w = serve(limited, request("GET", "/own.gif", nil, "X-Write-Key", "K"))
		require.Equal(t, "image/gif", w.Header().Get("Content-Type"))
	})
	t.Run("is unknown to layers without its protocol", func(t *testing.T) {
		w := serve(mustAuth(t, keys, nil)(http.NotFoundHandler()), request("GET", "/own.gif", nil))
		requireRefused(t, w, 401, inlet.CodeMissingKey)
	})
}

// The file is an example of a dialect outside of the package.
func TestSegmentStreamUsesOnlyExportedNames(t *testing.T) {
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
