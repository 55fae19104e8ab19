package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/inlet-go/inlet"
)

// A Change is a difference between two plans.
type Change struct {
	// Breaks is set if an event that follows the old plan may violate the new one, or if a
	// violation has a more severe mode.
	Breaks bool
	// Rule is the rule, as [Rule.String] returns it, or "" for the plan as a whole.
	Rule string
	// Path is the place in the event, such as "properties.total", or "".
	Path string
	// Text is the change in words.
	Text string
}

// Diff returns what differs between two plans, in the order of the rules of the new one, those that
// only the old one has at the end. Schemas are compared keyword by keyword; where that does not
// show whether events may break, as with $ref, allOf and patterns, any difference breaks.
func Diff(before, after *Plan) []Change {
	d := new(differ)
	d.modes("", before, after, unplannedOnly)
	old := make(map[string]*Rule)
	for i := range before.rules {
		old[before.rules[i].name] = &before.rules[i]
	}
	for i := range after.rules {
		r := &after.rules[i]
		d.rule = r.name
		was := old[r.name]
		if was == nil {
			d.add(!isNew(before, r), "", "has a rule now")
			continue
		}
		delete(old, r.name)
		d.schemas("", decoded(was.Schema), decoded(r.Schema))
		d.modes(r.name, before, after, allOthers)
	}
	for i := range before.rules {
		if r := &before.rules[i]; old[r.name] == r {
			d.rule = r.name
			d.add(r.Type != Common || r == before.common && after.common != nil, "", "has no rule any more")
		}
	}
	return d.changes
}

// isNew reports whether the events of a rule were unplanned before.
func isNew(before *Plan, r *Rule) bool {
	_, planned := before.ruleFor(&inlet.Event{Type: r.Type, Name: r.Event})
	return r.Type != Common && !planned
}

// A differ collects changes.
type differ struct {
	rule    string
	changes []Change
}

func (d *differ) add(breaks bool, path, format string, args ...any) {
	d.changes = append(d.changes, Change{Breaks: breaks, Rule: d.rule, Path: path, Text: fmt.Sprintf(format, args...)})
}

var (
	unplannedOnly = []Kind{UnplannedEvent}
	allOthers     = []Kind{Required, Type, UnplannedProperty, Other}
)

// modes compares the modes of a rule.
func (d *differ) modes(rule string, before, after *Plan, kinds []Kind) {
	for _, k := range kinds {
		v := &Violation{Kind: k, Rule: rule}
		if was, is := before.Mode(v), after.Mode(v); was != is {
			d.add(is > was, "", "the mode of %s is %s, and was %s", k, is, was)
		}
	}
}

// decoded returns a schema as an object; true is an empty one, and false one that nothing follows.
func decoded(raw json.RawMessage) map[string]any {
	var value any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&value) != nil {
		return map[string]any{} // not reached: it was compiled
	}
	return schemaOf(value)
}

func schemaOf(value any) map[string]any {
	switch s := value.(type) {
	case map[string]any:
		return s
	case bool:
		if !s {
			return map[string]any{"enum": []any{}}
		}
	}
	return map[string]any{}
}

// annotations are the keywords that demand nothing, in addition to those that begin with
// "x-".
var annotations = []string{"$comment", "$id", "$schema", "title", "description", "examples", "default", "deprecated", "readOnly", "writeOnly", "definitions", "$defs"}

// bounds are the keywords with a number, each with whether a higher one is stricter.
var bounds = map[string]bool{
	"minimum": true, "exclusiveMinimum": true, "minLength": true, "minItems": true, "minProperties": true,
	"maximum": false, "exclusiveMaximum": false, "maxLength": false, "maxItems": false, "maxProperties": false,
}

// reaching are the keywords that change what others demand: in draft 07, "$ref" makes all next to
// it void, and additionalProperties or unevaluatedProperties are about what the others leave over.
var reaching = []string{"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "then", "else", "patternProperties", "dependentSchemas"}

// schemas compares two schemas for the value at a path.
func (d *differ) schemas(path string, was, is map[string]any) {
	keywords := maps.Clone(was)
	maps.Copy(keywords, is)
	for _, keyword := range slices.Sorted(maps.Keys(keywords)) {
		a, inOld := was[keyword]
		b, inNew := is[keyword]
		_, bound := bounds[keyword]
		switch {
		case slices.Contains(annotations, keyword) || strings.HasPrefix(keyword, "x-"):
			if (keyword == "definitions" || keyword == "$defs") && !same(a, b) {
				d.add(true, path, "%s differs: see what refers to it", keyword)
			}
		case keyword == "properties":
			d.properties(path, was, is)
		case keyword == "additionalProperties":
			d.additional(path, was, is)
		case keyword == "items":
			d.schemas(path+"[]", schemaOf(orTrue(a, inOld)), schemaOf(orTrue(b, inNew)))
		case same(a, b) && inOld == inNew:
		case keyword == "type":
			d.types(path, a, b)
		case keyword == "required":
			d.required(path, texts(a), texts(b))
		case keyword == "enum":
			d.enum(path, a, b, inOld, inNew)
		case bound && inOld && inNew:
			d.add(stricter(keyword, a, b), path, "%s is %v, and was %v", keyword, b, a)
		case !inNew:
			d.add(slices.Contains(reaching, keyword), path, "%s is not demanded any more", keyword)
		case !inOld:
			d.add(true, path, "%s is demanded now: %s", keyword, written(b))
		default:
			d.add(true, path, "%s differs: it is %s, and was %s", keyword, written(b), written(a))
		}
	}
}

func orTrue(schema any, given bool) any {
	if !given {
		return true
	}
	return schema
}

func same(a, b any) bool { return written(a) == written(b) }

// written returns a decoded value as JSON, in one form. It is for keywords.
func written(value any) string {
	text, err := marshal(value)
	if err != nil {
		return "" // not reached: it was decoded
	}
	return string(text)
}

// marshal returns a value as JSON for people to read: <, > and & are as they are.
func marshal(value any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte{'\n'}), nil
}

// stricter reports whether a bound admits less than before. Numbers that are too close for a
// comparison count as stricter.
func stricter(keyword string, was, is any) bool {
	a, errA := strconv.ParseFloat(fmt.Sprint(was), 64)
	b, errB := strconv.ParseFloat(fmt.Sprint(is), 64)
	if errA != nil || errB != nil || a == b {
		return true
	}
	return (b > a) == bounds[keyword]
}

// texts returns the texts in a list, or a text alone.
func texts(value any) (found []string) {
	if text, ok := value.(string); ok {
		return []string{text}
	}
	list, _ := value.([]any)
	for _, v := range list {
		if text, ok := v.(string); ok {
			found = append(found, text)
		}
	}
	return found
}

func (d *differ) types(path string, was, is any) {
	a, b := texts(was), texts(is)
	switch {
	case is == nil:
		d.add(false, path, "may have any type")
	case was == nil:
		d.add(true, path, "must be of the type %s", strings.Join(b, " or "))
	default:
		lost := func(t string) bool {
			return !slices.Contains(b, t) && (t != "integer" || !slices.Contains(b, "number"))
		}
		d.add(slices.ContainsFunc(a, lost), path, "must be of the type %s, and was %s", strings.Join(b, " or "), strings.Join(a, " or "))
	}
}

func (d *differ) required(path string, was, is []string) {
	for _, name := range is {
		if !slices.Contains(was, name) {
			d.add(true, join(path, name), "is required now")
		}
	}
	for _, name := range was {
		if !slices.Contains(is, name) {
			d.add(false, join(path, name), "is not required any more")
		}
	}
}

func (d *differ) enum(path string, was, is any, inOld, inNew bool) {
	a, _ := was.([]any)
	b, _ := is.([]any)
	lacks := func(list []any) func(any) bool {
		return func(v any) bool { return !slices.ContainsFunc(list, func(o any) bool { return same(v, o) }) }
	}
	switch {
	case !inNew:
		d.add(false, path, "may have any value")
	case !inOld:
		d.add(true, path, "must be one of %s", written(b))
	default:
		for _, v := range b {
			if lacks(a)(v) {
				d.add(false, path, "may be %s now", written(v))
			}
		}
		for _, v := range a {
			if lacks(b)(v) {
				d.add(true, path, "may not be %s any more", written(v))
			}
		}
	}
}

// properties compares the properties of objects. One that a schema does not list is as its
// additionalProperties say.
func (d *differ) properties(path string, was, is map[string]any) {
	a, _ := was["properties"].(map[string]any)
	b, _ := is["properties"].(map[string]any)
	names := maps.Clone(a)
	if names == nil {
		names = make(map[string]any)
	}
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, inOld := a[name]
		now, inNew := b[name]
		switch at := join(path, name); {
		case !inOld && closed(was):
			d.add(false, at, "is planned now")
		case !inNew && closed(is):
			d.add(true, at, "is not planned any more")
		default:
			d.schemas(at, schemaOf(orOther(old, inOld, was)), schemaOf(orOther(now, inNew, is)))
		}
	}
}

// orOther returns the schema of a property: its own, or that of all that are not listed.
func orOther(own any, listed bool, of map[string]any) any {
	if listed {
		return own
	}
	other, ok := of["additionalProperties"]
	return orTrue(other, ok)
}

// closed reports whether properties that are not listed are unplanned.
func closed(schema map[string]any) bool {
	open, ok := schema["additionalProperties"].(bool)
	return ok && !open
}

func (d *differ) additional(path string, was, is map[string]any) {
	switch {
	case closed(was) && closed(is):
	case closed(is):
		d.add(true, path, "properties that are not listed are unplanned now")
	case closed(was):
		d.add(false, path, "properties that are not listed are no longer unplanned")
	default:
		a, inOld := was["additionalProperties"]
		b, inNew := is["additionalProperties"]
		d.schemas(join(path, "*"), schemaOf(orTrue(a, inOld)), schemaOf(orTrue(b, inNew)))
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
