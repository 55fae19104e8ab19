package jsonschema_test

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/schema"
)

// How many schemas TestDifferential makes, and from where.
var (
	executions = flag.Int("executions", 500, "how many schemas TestDifferential makes")
	values     = flag.Int("values", 16, "how many values TestDifferential compares with each schema")
	seed       = flag.Uint64("seed", 1, "seed of TestDifferential")
)

// TestDifferential compares values with schemas, here and by a library that has all of JSON Schema.
func TestDifferential(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	random := rand.New(rand.NewPCG(*seed, 0))
	var total differences
	for range *executions {
		entropy := make([]byte, 300)
		for i := range entropy {
			entropy[i] = byte(random.Uint32())
		}
		total.add(compare(t, entropy))
	}
	t.Logf("%d schemas, %d refused; %d values, %d valid", *executions, total.refused, total.values, total.valid)
	require.Greater(t, total.valid, total.values/20, "hardly any value is valid")
	require.Less(t, total.valid, total.values*19/20, "hardly any value is invalid")
}

// FuzzSchema is TestDifferential for the fuzzer.
func FuzzSchema(f *testing.F) {
	random := rand.New(rand.NewPCG(2, 0))
	for range 40 {
		entropy := make([]byte, 300)
		for i := range entropy {
			entropy[i] = byte(random.Uint32())
		}
		f.Add(entropy)
	}
	f.Fuzz(func(t *testing.T, entropy []byte) { compare(t, entropy) })
}

type differences struct{ refused, values, valid int }

func (d *differences) add(o differences) {
	d.refused += o.refused
	d.values += o.values
	d.valid += o.valid
}

// compare makes a schema and values of some bytes, and requires that both agree on them.
func compare(t *testing.T, entropy []byte) (d differences) {
	g := &generator{entropy: entropy}
	g.draft2020, g.formats = g.pick(2) == 1, g.pick(8) == 0
	text := g.schema(3, true)
	ours, err := schema.NewCompiler(schema.Options{Formats: g.formats}).Compile([]byte(text))
	theirs, theirErr := oracle(text, g.formats)
	if beyond, ok := errors.AsType[*schema.Error](err); ok {
		require.True(t, beyond.Unsupported || theirErr != nil || beyond.Reason == "refers to itself", "%v\n%s", err, text)
		return differences{refused: 1}
	}
	if theirErr != nil { // not valid by the specification, such as an enum that has a value twice
		return differences{refused: 1}
	}
	for range *values {
		value := g.value(3)
		d.values++
		decoded, err := jsonschema.UnmarshalJSON(strings.NewReader(value))
		require.NoError(t, err, "%s", value)
		err = theirs.Validate(decoded)
		require.Equal(t, err == nil, check(ours, []byte(value)), "%s\n%s\n%v", text, value, err)
		if err == nil {
			d.valid++
		}
	}
	return d
}

func oracle(text string, formats bool) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseRegexpEngine(func(pattern string) (jsonschema.Regexp, error) {
		return regexp.Compile(strings.ReplaceAll(pattern, `\u0061`, `\x61`)) // the one escape that Go does not have
	})
	if formats {
		c.AssertFormat()
	}
	if err := c.AddResource("inlet:///schema.json", document); err != nil {
		return nil, err
	}
	return c.Compile("inlet:///schema.json")
}

// A generator makes schemas and values of bytes. Values are made of the same few parts as schemas,
// so that they often fit.
type generator struct {
	entropy     []byte
	at          int
	draft2020   bool
	formats     bool
	definitions string // where the root has definitions x and y, or ""
}

// pick returns a number below n.
func (g *generator) pick(n int) int {
	if len(g.entropy) == 0 {
		return 0
	}
	// The bytes are used again and again, and differently each time.
	b := int(g.entropy[g.at%len(g.entropy)]) + 31*(g.at/len(g.entropy)*(1+g.at%7))
	g.at++
	return b % n
}

func (g *generator) of(list ...string) string { return list[g.pick(len(list))] }

// names are those of members. Some are the same, written differently.
func (g *generator) name() string {
	return g.of(`"a"`, `"b"`, `"c"`, `"\u0061"`, `"é"`, `"\u00e9"`, `""`, `"a/b~"`, `"\ud83d\ude00"`, `"😀"`)
}

// schema returns a schema of some levels.
func (g *generator) schema(levels int, root bool) string {
	if !root && g.pick(12) == 0 {
		return g.of("true", "false", "{}")
	}
	var members []string
	add := func(name, value string) {
		for _, m := range members {
			if strings.HasPrefix(m, `"`+name+`":`) {
				return
			}
		}
		members = append(members, `"`+name+`":`+value)
	}
	if root {
		add("$schema", g.of(`"http://json-schema.org/draft-07/schema#"`))
		if g.draft2020 {
			members = []string{`"$schema":"https://json-schema.org/draft/2020-12/schema"`}
		}
		if g.pick(2) == 0 {
			g.definitions = g.of("definitions", "$defs")
			add(g.definitions, `{"x":`+g.schema(levels-1, false)+`,"y":`+g.schema(levels-1, false)+`}`)
		}
	}
	for range 1 + g.pick(4) {
		g.keyword(levels, add)
	}
	if slices.ContainsFunc(members, func(m string) bool { return strings.HasPrefix(m, `"$ref"`) }) && !g.draft2020 {
		// Draft 07 ignores all that is next to a reference; the library does not ignore this.
		members = slices.DeleteFunc(members, func(m string) bool { return strings.HasPrefix(m, `"const"`) })
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (g *generator) keyword(levels int, add func(name, value string)) {
	count := func() string { return g.of("0", "1", "2", "3", "2.0", "1e0") }
	k := g.pick(20)
	if levels > 0 && g.inner(k, levels, add) {
		return
	}
	switch k {
	case 0, 1, 2:
		types := []string{`"string"`, `"number"`, `"integer"`, `"object"`, `"array"`, `"boolean"`, `"null"`}
		if first := g.pick(len(types)); g.pick(2) == 0 {
			add("type", types[first])
		} else {
			add("type", "["+types[first]+","+types[(first+1+g.pick(len(types)-1))%len(types)]+"]")
		}
	case 5:
		add("required", g.of(`[]`, `["a"]`, `["\u0061","b"]`, `["c",""]`, `["😀","é"]`))
	case 8:
		add("enum", "["+g.value(1)+g.of("", ","+g.number()+`,"z"`)+"]")
	case 9:
		add("const", g.value(1))
	case 10:
		add(g.of("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), g.number())
	case 11:
		add("multipleOf", g.of("1", "2", "0.1", "0.01", "3", "1e2", "0.3", "7", "2.5", "1.10", "123456789012345678", "1e-7"))
	case 12:
		add(g.of("minLength", "maxLength"), count())
	case 13:
		add("pattern", g.pattern(2))
	case 14:
		add(g.of("minItems", "maxItems", "minProperties", "maxProperties"), count())
	case 16:
		add("$ref", g.reference())
	case 17:
		if g.formats {
			add("format", g.of(`"date-time"`, `"uuid"`))
		}
	case 18:
		add(g.of("title", "description", "$comment"), `"x"`)
	}
}

// inner adds a keyword that has schemas in it, if the number is that of one.
func (g *generator) inner(k, levels int, add func(name, value string)) bool {
	switch k {
	case 3, 4:
		g.properties(levels, add)
	case 6:
		add("additionalProperties", g.schema(levels-1, false))
	case 7:
		add("items", g.schema(levels-1, false))
	case 15:
		add("allOf", "["+g.schema(levels-1, false)+","+g.schema(levels-1, false)+"]")
	case 19:
		g.properties(levels, add)
		add("required", g.of(`["a"]`, `["b","é"]`))
		add("additionalProperties", g.of("false", "true"))
	default:
		return false
	}
	return true
}

func (g *generator) reference() string {
	if g.definitions == "" {
		return `"#"`
	}
	return `"#/` + strings.ReplaceAll(g.definitions, "$", g.of("$", "%24")) + g.of("/x", "/y") + `"`
}

func (g *generator) properties(levels int, add func(name, value string)) {
	add("properties", g.object(1+g.pick(3), func() string { return g.schema(levels-1, false) }))
}

// object returns an object of at most n members.
func (g *generator) object(n int, value func() string) string {
	var members []string
	seen := map[string]bool{}
	for range n {
		name := g.name()
		plain, err := strconv.Unquote(strings.ReplaceAll(name, `\ud83d\ude00`, "😀"))
		if err != nil || seen[plain] {
			continue
		}
		seen[plain] = true
		members = append(members, name+g.of(":", " : ")+value())
	}
	return g.of("{", "{ ") + strings.Join(members, g.of(",", " ,\n")) + "}"
}

func (g *generator) number() string {
	return g.of("0", "-0", "1", "2", "3", "-1", "1.0", "1.5", "0.1", "0.30", "1e0", "10e-1", "1E+2", "100", "1e400", "-1e400", "1e-400",
		"100000000000000000001", "100000000000000000002", "123456789012345678", "0.0", "0e9", "1.10", "7e-1", "2.5", "14", "0.7", "9007199254740993", "0.00001e5",
		"12345678901234567890.123456789", "1.23456789012345678e17", "-3.5", "3e-7", "33e-2")
}

func (g *generator) text() string {
	if g.formats && g.pick(2) == 0 {
		return `"` + g.of("2026-11-29T08:20:00Z", "2026-02-29T08:20:00Z", "2024-02-29t23:59:60z", "2026-11-29T08:20:60Z", "2026-11-31T08:20:00+01:00",
			"2026-12-31T23:59:60Z", "2027-01-01T00:59:60+01:00", "2026-11-29T08:20:00.123-23:59", "2026-11-29 08:20:00Z", "2026-11-29T08:20:00", "2026-11-29T24:00:00Z",
			"2026-11-29T08:20:00.Z", "2026-13-01T00:00:00Z", "2100-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2EB8AA08-aa98-11ea-b4aa-73b441d16380",
			"2eb8aa08-aa98-11ea-b4aa-73b441d1638", "2eb8aa08aa9811eab4aa73b441d16380", "2eb8aa08-aa98-11ea-b4aa-73b441d1638g") + `"`
	}
	return g.of(`""`, `"a"`, `"b"`, `"ab"`, `"abc"`, `"a b"`, `"\u0061"`, `"é"`, `"e\u0301"`, `"😀"`, `"\ud83d\ude00"`, `"\n"`, `"\u0000"`, `"a\"b"`, `"\\"`,
		`"aaa"`, `"1"`, `"12"`, `"a1_"`, `"\/"`, `"x-y"`, `"ABC"`)
}

// value returns a value of some levels.
func (g *generator) value(levels int) string {
	k := g.pick(10)
	if levels == 0 {
		k %= 6
	}
	switch {
	case k < 2:
		return g.text()
	case k < 4:
		return g.number()
	case k == 4:
		return g.of("true", "false")
	case k == 5:
		return "null"
	case k < 9:
		return g.object(g.pick(4), func() string { return g.value(levels - 1) })
	}
	elements := make([]string, g.pick(4))
	for i := range elements {
		elements[i] = g.value(levels - 1)
	}
	return "[" + strings.Join(elements, g.of(",", " , ")) + "]"
}

// pattern returns a pattern that means the same in Go.
func (g *generator) pattern(levels int) string {
	return `"` + g.of("", "^") + g.expression(levels) + g.of("", "$") + `"`
}

func (g *generator) expression(levels int) string {
	var b strings.Builder
	for range 1 + g.pick(3) {
		k := g.pick(8)
		if levels == 0 {
			k %= 5
		}
		switch k {
		case 0, 1:
			b.WriteString(g.of("a", "b", "é", "😀", "1", `\\u0061`, `\\.`, `\\-`, `\\/`))
		case 2:
			b.WriteString(g.of(`[a-c]`, `[^a]`, `[a\\d-]`, `[^\\w]`, `[é-ü]`, `[A-Z0-9]`, `[[a]`))
		case 3:
			b.WriteString(g.of(`\\d`, `\\w`, `\\W`, `\\D`, `\\b`, `\\B`))
		case 4:
			b.WriteString(g.of(`\\p{L}`, `\\P{Lu}`, `\\x61`))
		case 5:
			b.WriteString("(" + g.expression(levels-1) + "|" + g.expression(levels-1) + ")")
		case 6:
			b.WriteString("(?:" + g.expression(levels-1) + ")" + g.of("*", "+", "?", "{2}", "{1,3}", "{0,2}?"))
		case 7:
			b.WriteString("(" + g.expression(levels-1) + ")" + g.of("*?", "{2,}", ""))
		}
	}
	return b.String()
}
