package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/schema"
	"github.com/inlet-go/inlet/internal/wire"
)

// Limits of a plan.
const (
	maxBytes = 32 << 20
	maxRules = 50_000
)

// Common is the type of rules for all events.
const Common inlet.Type = "common"

// A Plan is a set of rules for events. It is immutable, and safe for concurrent use.
type Plan struct {
	name, version string
	modes         json.RawMessage // as the file has them, or nil
	rules         []Rule
	byEvent       map[eventKey]*family
	types         map[inlet.Type]bool // that have a rule
	versioned     bool                // events may name a version
	common        *Rule               // the newest for all events, or nil
	similar       map[eventKey]string // the event of a rule, by its name without case and separators

	ownModes  modes            // of the plan
	ruleModes map[string]modes // of rules that have their own, by Rule.String
}

// An eventKey is which events a rule is for.
type eventKey struct {
	eventType inlet.Type
	event     string
}

// A family is the rules for the same events, by version.
type family struct{ rules []*Rule }

func (f *family) newest() *Rule { return f.rules[len(f.rules)-1] }

// A Rule is what a plan says about an event.
type Rule struct {
	// Type is which type of events it is for, or [Common].
	Type inlet.Type
	// Event is the name of the event, or "" for all names.
	Event string
	// Version tells rules for the same event apart, from 1 on.
	Version int
	// Schema is the schema, as the plan has it.
	Schema json.RawMessage

	modes  json.RawMessage // as the file has them, or nil
	name   string
	full   Schema // set if the schema is not compiled here
	schema *schema.Schema
	fields []plannedField
}

// String returns the rule in words: "track Order Completed", or "identify".
func (r *Rule) String() string { return r.name }

// LoadOptions configure how a plan is loaded. A nil pointer means all defaults.
type LoadOptions struct {
	// Formats makes "format" a demand, for date-time, email and uuid; other formats are an error
	// then. Defaults to false: a format demands nothing, as in the specification.
	Formats bool
	// Full compiles the schemas that have keywords beyond those of this package, such as anyOf.
	// Defaults to nil: such a schema is an error.
	Full Compiler
}

// A Compiler compiles schemas of all of JSON Schema. Package plan/jsonschema has one.
//
// Concurrency: Compile is not called concurrently.
type Compiler interface {
	// Compile compiles a schema, which is a JSON value. The text must not be changed, and may be
	// kept.
	Compile(text json.RawMessage) (Schema, error)
}

// A Schema checks events as a whole.
//
// Concurrency: Check may be called concurrently.
type Schema interface {
	// Check appends what violates the schema: Kind, Path, Keyword, Expected and Found. The event is
	// lent until Check returns. More than some 20 violations of an event are cut off.
	Check(event json.RawMessage, into []Violation) []Violation
}

// Name returns the name of the plan, or "".
func (p *Plan) Name() string { return p.name }

// Version returns the version of the plan, or "".
func (p *Plan) Version() string { return p.version }

// Rules returns the rules in the order of the plan. They must not be changed.
func (p *Plan) Rules() []Rule { return p.rules }

// planFile is a plan in the format of this package.
type planFile struct {
	Name    string            `json:"name"`
	Version json.RawMessage   `json:"version"`
	Rules   []json.RawMessage `json:"rules"` // of ruleFile
	Modes   json.RawMessage   `json:"modes"`
}

type ruleFile struct {
	Type    string          `json:"type"`
	Event   string          `json:"event"`
	Version int             `json:"version"`
	Schema  json.RawMessage `json:"schema"`
	Modes   json.RawMessage `json:"modes"`
}

// planMembers and ruleMembers are the names that may be in a file.
var (
	planMembers = []string{"name", "version", "description", "rules", "modes"}
	ruleMembers = []string{"type", "event", "version", "description", "schema", "modes"}
)

// Load reads a plan in the format of this package. Its errors name the line and the column where
// the text is not JSON; else the rule, and the keyword in the schema with its place, a JSON
// pointer. Of a plan in the format of [Segment] or [RudderStack] they say so.
func Load(r io.Reader, o *LoadOptions) (*Plan, error) {
	return read(r, o, func(p *Plan, text []byte) error {
		err := p.readOwn(text)
		if format := otherFormat(text); err != nil && format != "" {
			return fmt.Errorf("%w; this looks like a plan of %s, which is another format", err, format)
		}
		return err
	})
}

// read reads a plan in a format.
func read(r io.Reader, o *LoadOptions, format func(*Plan, []byte) error) (*Plan, error) {
	p := new(Plan)
	text, err := readText(r)
	if err == nil {
		err = format(p, text)
	}
	if err == nil {
		err = p.compile(o)
	}
	if err != nil {
		return nil, &loadError{err}
	}
	return p, nil
}

// A loadError is why a plan cannot be used.
type loadError struct{ cause error }

// Error returns the cause after the name of the package.
func (e *loadError) Error() string { return "plan: " + e.cause.Error() }

// Unwrap returns the cause.
func (e *loadError) Unwrap() error { return e.cause }

// readOwn reads the format of this package.
func (p *Plan) readOwn(text []byte) error {
	if err := onlyMembers("the plan", text, planMembers); err != nil {
		return err
	}
	var file planFile
	if err := json.Unmarshal(text, &file); err != nil {
		return typeError(err)
	}
	p.name, p.modes = file.Name, file.Modes
	var err error
	if p.version, err = versionText(file.Version); err != nil {
		return err
	}
	if file.Rules == nil {
		return errors.New(`has no list "rules"`)
	}
	for i, rule := range file.Rules {
		where := fmt.Sprintf("rule %d", i+1)
		if err := onlyMembers(where, rule, ruleMembers); err != nil {
			return err
		}
		var f ruleFile
		if err := json.Unmarshal(rule, &f); err != nil {
			return fmt.Errorf("%s: %w", where, typeError(err))
		}
		p.rules = append(p.rules, Rule{
			Type: inlet.Type(f.Type), Event: f.Event, Version: f.Version, Schema: f.Schema, modes: f.Modes,
		})
	}
	return nil
}

// readText reads the text of a plan, which must be valid JSON without names that occur twice. It
// may have a byte order mark, as editors write one.
func readText(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxBytes:
		return nil, fmt.Errorf("is longer than %d bytes", maxBytes)
	}
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	if _, err := wire.Members(text); err != nil {
		return nil, fmt.Errorf("must be a JSON object: %w", wire.WithLine(err, text))
	}
	return wire.Trim(text), nil
}

// onlyMembers returns an error if a valid value is not an object of members with some names.
func onlyMembers(what string, value []byte, names []string) error {
	members, err := wire.Members(value)
	if err != nil {
		return fmt.Errorf("%s is not an object", what)
	}
	for _, m := range members {
		if !slices.Contains(names, string(m.Name())) {
			return fmt.Errorf("%s has a member %q; it may have %s", what, m.Name(), strings.Join(names, ", "))
		}
	}
	return nil
}

// typeError is an error of package json in words that name no Go type.
func typeError(err error) error {
	if found, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%q must not be a JSON %s", found.Field, found.Value)
	}
	return err
}

// versionText returns a version that is a text or a number.
func versionText(raw json.RawMessage) (string, error) {
	switch kind := wire.Kind(raw); {
	case kind == 0, kind == 'n':
		return "", nil
	case kind == '"':
		return wire.Text(raw), nil
	case wire.IsNumber(raw):
		return string(raw), nil
	}
	return "", errors.New(`"version" must be a text or a number`)
}

// typesOfRules are the types that a rule may have.
var typesOfRules = []inlet.Type{
	inlet.TypeTrack, inlet.TypePage, inlet.TypeScreen, inlet.TypeIdentify, inlet.TypeGroup, inlet.TypeAlias, Common,
}

// compile compiles the rules of a plan that has been read.
func (p *Plan) compile(o *LoadOptions) error {
	if o == nil {
		o = new(LoadOptions)
	}
	if len(p.rules) > maxRules {
		return fmt.Errorf("has more than %d rules", maxRules)
	}
	p.byEvent, p.types = make(map[eventKey]*family, len(p.rules)), map[inlet.Type]bool{}
	p.similar = make(map[eventKey]string, len(p.rules))
	names := make(map[string]bool, len(p.rules))
	c := schema.NewCompiler(schema.Options{Formats: o.Formats, InPieces: true})
	for i := range p.rules {
		r := &p.rules[i]
		r.Version = cmp.Or(r.Version, 1)
		if err := r.compile(c, o); err != nil {
			return fmt.Errorf("rule %d (%s): %w", i+1, strings.TrimSpace(string(r.Type)+" "+r.Event), err)
		}
		if err := p.add(r); err != nil {
			return fmt.Errorf("rule %d (%s): %w", i+1, r, err)
		}
		if names[r.name] { // modes and statistics are by this name
			return fmt.Errorf("rule %d (%s): another rule is called the same", i+1, r)
		}
		names[r.name] = true
	}
	return p.readModes()
}

// add adds a rule that has been compiled.
func (p *Plan) add(r *Rule) error {
	if r.Type == Common {
		if p.common == nil || p.common.Version < r.Version {
			p.common = r
		}
		return nil
	}
	key := eventKey{r.Type, r.Event}
	p.types[r.Type] = true
	if r.Event != "" {
		p.similar[eventKey{r.Type, folded(r.Event)}] = r.Event
	}
	p.versioned = p.versioned || r.Version > 1
	f := p.byEvent[key]
	if f == nil {
		f = new(family)
		p.byEvent[key] = f
	}
	at, found := slices.BinarySearchFunc(f.rules, r.Version, func(r *Rule, version int) int { return cmp.Compare(r.Version, version) })
	if found {
		return errors.New("there is another rule for the same event and version")
	}
	f.rules = slices.Insert(f.rules, at, r)
	return nil
}

// folded returns the beginning of a name without what people write differently: upper and lower
// case, and what is between words.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, beginning(name))
}

// maxNamed is how many characters of an event's name are looked at when it is unplanned.
const maxNamed = 100

func beginning(name string) string {
	all := []rune(name[:min(len(name), utf8.UTFMax*maxNamed)])
	return string(all[:min(len(all), maxNamed)])
}

func (r *Rule) compile(c *schema.Compiler, o *LoadOptions) error {
	switch {
	case !slices.Contains(typesOfRules, r.Type):
		return fmt.Errorf(`"type" is %q: it must be one of track, page, screen, identify, group, alias and common`, r.Type)
	case r.Event != "" && nameMember(r.Type) == "":
		return fmt.Errorf(`"event" is set: events of the type %s have no name`, r.Type)
	case r.Event == "" && r.Type == inlet.TypeTrack:
		return errors.New(`"event" is missing: the name of the event`)
	case r.Version < 1:
		return errors.New(`"version" must be 1 or more`)
	}
	r.name = string(r.Type)
	if r.Event != "" {
		r.name += " " + r.Event
	}
	if r.Version > 1 {
		r.name += fmt.Sprintf(" (version %d)", r.Version)
	}
	if len(r.Schema) == 0 {
		r.Schema = json.RawMessage("true")
	}
	compiled, err := c.Compile(r.Schema)
	var beyond *schema.Error
	if errors.As(err, &beyond) && beyond.Unsupported && o.Full != nil {
		r.full, err = o.Full.Compile(r.Schema)
		return err
	}
	if err != nil {
		return err
	}
	r.schema, r.fields = compiled, fieldsOf(compiled)
	return nil
}
