package plan_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/plan"
)

// A plan in the format of this package.
func ExampleLoad() {
	p, err := plan.Load(strings.NewReader(`{
	  "name": "shop",
	  "version": "2026-11",
	  "rules": [{
	    "type": "track",
	    "event": "Order Completed",
	    "schema": {"properties": {"properties": {
	      "required": ["order_id"],
	      "properties": {"order_id": {"type": "string"}, "total": {"type": "number"}},
	      "additionalProperties": false
	    }}}
	  }]
	}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	event := inlet.Event{
		Type: inlet.TypeTrack, Name: "Order Completed",
		Properties: json.RawMessage(`{"total": "12", "currency": "EUR"}`),
	}
	for _, v := range p.Check(&event, nil) {
		fmt.Println(v.Message())
	}
	event.Name = "order completed"
	for _, v := range p.Check(&event, nil) {
		fmt.Println(v.Message())
	}
	// Output:
	// properties.total must be a number, but it is the text "12"
	// properties.currency is not in the plan: it is the text "EUR"
	// properties.order_id is missing: it must be a text
	// track "order completed" is not in the plan, which has "Order Completed"
}

// The rules of a plan of Segment Protocols, as its Public API lists them.
func ExampleSegment() {
	p, err := plan.Segment(strings.NewReader(`{"data": {"rules": [
	  {"type": "TRACK", "key": "Order Completed", "version": 1, "jsonSchema": {
	    "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
	    "properties": {"properties": {"type": "object", "required": ["total"]}}
	  }},
	  {"type": "IDENTIFY", "key": null, "version": 1, "jsonSchema": {
	    "properties": {"traits": {"required": ["email"]}}
	  }}
	]}}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range p.Rules() {
		fmt.Println(r.String())
	}
	// Output:
	// track Order Completed
	// identify
}

// A plan of RudderStack, with the schemas of its events.
func ExampleRudderStack() {
	_, err := plan.RudderStack(strings.NewReader(`{"name": "shop", "version": 3, "events": [
	  {"name": "Order Completed", "eventType": "track", "rules": {
	    "$schema": "https://json-schema.org/draft/2019-09/schema", "type": "object",
	    "properties": {"properties": {"properties": {"total": {"anyOf": []}}}}
	  }}
	]}`), nil)
	fmt.Println(err)
	// Output:
	// plan: rule 1 (track Order Completed): /properties/properties/properties/total/anyOf is not supported: "anyOf" is a keyword beyond the ones that a plan may use
}
