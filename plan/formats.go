package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/wire"
)

// segmentPlan is what Segment's APIs write. The Public API has a list of rules, below "data"; the
// older Config API has an object of them, with the plan around it.
type segmentPlan struct {
	Data        *segmentPlan    `json:"data"`
	Plan        *segmentPlan    `json:"trackingPlan"`
	Name        string          `json:"name"`
	DisplayName string          `json:"display_name"`
	UpdatedAt   string          `json:"updatedAt"`
	UpdateTime  string          `json:"update_time"`
	Rules       json.RawMessage `json:"rules"`
	Pagination  struct {
		Next string `json:"next"` // the page that follows; "" on the last one
	} `json:"pagination"`
}

type segmentRule struct {
	Type       string          `json:"type"`
	Key        string          `json:"key"`
	Version    json.RawMessage `json:"version"`
	JSONSchema json.RawMessage `json:"jsonSchema"`
}

type segmentRules struct {
	Events []struct {
		Name    string          `json:"name"`
		Version json.RawMessage `json:"version"`
		Rules   json.RawMessage `json:"rules"`
	} `json:"events"`
	Global   json.RawMessage `json:"global"`
	Identify json.RawMessage `json:"identify"`
	Group    json.RawMessage `json:"group"`
}

// Segment reads a tracking plan of Segment Protocols, as its Public API writes the rules of a plan
// ("List Rules from Tracking Plan") or as its older Config API writes a plan. What it writes in
// addition to the rules is ignored, except that there are more: a page that others follow is an
// error, since their events would be unplanned. The version of the plan is when it was updated, if
// the text says it.
func Segment(r io.Reader, o *LoadOptions) (*Plan, error) { return read(r, o, (*Plan).readSegment) }

func (p *Plan) readSegment(text []byte) error {
	var file segmentPlan
	if err := json.Unmarshal(text, &file); err != nil {
		return typeError(err)
	}
	for s := &file; s != nil; s = s.Data {
		if s.Pagination.Next != "" {
			return errors.New(`"pagination" has "next": this is one page of the rules; put those of all pages into one list "rules"`)
		}
	}
	rules := file.read(p)
	switch wire.Kind(rules) {
	case '[':
		return p.readSegmentList(rules)
	case '{':
		return p.readSegmentObject(rules)
	}
	return errors.New(`has no "rules", which are a list or an object`)
}

// read reads what is around the rules, and returns the rules.
func (s *segmentPlan) read(p *Plan) (rules json.RawMessage) {
	for ; s != nil; s = s.Data {
		for _, named := range []*segmentPlan{s, s.Plan} {
			if named == nil {
				continue
			}
			for _, name := range []string{named.DisplayName, named.Name} {
				if p.name == "" {
					p.name = name
				}
			}
			for _, version := range []string{named.UpdatedAt, named.UpdateTime} {
				if p.version == "" {
					p.version = version
				}
			}
			if rules == nil {
				rules = named.Rules
			}
		}
	}
	return rules
}

func (p *Plan) readSegmentList(rules json.RawMessage) error {
	var list []segmentRule
	if err := json.Unmarshal(rules, &list); err != nil {
		return fmt.Errorf("a rule cannot be read: %w", typeError(err))
	}
	for i, s := range list {
		r := Rule{Type: inlet.Type(strings.ToLower(s.Type)), Schema: s.JSONSchema}
		if nameMember(r.Type) != "" {
			r.Event = s.Key
		}
		if !slices.Contains(typesOfRules, r.Type) {
			return fmt.Errorf(`rule %d (%s): "type" is %q: it must be one of TRACK, IDENTIFY, GROUP, PAGE, SCREEN and COMMON`, i+1, s.Key, s.Type)
		}
		if err := p.addRead(r, s.Version); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) readSegmentObject(rules json.RawMessage) error {
	var file segmentRules
	if err := json.Unmarshal(rules, &file); err != nil {
		return fmt.Errorf("the rules cannot be read: %w", typeError(err))
	}
	for _, event := range file.Events {
		r := Rule{Type: inlet.TypeTrack, Event: event.Name, Schema: event.Rules}
		if err := p.addRead(r, event.Version); err != nil {
			return err
		}
	}
	for _, r := range []Rule{
		{Type: Common, Schema: file.Global}, {Type: inlet.TypeIdentify, Schema: file.Identify}, {Type: inlet.TypeGroup, Schema: file.Group},
	} {
		if wire.Kind(r.Schema) == '{' && !wire.EmptyObject(r.Schema) {
			p.rules = append(p.rules, r)
		}
	}
	return nil
}

// addRead adds a rule whose version is a number, or a text with one.
func (p *Plan) addRead(r Rule, version json.RawMessage) error {
	text, err := versionText(version)
	if err != nil {
		return err
	}
	if text != "" {
		if r.Version, err = strconv.Atoi(text); err != nil {
			return fmt.Errorf(`rule %d (%s %s): "version" is %q, which is not a whole number`, len(p.rules)+1, r.Type, r.Event, text)
		}
	}
	p.rules = append(p.rules, r)
	return nil
}

// rudderPlan is a plan with its events. The older Tracking Plan API has the events below "rules".
type rudderPlan struct {
	Name        string          `json:"name"`
	DisplayName string          `json:"displayName"`
	Version     json.RawMessage `json:"version"`
	Events      []rudderEvent   `json:"events"`
	Rules       *struct {
		Events []rudderEvent `json:"events"`
	} `json:"rules"`
}

type rudderEvent struct {
	Name      string          `json:"name"`
	EventType string          `json:"eventType"`
	Rules     json.RawMessage `json:"rules"`
}

// RudderStack reads a tracking plan of RudderStack with the schemas of its events, as its Data
// Catalog API or the older Tracking Plan API writes it. What it writes in addition to the
// events is ignored. An event without a type is a track event.
func RudderStack(r io.Reader, o *LoadOptions) (*Plan, error) { return read(r, o, (*Plan).readRudder) }

func (p *Plan) readRudder(text []byte) (err error) {
	var file rudderPlan
	if err := json.Unmarshal(text, &file); err != nil {
		return typeError(err)
	}
	if file.Rules != nil && file.Events == nil {
		file.Events = file.Rules.Events
	}
	if file.Events == nil {
		return errors.New(`has no list "events"`)
	}
	p.name = cmp.Or(file.DisplayName, file.Name)
	if p.version, err = versionText(file.Version); err != nil {
		return err
	}
	for i, event := range file.Events {
		r := Rule{Type: cmp.Or(inlet.Type(strings.ToLower(event.EventType)), inlet.TypeTrack), Schema: event.Rules}
		if nameMember(r.Type) != "" {
			r.Event = event.Name
		}
		if wire.Kind(r.Schema) != '{' {
			return fmt.Errorf(`event %d (%s) has no "rules": the plan must be written with the schemas of its events`, i+1, event.Name)
		}
		p.rules = append(p.rules, r)
	}
	return nil
}

// otherFormat returns whose format a JSON object looks like that is not one of this package, or "".
func otherFormat(text []byte) string {
	rules := wire.Find(text, `"rules"`)
	switch {
	case hasAny(text, `"trackingPlan"`), hasAny(wire.Find(text, `"data"`), `"rules"`, `"trackingPlan"`),
		hasAny(firstOf(rules), `"jsonSchema"`), hasAny(rules, `"global"`, `"identify"`, `"group"`):
		return "Segment"
	case hasAny(rules, `"events"`), wire.Kind(wire.Find(text, `"events"`)) == '[':
		return "RudderStack"
	}
	return ""
}

// firstOf returns the first element of a list, or nil.
func firstOf(list []byte) []byte {
	if wire.Kind(list) == '[' {
		for element := range wire.Elements(list) {
			return element
		}
	}
	return nil
}

// hasAny reports whether a value is an object that has one of some members, by their quoted names.
func hasAny(value []byte, names ...string) bool {
	return wire.Kind(value) == '{' && slices.ContainsFunc(names, func(name string) bool { return wire.Find(value, name) != nil })
}

// pathOfVersion is where an event names the version of its rule. The place is Segment's.
const pathOfVersion = "context.protocols.event_version"

// versionOf returns the version of its rule that an event names, or 0.
func versionOf(context []byte) int {
	raw := find(find(context, "protocols"), "event_version")
	raw = bytes.Trim(raw, `"`)
	if len(raw) > 9 {
		return 0
	}
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < 0 {
		return 0
	}
	return n
}
