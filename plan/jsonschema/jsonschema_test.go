package jsonschema_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/plan/jsonschema"
)

func load(t testing.TB, schema string) (*plan.Plan, error) {
	t.Helper()
	text := `{"rules":[{"type":"track","event":"e","schema":` + schema + `}]}`
	return plan.Load(strings.NewReader(text), &plan.LoadOptions{Full: jsonschema.New(nil)})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, schema, properties string
		messages                 []string
	}{
		{"nothing", `{"anyOf":[true]}`, `{}`, nil},
		{
			"kinds", `{"anyOf":[true],"properties":{"properties":{"required":["a","b"],"additionalProperties":false,"properties":{"a":true,"c":{"type":["number","null"]},"d":false,"n":{"minimum":3}}}}}`,
			`{"c":"1","d":[],"e":{},"n":1}`,
			[]string{
				"properties.a is missing", "properties.b is missing",
				"properties.c must be a number or null, but it is the text \"1\"",
				"properties.d is not in the plan: it is a list",
				"properties.e is not in the plan: it is an object",
				"properties.n must be valid (minimum: got 1, want 3), but it is the number 1",
			},
		},
		{
			"alternatives", `{"properties":{"properties":{"properties":{"l":{"items":{"oneOf":[{"type":"string"},{"type":"number"}]}}}}}}`, `{"l":[1,true]}`,
			[]string{`properties.l[1] must be exactly one of the alternatives of oneOf, but it is true`},
		},
		{
			"a reference", `{"properties":{"properties":{"properties":{"a":{"$ref":"#/definitions/either"}}}},"definitions":{"either":{"anyOf":[{"type":"null"},{"$ref":"#/definitions/count"}]},"count":{"minimum":1}}}`,
			`{"a":0}`, []string{"properties.a must be one of the alternatives of anyOf, but it is the number 0"},
		},
		{"no properties", `{"anyOf":[true],"properties":{"properties":{"required":["a"]}}}`, ``, []string{"properties.a is missing"}},
		{
			"a number that is too large to compare", `{"anyOf":[true],"properties":{"properties":{"properties":{"n":{"minimum":3}}}}}`, `{"n":1e999999}`,
			[]string{"properties.n must be a number of at most 300 digits, but it is the number 1e999999"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := load(t, c.schema)
			require.NoError(t, err)
			var messages []string
			for _, v := range p.Check(&inlet.Event{Type: "track", Name: "e", Properties: json.RawMessage(c.properties)}, nil) {
				require.Equal(t, "track e", v.Rule)
				messages = append(messages, v.Message())
			}
			require.ElementsMatch(t, c.messages, messages)
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for schema, reason := range map[string]string{
		`{"anyOf":[{"$ref":"http://example.com/x"}]}`: "only what is in the schema itself can be referred to",
		`{"anyOf":[{"$ref":"file:///etc/passwd"}]}`:   "only what is in the schema itself can be referred to",
		`{"anyOf":[{"pattern":"(?=x)"}]}`:             "looking ahead",
		`{"anyOf":1}`:                                 "anyOf",
		`{"type":"text"}`:                             "/type has an unknown type",
	} {
		_, err := load(t, schema)
		require.ErrorContains(t, err, reason, "%s", schema)
	}
}

func TestBounded(t *testing.T) {
	t.Parallel()
	p, err := load(t, `{"anyOf":[true],"properties":{"properties":{"additionalProperties":false}}}`)
	require.NoError(t, err)
	members := make([]string, 1000)
	for i := range members {
		members[i] = fmt.Sprintf(`"%d%s":1`, i, strings.Repeat("n", 300))
	}
	violations := p.Check(&inlet.Event{Type: "track", Name: "e", Properties: json.RawMessage("{" + strings.Join(members, ",") + "}")}, nil)
	require.Len(t, violations, 20)
	for _, v := range violations {
		require.Less(t, len(v.Message()), 300)
	}
}

// What an event costs depends on its size alone, not on how long its names are and how deep it is.
func TestCost(t *testing.T) {
	p, err := load(t, `{"anyOf":[true],"properties":{"properties":{"$ref":"#/definitions/list"}},"definitions":{"list":{"items":{"$ref":"#/definitions/list"},"additionalProperties":{"$ref":"#/definitions/list"},"type":["array","object"]}}}`)
	require.NoError(t, err)
	long := strings.Repeat("n", 100_000)
	for _, c := range []struct{ name, properties, message string }{
		{"a long name", `{"` + long + `":[` + strings.Repeat("[],", 20_000) + `[]]}`, ""},
		{"a long name of a large number", `{"` + long + `":1e999}`, "must be a number of at most 300 digits, but it is the number 1e999"},
		{"deep lists", `{"a":` + strings.Repeat("[", 9_000) + "1" + strings.Repeat("]", 9_000) + "}", "must be nested at most 256 levels deep, but it is a list"},
		{"deep objects", strings.Repeat(`{"`+long[:100]+`":`, 5_000) + "1" + strings.Repeat("}", 5_000), "must be nested at most 256 levels deep, but it is an object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			found := p.Check(&inlet.Event{Type: "track", Name: "e", Properties: json.RawMessage(c.properties)}, nil)
			runtime.ReadMemStats(&after)
			require.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
			if c.message == "" {
				require.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			require.Contains(t, found[0].Message(), c.message)
			require.Less(t, len(found[0].Path), 200)
		})
	}
}

// A rule with a keyword that package plan does not have.
func ExampleNew() {
	p, err := plan.Load(strings.NewReader(`{"rules": [{"type": "identify", "schema": {"properties": {"traits": {
	  "anyOf": [{"required": ["email"]}, {"required": ["phone"]}]
	}}}}]}`), &plan.LoadOptions{Full: jsonschema.New(nil)})
	if err != nil {
		fmt.Println(err)
		return
	}
	event := inlet.Event{Type: inlet.TypeIdentify, Traits: json.RawMessage(`{"name": "Ada"}`)}
	for _, v := range p.Check(&event, nil) {
		fmt.Println(v.Message())
	}
	// Output:
	// traits must be one of the alternatives of anyOf, but it is an object
}
