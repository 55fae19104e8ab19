package conventions_test

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// vendors is exported names that are the vendors' own, and words for a client too.
var vendors = map[string]bool{"SegmentStream": true, "MetaRouter": true, "RudderStack": true}

func TestTexts(t *testing.T) {
	t.Parallel()
	tr := repositoryTree(t)
	t.Run("clients", func(t *testing.T) {
		t.Parallel()
		root := tr.pkgs["."]
		require.Greater(t, len(root.texts(root.clientTexts())), 60, "the table of codes is not found any more")
		requireNone(t, goNamesForClients(tr))
	})
	t.Run("logs", func(t *testing.T) {
		t.Parallel()
		requireNone(t, badLogs(tr))
	})
}

var (
	qualified = regexp.MustCompile(`\b[a-z][a-z0-9]*\.[A-Z]\w*`)
	camelCase = regexp.MustCompile(`\b[A-Z][a-z0-9]+(?:[A-Z][A-Za-z0-9]*)+\b`)
)

// goNamesForClients finds Go identifiers in what HTTP clients are sent: the texts of the
// codes and every string that may become the Message of an error or a problem. A client
// cannot know them.
func goNamesForClients(tr *tree) (findings []finding) {
	names := exportedNames(tr)
	for _, p := range tr.packages() {
		if within("examples", p.path) || p.name == "main" {
			continue
		}
		texts := p.texts(p.clientTexts())
		for _, text := range texts {
			if name := qualified.FindString(text.value); name != "" {
				findings = append(findings, tr.at(text.pos, "a text for clients names %s: %q", name, text.value))
				continue
			}
			for _, name := range camelCase.FindAllString(text.value, -1) {
				if names[name] && !vendors[name] {
					findings = append(findings, tr.at(text.pos, "a text for clients names %s: %q", name, text.value))
				}
			}
		}
	}
	return sorted(findings)
}

// exportedNames is the names of the public API that are more than one word.
func exportedNames(tr *tree) map[string]bool {
	names := map[string]bool{}
	for _, p := range tr.public() {
		for ident, obj := range p.info.Defs {
			if obj != nil && ident.IsExported() && camelCase.MatchString(ident.Name) {
				names[ident.Name] = true
			}
		}
	}
	return names
}

// clientTexts returns the expressions in p whose strings reach clients.
func (p *pkg) clientTexts() (exprs []ast.Expr) {
	for _, file := range p.shipped {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Message" {
					exprs = append(exprs, n.Value)
				}
			case *ast.CompositeLit:
				if isTableOfCodes(p.info.TypeOf(n)) {
					exprs = append(exprs, n)
				}
			}
			return true
		})
	}
	return exprs
}

// isTableOfCodes reports whether t is a map from Code.
func isTableOfCodes(t types.Type) bool {
	table, ok := t.Underlying().(*types.Map)
	if !ok {
		return false
	}
	key, ok := table.Key().(*types.Named)
	return ok && key.Obj().Name() == "Code"
}

// A text is a string literal.
type text struct {
	pos   token.Pos
	value string
}

// texts returns the literals in the expressions, and those that reach them through the
// package's variables, constants and parameters of functions.
func (p *pkg) texts(exprs []ast.Expr) (found []text) {
	seen := map[types.Object]bool{}
	for len(exprs) > 0 {
		expr := exprs[0]
		exprs = exprs[1:]
		ast.Inspect(expr, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if n.Kind == token.STRING {
					found = append(found, text{n.Pos(), constant.StringVal(p.info.Types[n].Value)})
				}
			case *ast.Ident:
				if obj := p.info.Uses[n]; obj != nil && obj.Pkg() == p.types && !seen[obj] {
					seen[obj] = true
					exprs = append(exprs, p.valuesOf(obj)...)
				}
			}
			return true
		})
	}
	slices.SortFunc(found, func(a, b text) int { return int(a.pos - b.pos) })
	return slices.Compact(found)
}

// valuesOf returns the expressions that the variable or constant obj may get its string
// from: its own, or if it is a parameter the arguments of calls in the package.
func (p *pkg) valuesOf(obj types.Object) (values []ast.Expr) {
	for _, file := range p.shipped {
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				if i := p.paramIndex(fn, obj); i >= 0 {
					return p.arguments(p.info.Defs[fn.Name], i)
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, name := range spec.Names {
				if p.info.Defs[name] == obj && i < len(spec.Values) {
					values = append(values, spec.Values[i])
				}
			}
			return true
		})
	}
	return values
}

func (p *pkg) paramIndex(fn *ast.FuncDecl, obj types.Object) int {
	i := 0
	for _, field := range fn.Type.Params.List {
		for _, name := range field.Names {
			if p.info.Defs[name] == obj {
				return i
			}
			i++
		}
	}
	return -1
}

// arguments returns the i-th argument of every call of fn in the package.
func (p *pkg) arguments(fn types.Object, i int) (args []ast.Expr) {
	for _, file := range p.shipped {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && i < len(call.Args) && p.called(call) == fn {
				args = append(args, call.Args[i])
			}
			return true
		})
	}
	return args
}

// called returns the function or method that a call names, nil if it is neither.
func (p *pkg) called(call *ast.CallExpr) types.Object {
	fun := ast.Unparen(call.Fun)
	if index, ok := fun.(*ast.IndexExpr); ok {
		fun = index.X
	}
	switch fun := fun.(type) {
	case *ast.Ident:
		return p.info.Uses[fun]
	case *ast.SelectorExpr:
		return p.info.Uses[fun.Sel]
	}
	return nil
}

// badLogs finds log messages that do not begin with the name of the package and then, in
// lower case, with what happened, that are put together from parts, or that contain what
// looks like a verb of fmt.
func badLogs(tr *tree) (findings []finding) {
	public := map[string]bool{}
	for _, p := range tr.public() {
		public[p.name] = true
	}
	for _, p := range tr.packages() {
		if p.name == "main" || within("examples", p.path) {
			continue
		}
		prefixes := public
		if public[p.name] {
			prefixes = map[string]bool{p.name: true}
		}
		for _, message := range p.logMessages() {
			if fault := logFault(p.info.Types[message].Value, prefixes); fault != "" {
				findings = append(findings, tr.at(message.Pos(), "%s", fault))
			}
		}
	}
	return sorted(findings)
}

var logForm = regexp.MustCompile(`^([a-z][a-z0-9]*): [^A-Z\s]`)

// logFault returns what is wrong with a message, "" if nothing is. A nil value is that of
// an expression which is not constant.
func logFault(value constant.Value, prefixes map[string]bool) string {
	if value == nil {
		return "a log message is not constant: put what varies into attributes"
	}
	message := constant.StringVal(value)
	form := logForm.FindStringSubmatch(message)
	switch {
	case form == nil || !prefixes[form[1]]:
		return fmt.Sprintf("a log message does not begin with one of %v and a lower-case word: %q",
			slices.Sorted(maps.Keys(prefixes)), message)
	case strings.Contains(message, "%"):
		return fmt.Sprintf("a log message contains %%: %q", message)
	}
	return ""
}

// logMessages returns the messages of all calls of a Logger's methods, and where such a
// message is a parameter the arguments for it.
func (p *pkg) logMessages() (messages []ast.Expr) {
	for _, file := range p.shipped {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			fn, ok := p.called(call).(*types.Func)
			if !ok || fn.Pkg() == nil || fn.Pkg().Path() != "log/slog" {
				return true
			}
			for i, param := range slices.Collect(fn.Signature().Params().Variables()) {
				if param.Name() == "msg" && i < len(call.Args) && isLogging(fn.Name()) {
					messages = append(messages, p.sources(call.Args[i])...)
				}
			}
			return true
		})
	}
	return messages
}

func isLogging(name string) bool {
	switch strings.TrimSuffix(name, "Context") {
	case "Debug", "Info", "Warn", "Error", "Log", "LogAttrs":
		return true
	}
	return false
}

// sources returns expr, or if it is a parameter what the package passes for it.
func (p *pkg) sources(expr ast.Expr) []ast.Expr {
	ident, ok := ast.Unparen(expr).(*ast.Ident)
	if !ok || p.info.Types[expr].Value != nil {
		return []ast.Expr{expr}
	}
	if values := p.valuesOf(p.info.Uses[ident]); len(values) > 0 {
		var all []ast.Expr
		for _, value := range values {
			all = append(all, p.sources(value)...)
		}
		return all
	}
	return []ast.Expr{expr}
}
