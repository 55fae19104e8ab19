package plan_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/plan"
)

func TestInference(t *testing.T) {
	t.Parallel()
	var events []*inlet.Event
	for i := range 40 {
		e := order(fmt.Sprint(i), fmt.Sprintf(`{"total":%d.5,"count":%d,"currency":%q,"id":"o-%d","email":"a%d@shop.example","products":[{"sku":"s","price":null},{"sku":"t","price":2}]}`,
			i, i, []string{"EUR", "USD"}[i%2], i, i))
		if i%2 == 0 {
			e.Properties = append(e.Properties[:len(e.Properties)-1], `,"coupon":"X","a/b~\"<":[],"mixed":1}`...)
		} else if i%5 == 0 {
			e.Properties = append(e.Properties[:len(e.Properties)-1], `,"mixed":"1"}`...)
		}
		events = append(events, e)
	}
	identify := order("i", good)
	identify.Type, identify.Name, identify.Properties, identify.Traits = inlet.TypeIdentify, "", nil, json.RawMessage(` {"plan" : true} `)
	page := order("p", good)
	page.Type, page.Name, page.Properties = inlet.TypePage, "Home", nil
	events = append(events, identify, page)

	inference := new(plan.Inference)
	for _, e := range events {
		inference.Add(e)
	}
	text := inference.JSON("shop", "2026-11")
	p, err := plan.Load(bytes.NewReader(text), nil)
	require.NoError(t, err, string(text))
	require.Equal(t, "shop", p.Name())
	for _, e := range events {
		require.Empty(t, p.Check(e, nil), string(e.AppendJSON(nil)))
	}
	var names []string
	for _, r := range p.Rules() {
		names = append(names, r.String())
	}
	require.Equal(t, []string{"identify", "page", "track Order Completed"}, names)

	var schema struct {
		Properties struct {
			Properties struct {
				Required             []string
				AdditionalProperties *bool
				Properties           map[string]struct {
					Type     any
					Comment  string `json:"$comment"`
					Examples []any
					Items    struct {
						Required   []string
						Properties map[string]struct{ Type any }
					}
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(p.Rules()[2].Schema, &schema))
	of := schema.Properties.Properties
	require.Equal(t, []string{"count", "currency", "email", "id", "products", "total"}, of.Required)
	require.NotNil(t, of.AdditionalProperties)
	require.Equal(t, "integer", of.Properties["count"].Type)
	require.Equal(t, "number", of.Properties["total"].Type)
	require.Equal(t, []any{"string", "integer"}, of.Properties["mixed"].Type)
	require.Equal(t, []any{"EUR", "USD"}, of.Properties["currency"].Examples)
	require.Contains(t, of.Properties["currency"].Comment, "rename examples to enum")
	require.Empty(t, of.Properties["id"].Comment)
	require.Empty(t, of.Properties["email"].Examples, "addresses are left out")
	require.Equal(t, []string{"price", "sku"}, of.Properties["products"].Items.Required)
	require.Equal(t, []any{"integer", "null"}, of.Properties["products"].Items.Properties["price"].Type)

	inference.NoExamples = true
	require.NotContains(t, string(inference.JSON("shop", "1")), "EUR")
}

// Whatever clients have sent, the plan can be loaded, all events follow it, and it is no larger
// than what it keeps.
func TestInferenceBounds(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":[`, 20) + strings.Repeat(`]}`, 20)
	many := &strings.Builder{}
	for i := range 5000 {
		fmt.Fprintf(many, `"m%d":%d,`, i, i)
	}
	inference := new(plan.Inference)
	var events []*inlet.Event
	for _, properties := range []string{
		`{"deep":` + deep + `}`, `{` + many.String() + `"x":"` + strings.Repeat("y", 10_000) + `"}`,
		`{"` + strings.Repeat("n", 1000) + `":1}`, `{"":{"":[[],[1,"2",{}]]}}`, `{"\u0000\ud83d\ude00":-1.0E+400,"s":"\u0000"}`,
	} {
		for range 30 {
			events = append(events, order("a", properties))
		}
	}
	for i := range 1200 {
		e := order("a", good)
		e.Name = fmt.Sprint("Event ", i)
		events = append(events, e)
	}
	for _, e := range events {
		inference.Add(e)
	}
	text := inference.JSON("", "")
	p, err := plan.Load(bytes.NewReader(text), nil)
	require.NoError(t, err)
	require.Equal(t, uint64(len(events)), inference.Events())
	require.Equal(t, uint64(201), inference.Beyond())
	require.Less(t, len(text), 1<<20)
	beyond := 0
	for _, e := range events {
		if found := p.Check(e, nil); len(found) > 0 {
			require.Equal(t, plan.UnplannedEvent, found[0].Kind, found)
			beyond++
		}
	}
	require.Equal(t, 201, beyond)
}

// What events show is kept up to a number of places, and only of events that a rule can be for.
func TestInferencePlaces(t *testing.T) {
	t.Parallel()
	if testkit.Race {
		t.Skip("slow, and nothing in it is concurrent")
	}
	inner, outer := &strings.Builder{}, &strings.Builder{}
	for i := range 110 {
		fmt.Fprintf(inner, `"m%d":[{}],`, i)
	}
	for i := range 100 {
		fmt.Fprintf(outer, `"o%d":{%s"x":1},`, i, inner)
	}
	inference, events := new(plan.Inference), []*inlet.Event{}
	for rule := range 7 {
		e := order("a", "{"+outer.String()+`"x":1}`)
		e.Name = fmt.Sprint("Event ", rule)
		events = append(events, e)
	}
	unnamed, long, strange, common := order("a", good), order("a", good), order("a", good), order("a", good)
	unnamed.Name, long.Name, strange.Type, common.Type = "", strings.Repeat("n", 100_000), "charge", plan.Common
	for _, e := range append(events, unnamed, long, strange, common) {
		inference.Add(e)
	}
	require.Equal(t, uint64(4), inference.Beyond())
	text := inference.JSON("shop", "1")
	require.Less(t, len(text), 16<<20, "a server reads it")
	p, err := plan.Load(bytes.NewReader(text), nil)
	require.NoError(t, err)
	for _, e := range events {
		require.Empty(t, p.Check(e, nil))
	}
}

// What people read and edit has the names and texts of events as they were sent.
func TestInferenceReadable(t *testing.T) {
	t.Parallel()
	var i plan.Inference
	e := order("a", `{"a<b":"1 > 0","Q&A":"<i>é</i>","c":["&"]}`)
	e.Name = "Terms & <Conditions>"
	i.Add(e)
	text := string(i.JSON("A & B", ">1"))
	require.NotContains(t, text, `\u00`)
	for _, want := range []string{`"Terms & <Conditions>"`, `"a<b"`, `"1 > 0"`, `"Q&A"`, `"<i>é</i>"`, `"&"`, `"A & B"`, `">1"`} {
		require.Contains(t, text, want)
	}
}
