package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/plan"
)

// described returns changes as lines.
func described(changes []plan.Change) []string {
	lines := []string{}
	for _, c := range changes {
		kind := "loosens"
		if c.Breaks {
			kind = "breaks"
		}
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprintf("%s [%s] %s %s", kind, c.Rule, c.Path, c.Text)), " "))
	}
	return lines
}

// What a change of a schema does to events that followed the old one. "breaks" is true of each
// change that lets an example violate the new schema.
func TestDiffSchemas(t *testing.T) {
	t.Parallel()
	schema := func(total string) string {
		return `{"rules":[{"type":"track","event":"A","schema":{"properties":{"properties":` + total + `}}}]}`
	}
	for _, tt := range []struct{ was, is, want string }{
		{`{}`, `{}`, ""},
		{`{"title":"a"}`, `{"title":"b","x-owner":"c"}`, ""},
		{`{"required":["a"]}`, `{"required":["b"]}`, "breaks properties.b is required now|loosens properties.a is not required any more"},
		{`{"properties":{"a":{"type":"string"}}}`, `{"properties":{"a":{"type":["string","null"]}}}`, "loosens properties.a must be of the type string or null, and was string"},
		{`{"properties":{"a":{"type":"number"}}}`, `{"properties":{"a":{"type":"integer"}}}`, "breaks properties.a must be of the type integer, and was number"},
		{`{"properties":{"a":{"type":"integer"}}}`, `{"properties":{"a":{"type":"number"}}}`, "loosens properties.a must be of the type number, and was integer"},
		{`{"enum":["<1"]}`, `{"enum":["<1","\u003e1 & 2"]}`, `loosens properties may be ">1 & 2" now`},
		{`{"properties":{"a":{}}}`, `{"properties":{"a":{"type":"string"}}}`, "breaks properties.a must be of the type string"},
		{`{}`, `{"properties":{"a":{"type":"string"}}}`, "breaks properties.a must be of the type string"},
		{`{"properties":{"a":{"type":"string"}}}`, `{}`, "loosens properties.a may have any type"},
		{`{"additionalProperties":false}`, `{"additionalProperties":false,"properties":{"a":{"type":"string"}}}`, "loosens properties.a is planned now"},
		{`{"additionalProperties":false,"properties":{"a":{}}}`, `{"additionalProperties":false}`, "breaks properties.a is not planned any more"},
		{`{}`, `{"additionalProperties":false}`, "breaks properties properties that are not listed are unplanned now"},
		{`{"additionalProperties":false}`, `{}`, "loosens properties properties that are not listed are no longer unplanned"},
		{`{"additionalProperties":{"type":"string"}}`, `{"additionalProperties":{"type":"number"}}`, "breaks properties.* must be of the type number, and was string"},
		{`{"properties":{"a":{"enum":["x","y"]}}}`, `{"properties":{"a":{"enum":["y","z"]}}}`, `loosens properties.a may be "z" now|breaks properties.a may not be "x" any more`},
		{`{"properties":{"a":true}}`, `{"properties":{"a":{"enum":[1]}}}`, `breaks properties.a must be one of [1]`},
		{`{"properties":{"a":{"minimum":1}}}`, `{"properties":{"a":{"minimum":2}}}`, "breaks properties.a minimum is 2, and was 1"},
		{`{"properties":{"a":{"maximum":1}}}`, `{"properties":{"a":{"maximum":2}}}`, "loosens properties.a maximum is 2, and was 1"},
		{`{"properties":{"a":{"minLength":1}}}`, `{"properties":{"a":{}}}`, "loosens properties.a minLength is not demanded any more"},
		{`{"properties":{"a":{"multipleOf":2}}}`, `{"properties":{"a":{"multipleOf":4}}}`, "breaks properties.a multipleOf differs: it is 4, and was 2"},
		{`{"properties":{"a":{"items":{"type":"string"}}}}`, `{"properties":{"a":{"items":{"type":"number"}}}}`, "breaks properties.a[] must be of the type number, and was string"},
		{`{"properties":{"a":{}}}`, `{"properties":{"a":{"items":{"required":["sku"]}}}}`, "breaks properties.a[].sku is required now"},
		{`{"properties":{"a":{"const":1}}}`, `{"properties":{"a":{"const":2}}}`, "breaks properties.a const differs: it is 2, and was 1"},
		{`{"properties":{"a":{"minimum":1}}}`, `{"properties":{"a":{"minimum":1.00000000000000000001}}}`, "breaks properties.a minimum is 1.00000000000000000001, and was 1"},
		{`{"allOf":[{"required":["a"]}]}`, `{"allOf":[{"required":["b"]}]}`, `breaks properties allOf differs: it is [{"required":["b"]}], and was [{"required":["a"]}]`},
		{`{"$ref":"#/properties/properties/definitions/a","type":"string","definitions":{"a":{}}}`, `{"type":"string","definitions":{"a":{}}}`, "breaks properties $ref is not demanded any more"},
	} {
		t.Run(tt.was+" "+tt.is, func(t *testing.T) {
			t.Parallel()
			var lines []string
			for _, line := range described(plan.Diff(read(t, schema(tt.was)), read(t, schema(tt.is)))) {
				lines = append(lines, strings.Replace(line, "[track A] ", "", 1))
			}
			require.Equal(t, tt.want, strings.Join(lines, "|"))
		})
	}
}

// A plan that breaks nothing lets pass what the old one did.
func TestDiffRules(t *testing.T) {
	t.Parallel()
	before := read(t, `{"modes":{"required":"quarantine"},"rules":[
		{"type":"track","event":"Gone"},{"type":"track","event":"Stays","modes":"reject"},{"type":"common","schema":{"required":["userId"]}},{"type":"page"}]}`)
	after := read(t, `{"modes":{"required":"reject","unplanned_event":"quarantine"},"rules":[
		{"type":"track","event":"Stays","modes":"observe"},{"type":"track","event":"New"},{"type":"identify"},{"type":"page"},{"type":"track","event":"Stays","version":2}]}`)
	require.Equal(t, []string{
		"breaks [] the mode of unplanned_event is quarantine, and was observe",
		"loosens [track Stays] the mode of required is observe, and was reject",
		"loosens [track Stays] the mode of type is observe, and was reject",
		"loosens [track Stays] the mode of unplanned_property is observe, and was reject",
		"loosens [track Stays] the mode of other is observe, and was reject",
		"loosens [track New] has a rule now",
		"breaks [identify] has a rule now",
		"breaks [page] the mode of required is reject, and was quarantine",
		"breaks [track Stays (version 2)] has a rule now",
		"breaks [track Gone] has no rule any more",
		"loosens [common] has no rule any more",
	}, described(plan.Diff(before, after)))
	require.Empty(t, plan.Diff(before, before))
}
