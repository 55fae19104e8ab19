package plan

import (
	"strconv"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/schema"
	"github.com/inlet-go/inlet/internal/wire"
)

// maxViolations is how many violations of an event are found at most.
const maxViolations = 20

// Check appends what violates the plan in an event to into, at most 20 violations, and returns the
// extended slice. An event whose type has no rule in the plan is compared with the common rule
// only; one whose type has rules, but none for its name or version, is unplanned, and so is each
// track event that no rule is for.
//
// It takes time linear in the size of the event, and allocates nothing if the event violates
// nothing. Neither holds for a rule that [LoadOptions.Full] has compiled.
func (p *Plan) Check(e *inlet.Event, into []Violation) []Violation {
	most := len(into) + maxViolations
	rule, planned := p.ruleFor(e)
	if !planned {
		into = append(into, p.unplanned(e))
	}
	if p.common != nil {
		into = p.common.check(e, into, most)
	}
	if rule != nil {
		into = rule.check(e, into, most)
	}
	return into
}

// hasName reports whether the plan has a rule with the name of an event, or the event has none.
func (p *Plan) hasName(e *inlet.Event) bool {
	return nameMember(e.Type) == "" || e.Name == "" || p.byEvent[eventKey{e.Type, e.Name}] != nil
}

// familyFor returns the rules for an event, of all versions, or nil.
func (p *Plan) familyFor(e *inlet.Event) *family {
	key := eventKey{eventType: e.Type}
	if nameMember(e.Type) != "" {
		key.event = e.Name
	}
	f := p.byEvent[key]
	if f == nil && key.event != "" && e.Type != inlet.TypeTrack {
		f = p.byEvent[eventKey{eventType: e.Type}]
	}
	return f
}

// ruleFor returns the rule for an event, or nil. planned is false if there should be one.
func (p *Plan) ruleFor(e *inlet.Event) (rule *Rule, planned bool) {
	f := p.familyFor(e)
	if f == nil {
		return nil, !p.types[e.Type] && e.Type != inlet.TypeTrack
	}
	if p.versioned {
		if version := versionOf(e.Context); version != 0 {
			for _, r := range f.rules {
				if r.Version == version {
					return r, true
				}
			}
			return nil, false
		}
	}
	return f.newest(), true
}

// find returns the value of a member of an object of an event, or nil. A host may give an object
// that is not valid JSON.
func find(object []byte, name string) []byte {
	r := wire.NewReader(object)
	if r.Kind() != '{' {
		return nil
	}
	for more := r.Enter(); more; more = r.More() {
		inner, escaped := r.Name()
		start := r.Offset()
		r.Skip()
		if string(inner) == name || escaped && isWritten(inner, name) {
			return r.Since(start)
		}
	}
	return nil
}

// isWritten reports whether a text with escapes is a short name.
func isWritten(inner []byte, name string) bool {
	const longest = len(`\u0000`) // of a character
	var scratch [128]byte
	return len(inner) <= longest*len(name) && string(wire.AppendUnescaped(scratch[:0], inner)) == name
}

// unplanned returns the violation of an event that no rule is for.
func (p *Plan) unplanned(e *inlet.Event) Violation {
	v := Violation{Kind: UnplannedEvent, Path: canonical.Type, Found: string(e.Type)}
	path := nameMember(e.Type)
	if path != "" {
		v.Path, v.Found = path, v.Found+" "+strconv.Quote(beginning(e.Name))
	}
	if f := p.familyFor(e); f != nil {
		v.Path, v.Found = pathOfVersion, "version "+strconv.Itoa(versionOf(e.Context))+" of "+v.Found
		v.Expected = "version " + strconv.Itoa(f.newest().Version)
		return v
	}
	if path == "" {
		return v
	}
	if event := p.similar[eventKey{e.Type, folded(e.Name)}]; event != "" && event != e.Name {
		v.Expected = strconv.Quote(beginning(event))
	}
	return v
}

// check appends what violates the rule, up to a number of violations.
func (r *Rule) check(e *inlet.Event, into []Violation, most int) []Violation {
	if len(into) >= most {
		return into
	}
	if r.full != nil {
		return r.checkFull(e, into, most)
	}
	c := schema.NewChecker(most - len(into))
	defer c.Release()
	if !c.Begin(r.schema) {
		return r.violations(c, into)
	}
	for i := range r.fields {
		f := &r.fields[i]
		if value := f.value(e, c); value != nil {
			c.Member(&f.member, value)
		}
	}
	if len(e.Extra) > 0 {
		c.Members(r.schema, e.Extra)
	}
	c.End(r.schema)
	return r.violations(c, into)
}

// checkFull is check for a schema that is not compiled here.
func (r *Rule) checkFull(e *inlet.Event, into []Violation, most int) []Violation {
	whole := *e
	if has := about(e.Type); has == fieldProperties && len(e.Properties) == 0 {
		whole.Properties = emptyObject
	} else if has == fieldTraits && len(e.Traits) == 0 {
		whole.Traits = emptyObject
	}
	from := len(into)
	into = r.full.Check(whole.AppendJSON(nil), into)
	into = into[:min(len(into), most)]
	for i := range into[from:] {
		into[from+i].Rule = r.name
	}
	return into
}

// violations appends what a checker has found.
func (r *Rule) violations(c *schema.Checker, into []Violation) []Violation {
	for i := range c.Faults {
		f := &c.Faults[i]
		into = append(into, Violation{kindOfFault[f.Kind], f.Path, r.name, f.Keyword, f.Expected, f.Found})
	}
	return into
}

var kindOfFault = [...]Kind{
	schema.Required: Required, schema.Type: Type, schema.Unplanned: UnplannedProperty, schema.Other: Other,
}

// A field is a member of the canonical form that a field of an event holds.
type field uint8

const (
	fieldType field = iota
	fieldEvent
	fieldName
	fieldMessageID
	fieldUserID
	fieldAnonymousID
	fieldPreviousID
	fieldGroupID
	fieldTimestamp
	fieldOriginalTimestamp
	fieldSentAt
	fieldReceivedAt
	fieldSourceID
	fieldDialect
	fieldProperties
	fieldTraits
	fieldContext
	fieldIntegrations
)

// fieldNames are the names of the members.
var fieldNames = [...]string{
	fieldType: canonical.Type, fieldEvent: canonical.Event, fieldName: canonical.Name, fieldMessageID: canonical.MessageID,
	fieldUserID: canonical.UserID, fieldAnonymousID: canonical.AnonymousID, fieldPreviousID: canonical.PreviousID,
	fieldGroupID: canonical.GroupID, fieldTimestamp: canonical.Timestamp, fieldOriginalTimestamp: canonical.OriginalTimestamp,
	fieldSentAt: canonical.SentAt, fieldReceivedAt: canonical.ReceivedAt, fieldSourceID: canonical.SourceID,
	fieldDialect: canonical.Dialect, fieldProperties: canonical.Properties, fieldTraits: canonical.Traits,
	fieldContext: canonical.Context, fieldIntegrations: canonical.Integrations,
}

// A plannedField is a field of which a rule demands something.
type plannedField struct {
	field  field
	member schema.Member
}

// fieldsOf returns the fields of which a schema demands something. What every event has is not a
// member that others are not allowed to be, unless the schema names it.
func fieldsOf(s *schema.Schema) (fields []plannedField) {
	for i, name := range fieldNames {
		f := plannedField{field: field(i)}
		var planned bool
		f.member, planned = s.Member(name)
		if planned && (f.member.Named() || f.field == fieldProperties || f.field == fieldTraits) {
			fields = append(fields, f)
		}
	}
	return fields
}

var emptyObject = []byte("{}")

// value returns the JSON of the field, valid until the next call, or nil if the event has none.
func (f *plannedField) value(e *inlet.Event, c *schema.Checker) []byte {
	switch f.field {
	case fieldProperties:
		return f.object(e.Properties, e)
	case fieldTraits:
		return f.object(e.Traits, e)
	case fieldContext:
		return f.object(e.Context, e)
	case fieldIntegrations:
		return f.object(e.Integrations, e)
	case fieldTimestamp:
		return quoteTime(c, e.Timestamp)
	case fieldOriginalTimestamp:
		return quoteTime(c, e.OriginalTimestamp)
	case fieldSentAt:
		return quoteTime(c, e.SentAt)
	case fieldReceivedAt:
		return quoteTime(c, e.ReceivedAt)
	}
	text := f.text(e)
	if text == "" {
		return nil
	}
	c.Buffer = wire.AppendString(c.Buffer[:0], text)
	return c.Buffer
}

// object returns an object of an event, or an empty one if it has none and its type is about it.
func (f *plannedField) object(raw []byte, e *inlet.Event) []byte {
	if len(raw) == 0 && f.field == about(e.Type) && f.member.Named() {
		return emptyObject
	}
	if len(raw) == 0 {
		return nil
	}
	return raw
}

// about returns the object that events of a type are about. An event that has none is compared as
// if that were empty.
func about(t inlet.Type) field {
	switch t {
	case inlet.TypeTrack, inlet.TypePage, inlet.TypeScreen:
		return fieldProperties
	case inlet.TypeIdentify, inlet.TypeGroup:
		return fieldTraits
	}
	return fieldType
}

func quoteTime(c *schema.Checker, t time.Time) []byte {
	if t.IsZero() {
		return nil
	}
	c.Buffer = append(t.AppendFormat(append(c.Buffer[:0], '"'), time.RFC3339Nano), '"')
	return c.Buffer
}

// text returns the field if it is a text.
func (f *plannedField) text(e *inlet.Event) string {
	switch f.field {
	case fieldType:
		return string(e.Type)
	case fieldEvent:
		if e.Type == inlet.TypeTrack {
			return e.Name
		}
	case fieldName:
		if e.Type == inlet.TypePage || e.Type == inlet.TypeScreen {
			return e.Name
		}
	case fieldMessageID:
		return e.MessageID
	case fieldUserID:
		return e.UserID
	case fieldAnonymousID:
		return e.AnonymousID
	case fieldPreviousID:
		return e.PreviousID
	case fieldGroupID:
		return e.GroupID
	case fieldSourceID:
		if e.Source != nil {
			return e.Source.ID
		}
	case fieldDialect:
		return e.Dialect
	}
	return ""
}

// nameMember returns the member that holds the name of events of a type, "" for types without.
func nameMember(t inlet.Type) string { return canonical.NameMember(string(t)) }
