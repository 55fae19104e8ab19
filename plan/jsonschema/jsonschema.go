// Package jsonschema lets the rules of a tracking plan have schemas of all of JSON Schema: anyOf,
// if, not, unevaluatedProperties and whatever else package plan refuses.
//
//	p, err := plan.Load(file, &plan.LoadOptions{Full: jsonschema.New(nil)})
//
// Only the schemas that need it are compiled here; all others are compared as before. A comparison
// here makes values of the event and takes some twenty times as long.
//
// Everything that is referred to must be in the schema: nothing is read from files or from the
// network. Patterns are those that package plan supports. A schema is for the event as
// [inlet.Event.AppendJSON] writes it, with all its members: what it does not allow at the root, it
// does not allow for ids, times and the context either. An event that is nested more than 256
// levels deep, or that has a number of more than 300 digits, is not compared: that is a violation.
package jsonschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/inlet-go/inlet/internal/schema"
	"github.com/inlet-go/inlet/plan"
)

// Options configure a [Compiler]. A nil pointer means all defaults.
type Options struct {
	// Formats makes "format" a demand, for all formats of the specification. Defaults to false: a
	// format demands nothing.
	Formats bool
}

// A Compiler compiles schemas, for [plan.LoadOptions].
type Compiler struct{ options Options }

var _ plan.Compiler = (*Compiler)(nil)

// New returns a compiler.
func New(o *Options) *Compiler {
	if o == nil {
		o = new(Options)
	}
	return &Compiler{*o}
}

// address is where a schema is said to be, so that references within it can be resolved.
const address = "inlet:///schema.json"

// Compile compiles a schema, of draft 07 unless it says another one.
func (c *Compiler) Compile(text json.RawMessage) (plan.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the schema is not valid JSON: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	compiler.UseLoader(nowhere{})
	compiler.UseRegexpEngine(func(text string) (jsonschema.Regexp, error) { return schema.CompilePattern(text) })
	if c.options.Formats {
		compiler.AssertFormat()
	}
	if err := compiler.AddResource(address, document); err != nil {
		return nil, fmt.Errorf("the schema cannot be used: %w", err)
	}
	compiled, err := compiler.Compile(address)
	if err != nil {
		return nil, fmt.Errorf("the schema cannot be used: %w", err)
	}
	return &full{compiled, message.NewPrinter(language.English)}, nil
}

// nowhere is where schemas are loaded from that are not in the text.
type nowhere struct{}

// Load returns an error.
func (nowhere) Load(string) (any, error) {
	return nil, errors.New("only what is in the schema itself can be referred to")
}

// A full is a schema.
type full struct {
	schema  *jsonschema.Schema
	printer *message.Printer
}

// maxViolations is how many violations of an event are returned at most.
const maxViolations = 20

// Check appends what violates the schema.
func (f *full) Check(event json.RawMessage, into []plan.Violation) []plan.Violation {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(event))
	if err != nil {
		return append(into, plan.Violation{Kind: plan.Other, Expected: "valid JSON", Found: "not"})
	}
	if location, unfit, ok := findUnfit(value, 0); ok {
		slices.Reverse(location)
		unfit.Path = cut(pathOf(value, location))
		return append(into, unfit)
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](f.schema.Validate(value))
	if !ok {
		return into
	}
	r := report{value: value, printer: f.printer, into: into, most: len(into) + maxViolations}
	r.add(invalid)
	return r.into
}

// maxDigits bounds numbers, with their exponents, since values are made of them. maxDepth bounds
// how deep values are nested: what is noted for a violation grows with its depth. It is more than a
// server accepts that has the default limits.
const (
	maxDigits = 300
	maxDepth  = 256
)

// findUnfit returns the violation by a value that is not compared: a number that is too large to
// make a value of, or one that is nested too deeply. The location of it is from its end to its
// beginning.
func findUnfit(value any, depth int) (location []string, v plan.Violation, found bool) {
	switch value.(type) {
	case []any, map[string]any:
		if depth == maxDepth {
			return nil, plan.Violation{Kind: plan.Other, Expected: "nested at most " + strconv.Itoa(maxDepth) + " levels deep", Found: describe(value)}, true
		}
	}
	switch of := value.(type) {
	case json.Number:
		if isLarge(string(of)) {
			return nil, plan.Violation{Kind: plan.Other, Expected: "a number of at most 300 digits", Found: describe(value)}, true
		}
	case []any:
		for i, element := range of {
			if location, v, found = findUnfit(element, depth+1); found {
				return append(location, strconv.Itoa(i)), v, true
			}
		}
	case map[string]any:
		for name, member := range of {
			if location, v, found = findUnfit(member, depth+1); found {
				return append(location, name), v, true
			}
		}
	}
	return nil, plan.Violation{}, false
}

func isLarge(number string) bool {
	if len(number) > maxDigits {
		return true
	}
	i := strings.IndexAny(number, "eE")
	if i < 0 {
		return false
	}
	exponent, err := strconv.Atoi(number[i+1:])
	return err != nil || exponent > maxDigits || exponent < -maxDigits
}

// A report makes violations of the errors of a value.
type report struct {
	value   any
	printer *message.Printer
	into    []plan.Violation
	most    int
}

// add adds the violations of an error. Those of the alternatives of anyOf and the like are not
// taken apart: each of them is what another alternative demands.
func (r *report) add(e *jsonschema.ValidationError) {
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			r.violation(plan.Violation{Kind: plan.Required, Path: join(r.path(e), name), Keyword: "required"})
		}
		return
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			found := describe(r.at(append(e.InstanceLocation[:len(e.InstanceLocation):len(e.InstanceLocation)], name)))
			r.violation(plan.Violation{Kind: plan.UnplannedProperty, Path: join(r.path(e), name), Keyword: "additionalProperties", Found: found})
		}
		return
	case *kind.Type:
		r.violation(plan.Violation{Kind: plan.Type, Path: r.path(e), Keyword: "type", Expected: words(k.Want), Found: r.found(e)})
		return
	case *kind.FalseSchema:
		r.violation(plan.Violation{Kind: plan.UnplannedProperty, Path: r.path(e), Found: r.found(e)})
		return
	case *kind.AnyOf:
		r.other(e, "one of the alternatives of anyOf")
		return
	case *kind.OneOf:
		r.other(e, "exactly one of the alternatives of oneOf")
		return
	}
	if len(e.Causes) == 0 {
		r.other(e, "valid ("+cut(e.ErrorKind.LocalizedString(r.printer))+")")
	}
	for _, cause := range e.Causes {
		r.add(cause)
	}
}

// other adds the violation that a value is not what it is expected to be.
func (r *report) other(e *jsonschema.ValidationError, expected string) {
	keyword := strings.Join(e.ErrorKind.KeywordPath(), "/")
	r.violation(plan.Violation{Kind: plan.Other, Path: r.path(e), Keyword: keyword, Expected: expected, Found: r.found(e)})
}

func (r *report) violation(v plan.Violation) {
	if len(r.into) < r.most {
		v.Path = cut(v.Path)
		r.into = append(r.into, v)
	}
}

func (r *report) found(e *jsonschema.ValidationError) string {
	return describe(r.at(e.InstanceLocation))
}

// at returns the value at a place.
func (r *report) at(location []string) any {
	value := r.value
	for _, token := range location {
		switch v := value.(type) {
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		case map[string]any:
			value = v[token]
		}
	}
	return value
}

// path returns the place of an error.
func (r *report) path(e *jsonschema.ValidationError) string {
	return pathOf(r.value, e.InstanceLocation)
}

// pathOf returns a place in a value in the form that people write it in, or the beginning of it.
func pathOf(value any, location []string) (path string) {
	for _, token := range location {
		if len(path) > utf8.UTFMax*maxCharacters {
			break
		}
		switch v := value.(type) {
		case []any:
			path += "[" + token + "]"
			if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(v) {
				value = v[i]
			}
		case map[string]any:
			path = join(path, cut(token))
			value = v[token]
		}
	}
	return path
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// describe returns a value in words.
func describe(value any) string {
	switch v := value.(type) {
	case string:
		return "the text " + strconv.Quote(cut(v))
	case json.Number:
		return "the number " + cut(string(v))
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "null"
}

// typeNames are the names of types, with what they are in words.
var typeNames = [...]struct{ name, words string }{
	{"string", "a text"},
	{"number", "a number"},
	{"integer", "a whole number"},
	{"boolean", "true or false"},
	{"object", "an object"},
	{"array", "a list"},
	{"null", "null"},
}

// words returns types in words.
func words(types []string) string {
	var all []string
	for _, t := range typeNames {
		if slices.Contains(types, t.name) {
			all = append(all, t.words)
		}
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

// maxCharacters is how much is quoted of an event.
const maxCharacters = 100

// cut returns the beginning of a text.
func cut(text string) string {
	if len(text) <= maxCharacters {
		return text
	}
	n := 0
	for i := range text {
		if n++; n > maxCharacters {
			return text[:i] + "…"
		}
	}
	return text
}
