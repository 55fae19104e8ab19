package plan

import "fmt"

// A Kind is what a violation is about.
type Kind uint8

// The kinds of violations. The comment of each has its name.
const (
	// UnplannedEvent: the plan has no rule for the event ("unplanned_event").
	UnplannedEvent Kind = iota + 1
	// Required: something is missing that the event must have ("required").
	Required
	// Type: a value has another type ("type").
	Type
	// UnplannedProperty: the event has something that it may not have ("unplanned_property").
	UnplannedProperty
	// Other: a value of the right type is not one that it may be ("other").
	Other
)

var kindNames = [...]string{
	UnplannedEvent: "unplanned_event", Required: "required", Type: "type",
	UnplannedProperty: "unplanned_property", Other: "other",
}

// String returns the name of the kind, or "" for one that does not exist.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return ""
}

// A Violation is a demand of a plan that an event does not meet. It shares no memory with the
// event.
type Violation struct {
	// Kind is what it is about.
	Kind Kind
	// Path is where it is in the event: "properties.products[2].price". At most 200 characters.
	Path string
	// Rule is the rule that demands it, as [Rule.String] returns it, or "" for an unplanned event.
	Rule string
	// Keyword is the keyword of the schema that demands it: "type". "" for an unplanned event.
	Keyword string
	// Expected is what the value must be, in words: "a number". "" if nothing may be there, or if
	// what is missing may be anything. For an unplanned event it is the name of one in the plan
	// that is written differently, the newest version if the plan has others, or "".
	Expected string
	// Found is what it is, in words, with the beginning of it: `the text "12"`. "" if it is
	// missing.
	Found string
}

// Message returns the violation as a sentence.
func (v *Violation) Message() string {
	path := v.Path
	if path == "" {
		path = "the event"
	}
	switch {
	case v.Kind == UnplannedEvent && v.Expected != "":
		return fmt.Sprintf("%s is not in the plan, which has %s", v.Found, v.Expected)
	case v.Kind == UnplannedEvent:
		return v.Found + " is not in the plan"
	case v.Kind == Required && v.Expected == "":
		return path + " is missing"
	case v.Kind == Required:
		return fmt.Sprintf("%s is missing: it must be %s", path, v.Expected)
	case v.Kind == UnplannedProperty:
		return fmt.Sprintf("%s is not in the plan: it is %s", path, v.Found)
	}
	return fmt.Sprintf("%s must be %s, but it is %s", path, v.Expected, v.Found)
}
