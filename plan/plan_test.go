package plan_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
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

func raw(text string) json.RawMessage { return json.RawMessage(text) }
