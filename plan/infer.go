package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/wire"
)

// What an [Inference] keeps at most. What is beyond is counted in Beyond, or left open in the plan.
const (
	maxInferredRules   = 1000
	maxInferredMembers = 200
	maxInferredDepth   = 6
	maxInferredPlaces  = 50_000 // of all rules
	maxPlacesOfRule    = 10_000 // a schema has at most 20,000
	maxNameBytes       = 1 << 10
	maxInferredTexts   = 10 // of a string, before it is no candidate for an enum
	maxExamples        = 3
	maxExampleBytes    = 60
	minForEnum         = 20 // events
)

// An Inference makes a first plan from events: which there are, their members, and of what type
// each is. Such a plan is to be edited by somebody who knows what the events mean. The zero value
// has seen nothing. Its memory is bounded, however many events there are. It must not be used
// concurrently.
type Inference struct {
	// NoExamples leaves out texts and numbers of events, for a plan that is passed on. Texts that
	// look like e-mail addresses are always left out. Defaults to false.
	NoExamples bool

	rules  map[inferredRule]*inferredEvent
	places int // of all rules
	events uint64
	beyond uint64
}

// An inferredEvent is what the events of a rule look like.
type inferredEvent struct {
	shape
	places int // below it
}

// An inferredRule is what has a rule: a call, and the event of a track call.
type inferredRule struct {
	call inlet.Type
	name string
}

// Add adds what an event shows. It keeps nothing of e. An event of a type that no rule can be for,
// or a track event without a name or with a very long one, counts in Beyond.
func (i *Inference) Add(e *inlet.Event) {
	i.events++
	if e.Type == Common || !slices.Contains(typesOfRules, e.Type) || e.Type == inlet.TypeTrack && (e.Name == "" || len(e.Name) > maxNameBytes) {
		i.beyond++
		return
	}
	key := inferredRule{call: e.Type}
	if e.Type == inlet.TypeTrack {
		key.name = e.Name
	}
	content := e.Properties
	if contentOf(e.Type) == canonical.Traits {
		content = e.Traits
	}
	s := i.rules[key]
	if s == nil {
		if len(i.rules) == maxInferredRules {
			i.beyond++
			return
		}
		if i.rules == nil {
			i.rules = make(map[inferredRule]*inferredEvent)
		}
		s = new(inferredEvent)
		key.name = strings.Clone(key.name)
		i.rules[key] = s
	}
	raw := wire.Trim(content)
	if wire.Kind(raw) != '{' {
		raw = emptyObject
	}
	room := min(maxInferredPlaces-i.places, maxPlacesOfRule-s.places)
	left := room
	s.add(raw, 0, &left)
	i.places += room - left
	s.places += room - left
}

// contentOf returns the member of an event that a rule is mostly about.
func contentOf(call inlet.Type) string {
	if call == inlet.TypeIdentify || call == inlet.TypeGroup {
		return canonical.Traits
	}
	return canonical.Properties
}

// Events returns how many events were added.
func (i *Inference) Events() uint64 { return i.events }

// Beyond returns how many events have no rule: there are too many different ones, or no rule can be
// for them.
func (i *Inference) Beyond() uint64 { return i.beyond }

// A shape is what values at one place look like.
type shape struct {
	seen    int
	types   [len(typeNames)]int
	members map[string]*shape // of objects
	open    bool              // there are too many members, or they are too deep, to list them
	items   *shape            // of arrays
	texts   map[string]int    // distinct strings
	many    bool              // there are too many distinct strings
	numbers []string          // examples
}

// The types of values, in the order in which a schema lists them.
const (
	isString = iota
	isInteger
	isNumber
	isBoolean
	isObject
	isArray
	isNull
)

var typeNames = [...]string{"string", "integer", "number", "boolean", "object", "array", "null"}

// add adds a valid value. room is how many more places there may be.
func (s *shape) add(value []byte, depth int, room *int) {
	s.seen++
	switch wire.Kind(value) {
	case '"':
		s.types[isString]++
		s.addText(value)
	case 't', 'f':
		s.types[isBoolean]++
	case 'n':
		s.types[isNull]++
	case '{':
		s.types[isObject]++
		s.addObject(value, depth, room)
	case '[':
		s.types[isArray]++
		s.addArray(value, depth, room)
	default:
		s.addNumber(value)
	}
}

func (s *shape) addText(value []byte) {
	if s.many {
		return
	}
	if len(value) > maxExampleBytes {
		s.many = true
		return
	}
	text := wire.Text(value)
	if s.texts[text] == 0 && len(s.texts) == maxInferredTexts {
		s.many = true
		return
	}
	if s.texts == nil {
		s.texts = make(map[string]int)
	}
	s.texts[text]++
}

func (s *shape) addNumber(value []byte) {
	if bytes.ContainsAny(value, ".eE") {
		s.types[isNumber]++
	} else {
		s.types[isInteger]++
	}
	if len(s.numbers) < maxExamples && len(value) <= maxExampleBytes && !slices.Contains(s.numbers, string(value)) {
		s.numbers = append(s.numbers, string(value))
	}
}

func (s *shape) addArray(value []byte, depth int, room *int) {
	if depth == maxInferredDepth {
		s.open = true
		return
	}
	if s.items == nil {
		if *room <= 0 {
			s.open = true
			return
		}
		*room--
		s.items = new(shape)
	}
	for element := range wire.Elements(value) {
		s.items.add(element, depth+1, room)
	}
}

func (s *shape) addObject(value []byte, depth int, room *int) {
	if depth == maxInferredDepth {
		s.open = true
		return
	}
	for w := wire.Walk(value); w.Next(); {
		name := wire.Text(w.Name)
		m := s.members[name]
		if m == nil {
			if len(s.members) == maxInferredMembers || len(name) > maxExampleBytes || *room <= 0 {
				s.open = true
				continue
			}
			*room--
			if s.members == nil {
				s.members = make(map[string]*shape)
			}
			m = new(shape)
			s.members[name] = m
		}
		m.add(w.Value, depth+1, room)
	}
}

// isEnum reports whether the strings may be those of a closed list: few, and each of them often.
func (s *shape) isEnum() bool {
	n := s.types[isString]
	return !s.many && n >= minForEnum && len(s.texts) >= 2 && n >= 5*len(s.texts) && !slices.ContainsFunc(slices.Collect(maps.Keys(s.texts)), isPersonal)
}

// isPersonal reports whether a text looks like an e-mail address.
func isPersonal(text string) bool { return strings.Contains(text, "@") }

// An object is a JSON object whose members stay in their order.
type object []json.RawMessage

func (o *object) set(name string, value any) {
	text, err := marshal(value)
	if err != nil {
		panic(err) // only strings, numbers and lists of them are written
	}
	*o = append(*o, append(wire.AppendString(nil, name), append([]byte{':'}, text...)...))
}

// MarshalJSON returns the object.
func (o object) MarshalJSON() ([]byte, error) {
	return append(append([]byte{'{'}, bytes.Join(asBytes(o), []byte{','})...), '}'), nil
}

func asBytes(o object) [][]byte {
	out := make([][]byte, len(o))
	for i := range o {
		out[i] = o[i]
	}
	return out
}

// schema returns the schema of the values of a place that seen values of its parent have.
func (i *Inference) schema(s *shape) object {
	var o object
	o.set("type", s.typeList())
	if s.isEnum() && !i.NoExamples {
		o.set("$comment", fmt.Sprintf("a list? %d values in %d events: rename examples to enum if there are no others", len(s.texts), s.types[isString]))
	}
	if examples := s.examples(); len(examples) > 0 && !i.NoExamples {
		o.set("examples", examples)
	}
	if s.types[isObject] > 0 && len(s.members) > 0 {
		var members object
		var required []string
		for _, name := range slices.Sorted(maps.Keys(s.members)) {
			members.set(name, i.schema(s.members[name]))
			if s.members[name].seen >= s.types[isObject] {
				required = append(required, name)
			}
		}
		o.set("properties", members)
		if len(required) > 0 {
			o.set("required", required)
		}
	}
	if s.types[isObject] > 0 && !s.open {
		o.set("additionalProperties", false)
	}
	if s.items != nil && s.items.seen > 0 {
		o.set("items", i.schema(s.items))
	}
	return o
}

// typeList returns the type of a schema: a name, or a list of names.
func (s *shape) typeList() any {
	var names []string
	for t, n := range s.types {
		if n > 0 && (t != isInteger || s.types[isNumber] == 0) {
			names = append(names, typeNames[t])
		}
	}
	if len(names) == 1 {
		return names[0]
	}
	return names
}

// examples returns values: all strings of a candidate for an enum, or some.
func (s *shape) examples() []json.RawMessage {
	var examples []json.RawMessage
	texts := slices.Sorted(maps.Keys(s.texts))
	slices.SortStableFunc(texts, func(a, b string) int { return cmp.Compare(s.texts[b], s.texts[a]) })
	for _, text := range texts {
		if (len(examples) < maxExamples || s.isEnum()) && !isPersonal(text) && utf8.ValidString(text) {
			examples = append(examples, wire.AppendString(nil, text))
		}
	}
	for _, number := range s.numbers {
		if len(examples) < maxExamples {
			examples = append(examples, json.RawMessage(number))
		}
	}
	return examples
}

// JSON returns the plan, in the format of [Load], indented. Nothing in it has a mode, so all
// violations are observed.
func (i *Inference) JSON(name, version string) []byte {
	keys := slices.SortedFunc(maps.Keys(i.rules), func(a, b inferredRule) int {
		return cmp.Or(cmp.Compare(a.call, b.call), cmp.Compare(a.name, b.name))
	})
	rules := []object{}
	for _, key := range keys {
		s := i.rules[key]
		var rule object
		rule.set("type", key.call)
		if key.name != "" {
			rule.set("event", key.name)
		}
		rule.set("description", "seen "+strconv.Itoa(s.seen)+" times")
		var event, members object
		members.set(contentOf(key.call), i.schema(&s.shape))
		event.set("type", "object")
		event.set("properties", members)
		rule.set("schema", event)
		rules = append(rules, rule)
	}
	var o object
	o.set("name", name)
	o.set("version", version)
	o.set("rules", rules)
	var out bytes.Buffer
	text, err := marshal(o)
	if err == nil {
		err = json.Indent(&out, text, "", "\t")
	}
	if err != nil {
		panic(err) // it is made here
	}
	return append(out.Bytes(), '\n')
}
