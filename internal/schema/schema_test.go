package schema_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/schema"
)

const draft2020 = `"$schema":"https://json-schema.org/draft/2020-12/schema",`

func compile(t testing.TB, texts ...string) *schema.Schema {
	t.Helper()
	all := make([][]byte, len(texts))
	for i, text := range texts {
		all[i] = []byte(text)
	}
	s, err := schema.NewCompiler(schema.Options{}).Compile(all...)
	require.NoError(t, err)
	return s
}

func faults(s *schema.Schema, value string, most int) []schema.Fault {
	c := schema.NewChecker(most)
	defer c.Release()
	c.Check(s, []byte(value))
	return append([]schema.Fault(nil), c.Faults...)
}

// What a schema may not have is refused, with its place.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		schema, at, keyword, reason string
		unsupported                 bool
	}{
		{`{"properties":{"a/b":{"anyOf":[true]}}}`, "/properties/a~1b/anyOf", "anyOf", "beyond the ones", true},
		{`{"items":{"not":{}}}`, "/items/not", "not", "beyond the ones", true},
		{`{"allOf":[{"if":{}}]}`, "/allOf/0/if", "if", "beyond the ones", true},
		{`{"items":[{}]}`, "/items", "items", "is a list", true},
		{`{` + draft2020 + `"items":[{}]}`, "/items", "items", "is a list", true},
		{`{"uniqueItems":true}`, "/uniqueItems", "uniqueItems", "is not supported", true},
		{`{"unknown":1}`, "/unknown", "unknown", "beyond the ones", true},
		{`{"type":"text"}`, "/type", "type", `unknown type: "text"`, false},
		{`{"type":[]}`, "/type", "type", "must be the name", false},
		{`{"required":["a",1]}`, "/required", "required", "must be a list of names", false},
		{`{"required":true}`, "/required", "required", "must be a list of names", false},
		{`{"properties":[]}`, "/properties", "properties", "must be an object", false},
		{`{"properties":{"a":1}}`, "/properties/a", "a", "must be a schema", false},
		{`{"additionalProperties":"no"}`, "/additionalProperties", "additionalProperties", "must be a schema", false},
		{`{"allOf":[]}`, "/allOf", "allOf", "must be a list of schemas", false},
		{`{"enum":"a"}`, "/enum", "enum", "must be a list", false},
		{`{"minimum":"1"}`, "/minimum", "minimum", "must be a number", false},
		{`{"exclusiveMinimum":true}`, "/exclusiveMinimum", "exclusiveMinimum", "draft 04", false},
		{`{"minimum":1e99999999999}`, "/minimum", "minimum", "too large", false},
		{`{"multipleOf":0}`, "/multipleOf", "multipleOf", "more than 0", false},
		{`{"multipleOf":-1}`, "/multipleOf", "multipleOf", "more than 0", false},
		{`{"multipleOf":1234567890123456789}`, "/multipleOf", "multipleOf", "more than 18 digits", true},
		{`{"minLength":-1}`, "/minLength", "minLength", "not negative", false},
		{`{"maxItems":1.5}`, "/maxItems", "maxItems", "whole number", false},
		{`{"pattern":"(?=a)"}`, "/pattern", "pattern", "looking ahead", true},
		{`{"pattern":"(a)\\1"}`, "/pattern", "pattern", `\1 is not supported`, true},
		{`{"pattern":"[a"}`, "/pattern", "pattern", "missing closing ]", true},
		{`{"pattern":"(?i)a"}`, "/pattern", "pattern", "flags", true},
		{`{"pattern":"a\\"}`, "/pattern", "pattern", "backslash", true},
		{`{"pattern":1}`, "/pattern", "pattern", "must be a text", false},
		{`{"pattern":"(a|b)*a(a|b){14}$"}`, "/pattern", "pattern", "too large a table", true},
		{`{"pattern":"` + strings.Repeat("a", 5_000) + `"}`, "/pattern", "pattern", "longer than", true},
		{`{"$ref":"other.json"}`, "/$ref", "$ref", "within the schema", true},
		{`{"$ref":"#name"}`, "/$ref", "$ref", "by path", true},
		{`{"$ref":"#/definitions/a"}`, "/$ref", "$ref", "does not exist", false},
		{`{"$ref":"#/a/01"}`, "/$ref", "$ref", "does not exist", false},
		{`{"$ref":"#"}`, "", "", "refers to itself", false},
		{`{"$ref":"#/definitions/a","definitions":{"a":{"$ref":"#/definitions/b"},"b":{"allOf":[{"$ref":"#/definitions/a"}]}}}`, "/definitions/a", "a", "refers to itself", false},
		{`{"properties":{"a":{"$id":"x"}}}`, "/properties/a/$id", "$id", "at the root only", true},
		{`{"$schema":"http://example.com/mine"}`, "/$schema", "$schema", "drafts 07 and 2020-12", true},
		{`{"format":1}`, "/format", "format", "must be a text", false},
		{`{"a":1,"a":2}`, "", "", "not valid JSON", false},
		{`{"a":`, "", "", "not valid JSON", false},
		{`{} {}`, "", "", "not valid JSON", false},
		{`1`, "", "", "must be a schema", false},
		{strings.Repeat(`{"items":`, 300) + "{}" + strings.Repeat("}", 300), strings.Repeat("/items", 257), "items", "more than 256 levels", false},
	} {
		_, err := schema.NewCompiler(schema.Options{}).Compile([]byte(c.schema))
		e, ok := errors.AsType[*schema.Error](err)
		require.True(t, ok, "%s: %v", c.schema, err)
		require.ErrorContains(t, err, c.reason, "%s", c.schema)
		require.Equal(t, c.at, e.At, "%s", c.schema)
		require.Equal(t, c.keyword, e.Keyword, "%s", c.schema)
		require.Equal(t, c.unsupported, e.Unsupported, "%s", c.schema)
	}
}

// What demands nothing is ignored.
func TestIgnored(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"title":1,"description":"d","default":{},"examples":[],"$comment":"c","deprecated":true,"readOnly":true,"id":"/a","$id":"b","x-owner":"me"}`,
		`{"format":"uuid"}`,
		`{"format":"unknown"}`,
		`{"uniqueItems":false}`,
		`{"$ref":"#/definitions/a","type":"nonsense","anyOf":1,"definitions":{"a":true}}`, // draft 07 ignores it
		`{"definitions":{"a":{"anyOf":[]}}}`,
		`true`, `{}`,
	} {
		require.Empty(t, faults(compile(t, text), `{"a":["b",1]}`, 9), "%s", text)
	}
}

// The words say where, what was expected, and what was found.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		schema, value string
		faults        []schema.Fault
	}{
		{`{"type":"integer"}`, `1.5`, []schema.Fault{{schema.Type, "", "type", "a whole number", "the number 1.5"}}},
		{`{"type":["null","string","number"]}`, `[]`, []schema.Fault{{schema.Type, "", "type", "a text, a number or null", "a list"}}},
		{`false`, `{}`, []schema.Fault{{schema.Unplanned, "", "", "", "an object"}}},
		{`{"properties":{"a":{"items":{"properties":{"b c":{"type":"boolean"}}}}}}`, `{"a":[{},{"b\u0020c":null}]}`,
			[]schema.Fault{{schema.Type, "a[1].b c", "type", "true or false", "null"}}},
		{`{"required":["a","b","c"],"properties":{"b":{"type":"object"}}}`, `{"c":1}`,
			[]schema.Fault{{schema.Required, "a", "required", "", ""}, {schema.Required, "b", "required", "an object", ""}}},
		{`{"additionalProperties":false,"properties":{"a":false}}`, `{"a":"x","b":true}`,
			[]schema.Fault{{schema.Unplanned, "a", "", "", `the text "x"`}, {schema.Unplanned, "b", "", "", "true"}}},
		{`{"minLength":2,"maxLength":3}`, `"a"`, []schema.Fault{{schema.Other, "", "minLength", "a text of at least 2 characters", `the text "a"`}}},
		{`{"maxLength":1}`, `"😀é"`, []schema.Fault{{schema.Other, "", "maxLength", "a text of at most 1 character", `the text "😀é"`}}},
		{`{"pattern":"^a$"}`, `"b"`, []schema.Fault{{schema.Other, "", "pattern", "a text that matches the pattern ^a$", `the text "b"`}}},
		{`{"enum":["a",1,null]}`, `"b"`, []schema.Fault{{schema.Other, "", "enum", `"a", 1 or null`, `the text "b"`}}},
		{`{"const":{"a":1}}`, `{"a":2}`, []schema.Fault{{schema.Other, "", "const", `{"a":1}`, `an object`}}},
		{`{"minimum":1,"exclusiveMaximum":0.5}`, `0.9`, []schema.Fault{
			{schema.Other, "", "minimum", "at least 1", "the number 0.9"}, {schema.Other, "", "exclusiveMaximum", "less than 0.5", "the number 0.9"},
		}},
		{`{"multipleOf":0.01}`, `0.001`, []schema.Fault{{schema.Other, "", "multipleOf", "a multiple of 0.01", "the number 0.001"}}},
		{`{"minItems":2}`, `[1]`, []schema.Fault{{schema.Other, "", "minItems", "a list of at least 2 elements", "a list of 1"}}},
		{`{"maxProperties":0}`, `{"a":1}`, []schema.Fault{{schema.Other, "", "maxProperties", "an object of at most 0 members", "an object of 1"}}},
		{`{"type":"null"}`, `"` + strings.Repeat(`\u00e9`, 200) + `"`, []schema.Fault{{schema.Type, "", "type", "null", `the text "` + strings.Repeat("é", 80) + `…"`}}},
		{`{"additionalProperties":false}`, `{"` + strings.Repeat("n", 500) + `":1}`, []schema.Fault{{schema.Unplanned, strings.Repeat("n", 200) + "…", "", "", "the number 1"}}},
	} {
		require.Equal(t, c.faults, faults(compile(t, c.schema), c.value, 9), "%s", c.schema)
	}
}

// Formats demand something only if an option says so.
func TestFormats(t *testing.T) {
	t.Parallel()
	_, err := schema.NewCompiler(schema.Options{Formats: true}).Compile([]byte(`{"format":"ipv4"}`))
	require.ErrorContains(t, err, `/format is "ipv4": the formats date-time, email and uuid are supported`)
	for _, c := range []struct {
		format         string
		valid, invalid []string
	}{
		{
			"date-time", []string{"2026-11-29T08:20:00Z", "2024-02-29t08:20:00.123456789z", "1998-12-31T23:59:60Z", "1998-12-31T15:59:60.1-08:00", "2026-11-29T08:20:00+23:59"},
			[]string{"", "2026-11-29", "2026-11-29T08:20:00", "2026-11-29 08:20:00Z", "2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-00-01T00:00:00Z",
				"2026-11-29T24:00:00Z", "1998-12-31T23:58:60Z", "1998-12-31T22:59:60Z", "2026-11-29T08:20:61Z", "2026-11-29T08:20:00+24:00", "2026-11-29T08:20:00.Z", "২026-11-29T08:20:00Z"},
		},
		{
			"email", []string{"a@b", "joe.bloggs@example.com", `"joe bloggs"@example.com`, "te~st@example.com", "joe@[127.0.0.1]", "joe@[IPv6:::1]"},
			[]string{"", "a", "a@", "@b", ".a@b.c", "a.@b.c", "a..b@c.d", "a@-b.c", "a@b..c", "joe@[1.2.3]", "joe@[::1]", "joe@[IPv6:1.2.3.4]", strings.Repeat("a", 65) + "@b.c", "a b@c.d", "a@" + strings.Repeat("b", 64) + ".c"},
		},
		{"uuid", []string{"2EB8AA08-aa98-11ea-b4aa-73b441d16380"}, []string{"", "2eb8aa08aa9811eab4aa73b441d16380", "2eb8aa08-aa98-11ea-b4aa-73b441d1638g", "2eb8aa08-aa98-11ea-b4aa-73b441d163800"}},
	} {
		s, err := schema.NewCompiler(schema.Options{Formats: true}).Compile([]byte(`{"format":"` + c.format + `"}`))
		require.NoError(t, err)
		for _, text := range c.valid {
			require.Empty(t, faults(s, fmt.Sprintf("%q", text), 1), "%s", text)
		}
		for _, text := range c.invalid {
			require.NotEmpty(t, faults(s, fmt.Sprintf("%q", text), 1), "%s", text)
		}
		require.Empty(t, faults(s, "1", 1))
	}
}

// Patterns mean what they mean in ECMAScript.
func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern        string
		valid, invalid []string
	}{
		{"", []string{"", "a"}, nil},
		{"a", []string{"a", "bab"}, []string{"", "A"}},
		{"^a.c$", []string{"abc", "a\u0085c", "a😀c"}, []string{"a\nc", "a\u2028c", "a\rc", "abcd", "ac\n"}},
		{`^\s$`, []string{" ", "\v", "\u00a0", "\ufeff", "\u3000"}, []string{"\u0085", "\u180e", "a"}},
		{`^[\S]$`, []string{"a", "😀", "\u0085"}, []string{" ", "\u2029"}},
		{`^[^\s\d]$`, []string{"a"}, []string{"1", "\u1680"}},
		{`^\d$`, []string{"1"}, []string{"১"}},
		{`\bé`, []string{"aé"}, []string{"é", " é"}},
		{`^[[:alpha:]]$`, []string{":]", "h]"}, []string{"b", "b]"}},
		{`^\cJ\u0041\x42\u{43}\ud83d\ude00\0\/\-[\b]$`, []string{"\nABC😀\x00/-\b"}, []string{""}},
		{`^\p{Lu}\P{L}\p{Script=Greek}$`, []string{"A1α"}, []string{"a1α"}},
		{`^(?<name>a|b){2,3}?$`, []string{"ab", "aba"}, []string{"a", "abab"}},
		{`^.{0,255}$`, []string{"", strings.Repeat("é", 255)}, []string{strings.Repeat("é", 256)}},
		{`^[Kk]$`, []string{"K", "k"}, []string{"\u212a"}},
		{`$`, []string{"", "a\n"}, nil},
	} {
		p, err := schema.CompilePattern(c.pattern)
		require.NoError(t, err, "%s", c.pattern)
		for _, text := range c.valid {
			require.True(t, p.MatchString(text), "%s: %q", c.pattern, text)
		}
		for _, text := range c.invalid {
			require.False(t, p.MatchString(text), "%s: %q", c.pattern, text)
		}
	}
	for _, pattern := range []string{
		`[]`, `[^]`, `(?!a)`, `(?<=a)`, `\k<a>`, `\A`, `\z`, `\Q`, `\pL`, `\x{41}`, `\ud83d`, `\u12`, `\c1`, `\01`, `[\s-z]`, `[a-\s]`, `[\B]`, `a{1001}`, `\p{^L}`, `*a`, `(`, `)`,
	} {
		_, err := schema.CompilePattern(pattern)
		require.Error(t, err, "%s", pattern)
	}
}

// Two schemas together are what both demand, and a place that both are about is one.
func TestTogether(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"properties":{"a":{"type":["string","null"]}},"additionalProperties":false}`, `{"properties":{"a":{"type":["string","number"]},"b":{}},"required":["b"]}`)
	require.Equal(t, []schema.Fault{
		{schema.Type, "a", "type", "a text", "the number 1"}, {schema.Unplanned, "b", "", "", "null"},
	}, faults(s, `{"a":1,"b":null}`, 9))
}
