package conventions_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxMeanings is how many types of a package may have a method of one unexported name.
const maxMeanings = 3

// sharedMethods is the names that mean the same wherever they are, with what they mean.
var sharedMethods = map[string]string{
	"withDefaults": "returns the options with their defaults filled in, or what is wrong with them",
	"close":        "ends what it is a method of, as Close does",
}

// nilSentence is the doc of all options types about nil.
const nilSentence = "A nil pointer means all defaults."

func TestConventions(t *testing.T) {
	t.Parallel()
	tr := repositoryTree(t)
	for name, check := range map[string]func(*tree) []finding{
		"docs":          undocumented,
		"nil options":   silentOnNil,
		"defaults":      withoutDefaults,
		"option errors": ownOptionErrors,
		"names":         ambiguousMethods,
		"examples":      withoutExample,
		"globals":       globalState,
		"loggers":       withoutLogger,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireNone(t, check(tr))
		})
	}
}

// docs returns the comment of every exported name of p, "" if it has none: of functions,
// methods, types, fields, methods of interfaces, constants and variables. A comment of a
// group is that of each of its constants, except for codes, which clients see; a comment of
// a field is that of those below it too if it names them; and the only method of an
// interface may be described by the interface's comment.
func (p *pkg) docs() map[types.Object]string {
	docs := map[types.Object]string{}
	for _, file := range p.shipped {
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil || p.isOfExported(decl) {
					p.setDoc(docs, decl.Name, commentText(decl.Doc))
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					p.setSpecDocs(docs, spec, commentText(decl.Doc), len(decl.Specs) == 1)
				}
			}
		}
	}
	return docs
}

func (p *pkg) setDoc(docs map[types.Object]string, name *ast.Ident, doc string) {
	if obj := p.info.Defs[name]; obj != nil && name.IsExported() {
		docs[obj] = doc
	}
}

func (p *pkg) setSpecDocs(docs map[types.Object]string, spec ast.Spec, group string, alone bool) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			own := commentText(spec.Doc, spec.Comment)
			if own == "" && (alone || !p.isCode(name)) {
				own = group
			}
			p.setDoc(docs, name, own)
		}
	case *ast.TypeSpec:
		own := commentText(spec.Doc)
		if own == "" && alone {
			own = group
		}
		p.setDoc(docs, spec.Name, own)
		if spec.Name.IsExported() {
			p.setMemberDocs(docs, spec, own)
		}
	}
}

func (p *pkg) setMemberDocs(docs map[types.Object]string, spec *ast.TypeSpec, ofType string) {
	fields := members(spec)
	above, end := "", token.NoPos
	for _, field := range fields {
		own := commentText(field.Doc, field.Comment)
		for _, name := range field.Names {
			doc := own
			switch _, isInterface := spec.Type.(*ast.InterfaceType); {
			case doc != "":
			case isInterface && len(fields) == 1 && names(ofType, name.Name):
				doc = name.Name + " is described by the comment of its type."
			case end != token.NoPos && field.Pos()-end <= maxGap && names(above, name.Name):
				doc = above
			}
			p.setDoc(docs, name, doc)
			if doc != "" {
				above = doc
			}
		}
		end = field.End()
	}
}

// maxGap is how many bytes are between the fields of adjacent lines: a newline and two
// tabs. With an empty line in between there are more.
const maxGap = 3

// names reports whether a comment contains name as a word.
func names(doc, name string) bool {
	return regexp.MustCompile(`\b` + name + `\b`).MatchString(doc)
}

// isCode reports whether a constant has a type that is called Code or SomethingCode.
func (p *pkg) isCode(name *ast.Ident) bool {
	named := namedType(p.info.Defs[name].Type())
	return named != nil && strings.HasSuffix(named.Obj().Name(), "Code")
}

// commentText returns the first of the comments that is not empty, in one line.
func commentText(groups ...*ast.CommentGroup) string {
	for _, group := range groups {
		if text := strings.Join(strings.Fields(group.Text()), " "); text != "" {
			return text
		}
	}
	return ""
}

// isOfExported reports whether a method belongs to an exported type.
func (p *pkg) isOfExported(method *ast.FuncDecl) bool {
	recv := p.info.Defs[method.Name].(*types.Func).Signature().Recv().Type()
	named := namedType(recv)
	return named != nil && named.Obj().Exported()
}

// members returns the fields of a struct or the methods of an interface.
func members(spec *ast.TypeSpec) []*ast.Field {
	switch typ := spec.Type.(type) {
	case *ast.StructType:
		return typ.Fields.List
	case *ast.InterfaceType:
		return typ.Methods.List
	}
	return nil
}

// namedType returns the named type that t is, points to or has as its elements, or nil.
func namedType(t types.Type) *types.Named {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		return t
	case *types.Pointer:
		return namedType(t.Elem())
	case *types.Slice:
		return namedType(t.Elem())
	}
	return nil
}

// undocumented finds exported names without a comment, and functions and methods whose
// comment does not begin with their name.
func undocumented(tr *tree) (findings []finding) {
	for _, p := range tr.public() {
		for obj, doc := range p.docs() {
			_, isFunc := obj.(*types.Func)
			switch {
			case doc == "":
				findings = append(findings, tr.at(obj.Pos(), "%s has no comment", obj.Name()))
			case isFunc && !strings.HasPrefix(doc, obj.Name()+" "):
				findings = append(findings, tr.at(obj.Pos(), "the comment of %s does not begin with its name: %q", obj.Name(), firstWords(doc)))
			}
		}
	}
	return sorted(findings)
}

func firstWords(text string) string {
	return strings.Join(strings.Fields(text)[:min(6, len(strings.Fields(text)))], " ")
}

// optionsTypes returns the options structs of p, and of each whether a function takes it by
// pointer: those whose name ends in Options, and the last parameter of constructors.
func (p *pkg) optionsTypes() map[*types.TypeName]bool {
	found := map[*types.TypeName]bool{}
	for _, name := range p.types.Scope().Names() {
		obj := p.types.Scope().Lookup(name)
		if typ, ok := obj.(*types.TypeName); ok && obj.Exported() && strings.HasSuffix(name, "Options") && isStruct(typ.Type()) {
			if _, seen := found[typ]; !seen {
				found[typ] = false
			}
		}
		fn, ok := obj.(*types.Func)
		if !ok || !obj.Exported() {
			continue
		}
		for param := range fn.Signature().Params().Variables() {
			pointer, ok := types.Unalias(param.Type()).(*types.Pointer)
			if !ok || !isStruct(pointer.Elem()) {
				continue
			}
			typ := namedType(pointer).Obj()
			if typ.Pkg() == p.types && typ.Exported() && (strings.HasSuffix(typ.Name(), "Options") || constructorName.MatchString(fn.Name())) {
				found[typ] = true
			}
		}
		markMethods(p, found)
	}
	return found
}

// markMethods notes the options that methods take by pointer.
func markMethods(p *pkg, found map[*types.TypeName]bool) {
	for _, obj := range p.info.Defs {
		fn, ok := obj.(*types.Func)
		if !ok || !fn.Exported() || fn.Signature().Recv() == nil {
			continue
		}
		for param := range fn.Signature().Params().Variables() {
			if pointer, ok := types.Unalias(param.Type()).(*types.Pointer); ok && namedType(pointer) != nil {
				if _, ok := found[namedType(pointer).Obj()]; ok {
					found[namedType(pointer).Obj()] = true
				}
			}
		}
	}
}

func isStruct(t types.Type) bool {
	named, ok := types.Unalias(t).(*types.Named)
	if !ok {
		return false
	}
	_, ok = named.Underlying().(*types.Struct)
	return ok
}

// silentOnNil finds options that are passed by pointer and whose comment does not have the
// one sentence about nil.
func silentOnNil(tr *tree) (findings []finding) {
	for _, p := range tr.public() {
		docs := p.docs()
		for typ, byPointer := range p.optionsTypes() {
			if byPointer && !strings.Contains(docs[typ], nilSentence) {
				findings = append(findings, tr.at(typ.Pos(), "the comment of %s does not say %q", typ.Name(), nilSentence))
			}
		}
	}
	return sorted(findings)
}

var (
	defaultsEnd = regexp.MustCompile(`(^|[.:)] )((Defaults|They default) to [^.]*(\.[^. ][^.]*)*\.|Required\.)$`)
	loggerEnd   = "Defaults to [slog.Default]."
)

// withoutDefaults finds fields of options whose comment does not end with the default.
func withoutDefaults(tr *tree) (findings []finding) {
	for _, p := range tr.public() {
		docs := p.docs()
		for typ := range p.optionsTypes() {
			for field := range typ.Type().Underlying().(*types.Struct).Fields() {
				doc, ok := docs[field]
				switch {
				case !ok: // unexported, embedded
				case field.Name() == "Logger" && !strings.HasSuffix(doc, loggerEnd):
					findings = append(findings, tr.at(field.Pos(), "the comment of %s.%s does not end %q", typ.Name(), field.Name(), loggerEnd))
				case !defaultsEnd.MatchString(doc):
					findings = append(findings, tr.at(field.Pos(), "the comment of %s.%s does not end \"Defaults to ….\" or \"Required.\"", typ.Name(), field.Name()))
				}
			}
		}
	}
	return sorted(findings)
}

var (
	checkingName    = regexp.MustCompile(`^(withDefaults|validate|check)$`)
	constructorName = regexp.MustCompile(`^(New|Open|Must)([A-Z0-9]\w*)?$`)
	optionWords     = regexp.MustCompile(`(^|[^e] )[\w.:]*Options\b|\boption\b`) // but not "see Options.AllowHTTP"
	boundWords      = regexp.MustCompile(`must be (at|above|below|within|positive)|must not be negative|is negative`)
)

// ownOptionErrors finds errors about options that are not worded by internal/check: any
// that speaks of options, and in constructors and the functions that check options any that
// speaks of bounds.
func ownOptionErrors(tr *tree) (findings []finding) {
	for _, p := range tr.packages() {
		if p.path == "internal/check" || p.name == "main" || within("examples", p.path) {
			continue
		}
		for _, file := range p.shipped {
			for _, decl := range file.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok {
					checks := isMethodOfOptions(fn) || checkingName.MatchString(fn.Name.Name) || constructorName.MatchString(fn.Name.Name)
					findings = append(findings, p.optionErrors(tr, fn, checks)...)
				}
			}
		}
	}
	return sorted(findings)
}

// isMethodOfOptions reports whether fn is a method of a type whose name ends in Options.
func isMethodOfOptions(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return false
	}
	recv := fn.Recv.List[0].Type
	if star, ok := recv.(*ast.StarExpr); ok {
		recv = star.X
	}
	name, ok := recv.(*ast.Ident)
	return ok && strings.HasSuffix(name.Name, "Options")
}

func (p *pkg) optionErrors(tr *tree, fn *ast.FuncDecl, checks bool) (findings []finding) {
	ast.Inspect(fn, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		made, ok := p.called(call).(*types.Func)
		if !ok || made.FullName() != "fmt.Errorf" && made.FullName() != "errors.New" {
			return true
		}
		lit, ok := call.Args[0].(*ast.BasicLit)
		if ok && lit.Kind == token.STRING && (optionWords.MatchString(lit.Value) || checks && boundWords.MatchString(lit.Value)) {
			findings = append(findings, tr.at(lit.Pos(), "%s words an error about options itself, which internal/check is for: %s", fn.Name.Name, lit.Value))
		}
		return true
	})
	return findings
}

// ambiguousMethods finds unexported method names that too many types of a package have, so
// that a reader of a call does not know what it does. Methods that an interface of the
// package asks for count once.
func ambiguousMethods(tr *tree) (findings []finding) {
	for _, p := range tr.packages() {
		receivers := map[string]map[string]bool{}
		for _, obj := range p.info.Defs {
			fn, ok := obj.(*types.Func)
			if !ok || fn.Exported() || fn.Signature().Recv() == nil || fn.Origin() != fn {
				continue
			}
			named := namedType(fn.Signature().Recv().Type())
			if named == nil || types.IsInterface(named) {
				continue
			}
			meaning := named.Obj().Name()
			if iface := p.askedBy(named, fn.Name()); iface != "" {
				meaning = "(" + iface + ")"
			}
			if receivers[fn.Name()] == nil {
				receivers[fn.Name()] = map[string]bool{}
			}
			receivers[fn.Name()][meaning] = true
		}
		for name, types := range receivers {
			if len(types) > maxMeanings && sharedMethods[name] == "" {
				findings = append(findings, finding{file: p.path, text: fmt.Sprintf("the method %s has %d meanings, at most %d are allowed: %s",
					name, len(types), maxMeanings, strings.Join(slices.Sorted(maps.Keys(types)), " "))})
			}
		}
	}
	return sorted(findings)
}

// askedBy returns the interface of p that named implements and that has a method called
// name, or "".
func (p *pkg) askedBy(named *types.Named, name string) string {
	for _, other := range p.types.Scope().Names() {
		typ, ok := p.types.Scope().Lookup(other).(*types.TypeName)
		if !ok || !types.IsInterface(typ.Type()) {
			continue
		}
		if generic, ok := typ.Type().(*types.Named); ok && generic.TypeParams().Len() > 0 {
			continue
		}
		iface := typ.Type().Underlying().(*types.Interface)
		for method := range iface.Methods() {
			if method.Name() == name && (types.Implements(named, iface) || types.Implements(types.NewPointer(named), iface)) {
				return other
			}
		}
	}
	return ""
}

// withoutLogger finds options whose Logger the package does not set to slog.Default by
// cmp.Or(o.Logger, slog.Default()).
func withoutLogger(tr *tree) (findings []finding) {
	for _, p := range tr.public() {
		resolved := p.resolvedLoggers()
		for typ := range p.optionsTypes() {
			for field := range typ.Type().Underlying().(*types.Struct).Fields() {
				if field.Name() == "Logger" && !resolved[typ] {
					findings = append(findings, tr.at(field.Pos(), "%s.Logger does not default to slog.Default by cmp.Or", typ.Name()))
				}
			}
		}
	}
	return sorted(findings)
}

// resolvedLoggers returns the types T of all cmp.Or(t.Logger, slog.Default()) in p.
func (p *pkg) resolvedLoggers() map[*types.TypeName]bool {
	resolved := map[*types.TypeName]bool{}
	for _, file := range p.shipped {
		ast.Inspect(file, func(n ast.Node) bool {
			or, ok := n.(*ast.CallExpr)
			if !ok || len(or.Args) != 2 || p.calledName(or) != "cmp.Or" {
				return true
			}
			logger, isField := or.Args[0].(*ast.SelectorExpr)
			fallback, isCall := or.Args[1].(*ast.CallExpr)
			if isField && isCall && logger.Sel.Name == "Logger" && p.calledName(fallback) == "log/slog.Default" {
				if named := namedType(p.info.TypeOf(logger.X)); named != nil {
					resolved[named.Obj()] = true
				}
			}
			return true
		})
	}
	return resolved
}

// calledName returns the full name of the function that a call names, or "".
func (p *pkg) calledName(call *ast.CallExpr) string {
	if fn, ok := p.called(call).(*types.Func); ok {
		return fn.FullName()
	}
	return ""
}

// globalState finds functions called init, and assignments to variables of a package or to
// what they hold: what one handler does must not depend on another.
func globalState(tr *tree) (findings []finding) {
	for _, p := range tr.packages() {
		if p.name == "main" || within("examples", p.path) {
			continue
		}
		for _, file := range p.shipped {
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					if n.Recv == nil && n.Name.Name == "init" {
						findings = append(findings, tr.at(n.Pos(), "there is a function init"))
					}
				case *ast.AssignStmt:
					for _, to := range n.Lhs {
						findings = append(findings, p.assignedGlobal(tr, to)...)
					}
				case *ast.IncDecStmt:
					findings = append(findings, p.assignedGlobal(tr, n.X)...)
				}
				return true
			})
		}
	}
	return sorted(findings)
}

// assignedGlobal returns a finding if an assignment to expr changes a variable of p.
func (p *pkg) assignedGlobal(tr *tree, expr ast.Expr) []finding {
	at := expr.Pos()
	for {
		switch e := expr.(type) {
		case *ast.ParenExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.SelectorExpr:
			expr = e.X
		case *ast.StarExpr:
			expr = e.X
		case *ast.Ident:
			if v, ok := p.info.Uses[e].(*types.Var); ok && v.Parent() == p.types.Scope() {
				return []finding{tr.at(at, "an assignment changes the variable %s of the package", v.Name())}
			}
			return nil
		default:
			return nil
		}
	}
}

// withoutExample finds constructors without an Example: functions called New, Open or Must
// something, and those that return a type of the module or a layer. ExampleX counts, and an
// example of the type that the constructor returns if it calls the constructor.
func withoutExample(tr *tree) (findings []finding) {
	for _, p := range tr.public() {
		for _, name := range p.types.Scope().Names() {
			fn, ok := p.types.Scope().Lookup(name).(*types.Func)
			if ok && fn.Exported() && isConstructor(tr, fn) && !p.hasExample(fn) {
				findings = append(findings, tr.at(fn.Pos(), "there is no Example%s", name))
			}
		}
	}
	return sorted(findings)
}

func isConstructor(tr *tree, fn *types.Func) bool {
	if constructorName.MatchString(fn.Name()) {
		return true
	}
	for result := range fn.Signature().Results().Variables() {
		named := namedType(result.Type())
		if named != nil && named.Obj().Pkg() != nil && within(tr.module, named.Obj().Pkg().Path()) || isLayer(result.Type()) {
			return true
		}
	}
	return false
}

// isLayer reports whether t is func(http.Handler) http.Handler.
func isLayer(t types.Type) bool {
	return types.TypeString(t.Underlying(), nil) == "func(net/http.Handler) net/http.Handler" ||
		types.TypeString(unnamed(t.Underlying()), nil) == "func(net/http.Handler) net/http.Handler"
}

func (p *pkg) hasExample(fn *types.Func) bool {
	prefixes := []string{"Example" + fn.Name()}
	for result := range fn.Signature().Results().Variables() {
		if named := namedType(result.Type()); named != nil && named.Obj().Pkg() == p.types {
			prefixes = append(prefixes, "Example"+named.Obj().Name())
		}
	}
	for _, file := range p.tests {
		for _, decl := range file.Decls {
			example, ok := decl.(*ast.FuncDecl)
			if !ok || example.Recv != nil {
				continue
			}
			for i, prefix := range prefixes {
				rest, ok := strings.CutPrefix(example.Name.Name, prefix)
				if ok && (rest == "" || rest[0] == '_') && (i == 0 || calls(example, fn.Name())) {
					return true
				}
			}
		}
	}
	return false
}

// calls reports whether a function of a test calls a function of that name.
func calls(fn *ast.FuncDecl, name string) (found bool) {
	ast.Inspect(fn, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch fun := call.Fun.(type) {
		case *ast.Ident:
			found = found || fun.Name == name
		case *ast.SelectorExpr:
			found = found || fun.Sel.Name == name
		}
		return true
	})
	return found
}
