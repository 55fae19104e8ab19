package plan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/plan"
)

const shop = `{
  "name": "shop", "version": "2026-11",
  "rules": [
    {"type": "track", "event": "Order Completed", "schema": {
      "type": "object",
      "properties": {"properties": {
        "type": "object",
        "required": ["order_id", "total"],
        "properties": {
          "order_id": {"type": "string"},
          "total": {"type": "number", "minimum": 0},
          "products": {"type": "array", "items": {"properties": {"price": {"type": ["number", "null"]}}}}
        },
        "additionalProperties": false
      }}
    }},
    {"type": "identify", "schema": {"properties": {"traits": {"properties": {"plan": {"enum": ["free", "pro"]}}}}}}
  ]
}`

func load(t testing.TB, text string) *plan.Plan {
	t.Helper()
	p, err := plan.Load(strings.NewReader(text), nil)
	require.NoError(t, err)
	return p
}

func TestCheck(t *testing.T) {
	t.Parallel()
	p := load(t, shop)
	require.Equal(t, "shop", p.Name())
	require.Equal(t, "2026-11", p.Version())
	for _, c := range []struct {
		name     string
		event    inlet.Event
		messages []string
	}{
		{"an event of the plan", inlet.Event{Type: "track", Name: "Order Completed", Properties: raw(`{"order_id":"1","total":1}`)}, nil},
		{"another type", inlet.Event{Type: "track", Name: "Order Completed", Properties: raw(`{"order_id":"1","total":"12"}`)},
			[]string{`properties.total must be a number, but it is the text "12"`}},
		{"a missing property", inlet.Event{Type: "track", Name: "Order Completed", Properties: raw(`{"total":-1}`)},
			[]string{`properties.total must be at least 0, but it is the number -1`, `properties.order_id is missing: it must be a text`}},
		{"no properties", inlet.Event{Type: "track", Name: "Order Completed"},
			[]string{`properties.order_id is missing: it must be a text`, `properties.total is missing: it must be a number`}},
		{"an unplanned property", inlet.Event{Type: "track", Name: "Order Completed", Properties: raw(`{"order_id":"1","total":1, "tot\u0061l2" : [1]}`)},
			[]string{`properties.total2 is not in the plan: it is a list`}},
		{"an unplanned event", inlet.Event{Type: "track", Name: "Order Complete"}, []string{`track "Order Complete" is not in the plan`}},
		{"in a list", inlet.Event{Type: "track", Name: "Order Completed", Properties: raw(`{"order_id":"1","total":1,"products":[{},{"price":true}]}`)},
			[]string{`properties.products[1].price must be a number or null, but it is true`}},
		{"an identify event", inlet.Event{Type: "identify", Traits: raw(`{"plan":"gold"}`)},
			[]string{`traits.plan must be "free" or "pro", but it is the text "gold"`}},
		{"a type without rules", inlet.Event{Type: "page", Name: "Home"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var messages []string
			for _, v := range p.Check(&c.event, nil) {
				messages = append(messages, v.Message())
			}
			require.Equal(t, c.messages, messages)
		})
	}
}

// The root of a schema is about the fields of an event.
func TestRoot(t *testing.T) {
	t.Parallel()
	track := inlet.Event{
		Type: "track", Name: "e", MessageID: "m", UserID: "u", ReceivedAt: time.Unix(1e9, 0).UTC(), Source: &inlet.Source{ID: "web"},
		Context: raw(`{"ip":"1"}`), Extra: raw(`{"channel":"web"}`),
	}
	identify := inlet.Event{Type: "identify", MessageID: "m", AnonymousID: "a\"b"}
	for _, c := range []struct {
		name, rule string
		event      inlet.Event
		messages   []string
	}{
		{"ids", `{"type":"track","event":"e","schema":{"required":["userId","anonymousId"],"properties":{"userId":{"type":"string","minLength":2}}}}`, track,
			[]string{`userId must be a text of at least 2 characters, but it is the text "u"`, "anonymousId is missing"}},
		{"what every event has is not unplanned", `{"type":"track","event":"e","schema":{"properties":{"channel":true},"additionalProperties":false}}`, track, nil},
		{"what the client has added may be", `{"type":"track","event":"e","schema":{"properties":{"properties":{}},"additionalProperties":false}}`, track,
			[]string{`channel is not in the plan: it is the text "web"`}},
		{"traits that are not in the plan", `{"type":"track","event":"e","schema":{"properties":{"properties":{}},"additionalProperties":false}}`,
			inlet.Event{Type: "track", Name: "e", Traits: raw(`{}`)}, []string{`traits is not in the plan: it is an object`}},
		{"times", `{"type":"common","schema":{"required":["timestamp"],"properties":{"receivedAt":{"const":"2001-09-09T01:46:40Z"}}}}`, track, []string{`track "e" is not in the plan`, "timestamp is missing"}},
		{"the name", `{"type":"common","schema":{"required":["event"],"properties":{"event":{"pattern":"^[A-Z]"}}}}`, track,
			[]string{`track "e" is not in the plan`, `event must be a text that matches the pattern ^[A-Z], but it is the text "e"`}},
		{"of an event without a name", `{"type":"common","schema":{"required":["name"]}}`, identify, []string{"name is missing"}},
		{"a text with escapes", `{"type":"identify","schema":{"properties":{"anonymousId":{"const":"a\"b"}}}}`, identify, nil},
		{"the source and the type", `{"type":"track","event":"e","schema":{"properties":{"sourceId":{"const":"app"},"type":{"const":"track"}}}}`, track, []string{`sourceId must be "app", but it is the text "web"`}},
		{"no traits", `{"type":"identify","schema":{"required":["traits"],"properties":{"traits":{"required":["email"]}}}}`, identify, []string{"traits.email is missing"}},
		{"no event", `{"type":"identify","schema":false}`, identify, []string{"the event is not in the plan: it is an object"}},
		{"nothing", `{"type":"identify"}`, identify, nil},
		{"any page", `{"type":"page","schema":{"properties":{"name":{"const":"Home"}}}}`, inlet.Event{Type: "page", Name: "Shop"}, []string{`name must be "Home", but it is the text "Shop"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.messages, messagesOf(load(t, `{"rules":[`+c.rule+`]}`), &c.event))
		})
	}
}

// Events that no rule is for are unplanned if their type has rules, or is track.
func TestUnplanned(t *testing.T) {
	t.Parallel()
	p := load(t, `{"rules":[{"type":"page","event":"Home"},{"type":"screen"},{"type":"screen","event":"Cart","schema":{"properties":{"properties":{"required":["n"]}}}}]}`)
	for _, c := range []struct {
		event    inlet.Event
		messages []string
	}{
		{inlet.Event{Type: "track", Name: "e\n"}, []string{`track "e\n" is not in the plan`}},
		{inlet.Event{Type: "page", Name: "Home"}, nil},
		{inlet.Event{Type: "page", Name: "Shop"}, []string{`page "Shop" is not in the plan`}},
		{inlet.Event{Type: "page"}, []string{`page "" is not in the plan`}},
		{inlet.Event{Type: "screen", Name: "Any"}, nil},
		{inlet.Event{Type: "screen", Name: "Cart"}, []string{"properties.n is missing"}},
		{inlet.Event{Type: "group"}, nil},
	} {
		require.Equal(t, c.messages, messagesOf(p, &c.event))
	}
	v := p.Check(&inlet.Event{Type: "track", Name: strings.Repeat("é", 10_000)}, nil)
	require.Len(t, v, 1)
	require.Equal(t, "event", v[0].Path)
	require.Less(t, len(v[0].Message()), 300)
	require.Equal(t, "unplanned_event", v[0].Kind.String())
}

// Errors name the rule, the keyword and its place.
func TestLoadErrors(t *testing.T) {
	t.Parallel()
	for text, reason := range map[string]string{
		`[]`:                        "plan: must be a JSON object",
		`{"rules":[]} x`:            "plan: must be a JSON object",
		`{"rules":[],"rules":[]}`:   "plan: must be a JSON object",
		`{"Rules":[]}`:              `plan: the plan has a member "Rules"; it may have name, version, description, rules, modes`,
		`{}`:                        `plan: has no list "rules"`,
		`{"name":"a","rules":null}`: `plan: has no list "rules"`,
		`{"rules":{}}`:              `plan: "rules" must not be a JSON object`,
		`{"rules":[1]}`:             `plan: rule 1 is not an object`,
		`{"rules":[{"type":"group"},{"type":1}]}`:                    `plan: rule 2: "type" must not be a JSON number`,
		`{"rules":[{"type":"group"},{"type":"page","version":"2"}]}`: `plan: rule 2: "version" must not be a JSON string`,
		`{"version":[]}`:                                                               `"version" must be a text or a number`,
		`{"rules":[{"kind":"a"}]}`:                                                     `plan: rule 1 has a member "kind"`,
		`{"rules":[{"type":"a"}]}`:                                                     `plan: rule 1 (a): "type" is "a"`,
		`{"rules":[{"event":"a"}]}`:                                                    `plan: rule 1 (a): "type" is ""`,
		`{"rules":[{"type":"track"}]}`:                                                 `rule 1 (track): "event" is missing`,
		`{"rules":[{"type":"group","event":"a"}]}`:                                     `"event" is set: events of the type group have no name`,
		`{"rules":[{"type":"group","version":-1}]}`:                                    `"version" must be 1 or more`,
		`{"rules":[{"type":"group"},{"type":"group","version":1}]}`:                    `rule 2 (group): there is another rule for the same event and version`,
		`{"rules":[{"type":"group","schema":{"properties":{"traits":{"oneOf":[]}}}}]}`: `rule 1 (group): /properties/traits/oneOf is not supported`,
		`{"rules":[{"type":"track","event":"e"},{"type":"track","event":"f","schema":{"minimum":"3"}}]}`:           `rule 2 (track f): /minimum must be a number`,
		`{"rules":[{"type":"group","schema":{"const":{}}}]}`:                                                       `rule 1 (group): /const is not supported at the root`,
		`{"rules":[{"type":"group","schema":{"enum":[]}}]}`:                                                        `rule 1 (group): /enum is not supported at the root`,
		`{"rules":[{"type":"group","schema":{"allOf":[{"minProperties":9}]}}]}`:                                    `rule 1 (group): /allOf/0/minProperties is not supported at the root`,
		`{"rules":[{"type":"group","schema":{"$ref":"#/definitions/a","definitions":{"a":{"maxProperties":1}}}}]}`: `rule 1 (group): /definitions/a/maxProperties is not supported at the root`,
	} {
		_, err := plan.Load(strings.NewReader(text), nil)
		require.ErrorContains(t, err, reason, "%s", text)
	}
	load(t, `{"rules":[{"type":"group","schema":{"properties":{"traits":{"minProperties":1}}}}]}`)
	_, err := plan.Load(strings.NewReader(`{"rules":[{"type":"common"},{"type":"common","modes":"reject"}]}`), nil)
	require.ErrorContains(t, err, "rule 2 (common): another rule is called the same")
	_, err = plan.Load(strings.NewReader(`{"rules":[{"type":"track","event":"a (version 2)"},{"type":"track","event":"a","version":2}]}`), nil)
	require.ErrorContains(t, err, "rule 2 (track a (version 2)): another rule is called the same")
	spaced := load(t, `{"rules":[{"type":"track","event":"a"},{"type":"track","event":"a ","modes":"reject","schema":{"required":["userId"]}}]}`)
	require.Equal(t, plan.Observe, spaced.Mode(&plan.Violation{Kind: plan.Required, Rule: "track a"}))
	_, err = plan.Load(iotest.ErrReader(errors.New("broken")), nil)
	require.ErrorContains(t, err, "broken")
}

// An event that violates nothing costs no memory, and one that violates much is bounded.
func TestAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	p, e := load(t, tenProperties), ordinary()
	require.Zero(t, testing.AllocsPerRun(200, func() {
		if p.Check(e, nil) != nil {
			panic("a violation")
		}
	}))
}

func TestBounded(t *testing.T) {
	t.Parallel()
	p := load(t, `{"rules":[{"type":"common","schema":{"additionalProperties":false}},{"type":"track","event":"e","schema":{"properties":{"properties":{"additionalProperties":{"type":"null"}}}}}]}`)
	var members []string
	for i := range 1_000 {
		members = append(members, fmt.Sprintf(`"%d":1`, i))
	}
	object := raw("{" + strings.Join(members, ",") + "}")
	before := []plan.Violation{{Path: "before"}}
	require.Len(t, p.Check(&inlet.Event{Type: "track", Name: "e", Properties: object}, before), 1+20)
	require.Len(t, p.Check(&inlet.Event{Type: "track", Name: "e", Extra: object, Properties: object}, before), 1+20)
	require.Len(t, p.Check(&inlet.Event{Type: "track", Name: "f", Extra: object}, nil), 20)
}

// Events of a host that are not JSON give some answer.
func TestBroken(t *testing.T) {
	t.Parallel()
	segmentPlan, err := segment(segmentRules)
	require.NoError(t, err)
	whole := `{"library":{"name":"sdk\"","version":"1"},"protocols":{"event_version":"12"},"\u0061":["x",{"b":1.5e7}]}`
	for i := range len(whole) {
		broken := raw(whole[:i])
		e := &inlet.Event{Type: "track", Name: "Order Completed", Context: broken, Properties: broken, Extra: broken}
		for _, p := range []*plan.Plan{segmentPlan, load(t, tenProperties)} {
			for _, v := range p.Check(e, nil) {
				require.NotEmpty(t, v.Message())
			}
			require.Nil(t, p.Judge(nil).Validator()(e), "it is counted")
		}
	}
}

// A plan is used by many requests at once.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	p := load(t, tenProperties)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				good, bad := ordinary(), ordinary()
				bad.Properties = raw(`{"order_id":"","total":"1","currency":"EUR","products":[{}]}`)
				if v := p.Check(good, nil); v != nil {
					t.Error(v[0].Message())
				}
				if v := p.Check(bad, nil); len(v) != 3 {
					t.Error(v)
				}
			}
		})
	}
	wg.Wait()
}

func raw(text string) json.RawMessage { return json.RawMessage(text) }
