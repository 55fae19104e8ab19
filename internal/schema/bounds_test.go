package schema_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/schema"
	"github.com/inlet-go/inlet/internal/testkit"
)

func repeat(n int, separator string, text func(i int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = text(i)
	}
	return strings.Join(parts, separator)
}

// Large schemas are compiled, and those that would be too large are refused.
func TestLargeSchemas(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	t.Run("10,000 values", func(t *testing.T) {
		t.Parallel()
		s := compile(t, `{"enum":[`+repeat(10_000, ",", func(i int) string { return fmt.Sprintf(`"v%d",%d`, i, i) })+`]}`)
		require.Empty(t, faults(s, `"v9999"`, 1))
		require.Empty(t, faults(s, `9.999e3`, 1))
		found := faults(s, `"v10000"`, 1)
		require.Len(t, found, 1)
		require.Equal(t, `one of "v0", 0, "v1", 1, "v2", 2, "v3", 3 and others`, found[0].Expected)
	})
	t.Run("10,000 references, each to the next one", func(t *testing.T) {
		t.Parallel()
		s := compile(t, `{"$ref":"#/definitions/d0","definitions":{`+repeat(10_000, ",", func(i int) string {
			return fmt.Sprintf(`"d%d":{"items":{"$ref":"#/definitions/d%d"}}`, i, i+1)
		})+`,"d10000":{"type":"string"}}}`)
		require.Empty(t, faults(s, strings.Repeat("[", 200)+strings.Repeat("]", 200), 1))
	})
	t.Run("references without a value between them", func(t *testing.T) {
		t.Parallel()
		_, err := schema.NewCompiler(schema.Options{}).Compile([]byte(`{"$ref":"#/definitions/d0","definitions":{` + repeat(10_000, ",", func(i int) string {
			return fmt.Sprintf(`"d%d":{"$ref":"#/definitions/d%d"}`, i, i+1)
		}) + `,"d10000":{"type":"string"}}}`))
		require.ErrorContains(t, err, "more than 256 others")
	})
	t.Run("references that double in each level", func(t *testing.T) {
		t.Parallel()
		compile(t, `{"$ref":"#/definitions/d0","definitions":{`+repeat(80, ",", func(i int) string {
			return fmt.Sprintf(`"d%d":{"allOf":[{"$ref":"#/definitions/d%d"},{"$ref":"#/definitions/d%d"}]}`, i, i+1, i+1)
		})+`,"d80":{}}}`)
	})
	t.Run("10,000 required members", func(t *testing.T) {
		t.Parallel()
		_, err := schema.NewCompiler(schema.Options{}).Compile([]byte(`{"required":[` + repeat(10_000, ",", func(i int) string { return fmt.Sprintf(`"m%d"`, i) }) + `]}`))
		require.ErrorContains(t, err, "more than 4096 names")
	})
	t.Run("a place for each set of schemas", func(t *testing.T) {
		t.Parallel()
		// Which schemas apply depends on the last 20 names, each of which is a or b.
		_, err := schema.NewCompiler(schema.Options{}).Compile([]byte(`{"$ref":"#/definitions/d0","definitions":{"d0":{"properties":{"a":{"$ref":"#/definitions/d0"},"b":{"allOf":[{"$ref":"#/definitions/d0"},{"$ref":"#/definitions/d1"}]}}},` +
			repeat(20, ",", func(i int) string {
				return fmt.Sprintf(`"d%d":{"properties":{"a":{"$ref":"#/definitions/d%d"},"b":{"$ref":"#/definitions/d%d"}}}`, i+1, i+2, i+2)
			}) + `,"d21":{"type":"object"}}}`))
		require.ErrorContains(t, err, "more than 20000 places that values can be at")
	})
	t.Run("a large pattern", func(t *testing.T) {
		t.Parallel()
		s := compile(t, `{"pattern":"^[a-z]{1,999}$"}`)
		require.Empty(t, faults(s, `"`+strings.Repeat("a", 999)+`"`, 1))
		require.NotEmpty(t, faults(s, `"`+strings.Repeat("a", 1000)+`"`, 1))
	})
	t.Run("too many large patterns", func(t *testing.T) {
		t.Parallel()
		characters := repeat(240, "", func(i int) string { return string(rune(0x4e00 + i)) })
		_, err := schema.NewCompiler(schema.Options{}).Compile([]byte(`{"properties":{` + repeat(100, ",", func(i int) string {
			return fmt.Sprintf(`"p%d":{"pattern":"^%s%d$"}`, i, characters, i)
		}) + `}}`))
		require.ErrorContains(t, err, "one of too many large patterns")
	})
}

// A value of some megabytes is checked in one pass, whatever it is: anything that is not linear
// would take hours.
func TestLargeValues(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	const megabytes = 2 << 20
	nested := `{"items":{"$ref":"#"},"additionalProperties":{"$ref":"#"},"enum":[[],{},[[]],{"a":[]}]}`
	for _, c := range []struct{ name, schema, value string }{
		{"nested lists", `{"items":{"$ref":"#"},"minItems":1}`, strings.Repeat("[", megabytes) + strings.Repeat("]", megabytes)},
		{"nested lists, each in an enum", nested, strings.Repeat("[", megabytes) + strings.Repeat("]", megabytes)},
		{"nested objects", `{"additionalProperties":{"$ref":"#"},"required":["a"]}`, strings.Repeat(`{"a":`, megabytes/5) + "1" + strings.Repeat("}", megabytes/5)},
		{"empty objects with 1,000 required members", `{"items":{"required":[` + repeat(1_000, ",", func(i int) string { return fmt.Sprintf(`"m%d"`, i) }) + `]}}`, "[" + repeat(megabytes/3, ",", func(int) string { return "{}" }) + "]"},
		{"a long number", `{"minimum":3,"multipleOf":0.7,"enum":[1,2]}`, strings.Repeat("7", megabytes)},
		{"a long fraction", `{"minimum":3,"multipleOf":0.7,"type":"integer"}`, "0." + strings.Repeat("0", megabytes) + "1"},
		{"a long exponent", `{"minimum":3,"multipleOf":0.7,"type":"integer"}`, "1e" + strings.Repeat("9", megabytes)},
		{"a long text under patterns", `{"pattern":"^(a?){200}$","allOf":[{"pattern":"(a|aa)+$"},{"pattern":"^(a*)*b"}]}`, `"` + strings.Repeat("a", megabytes) + `"`},
		{"escapes", `{"enum":[["` + strings.Repeat("a", 1_000) + `"]],"maxLength":3}`, `["` + strings.Repeat(`\u0061`, megabytes/6) + `"]`},
		{"faults", `{"items":{"type":"null"}}`, "[" + repeat(megabytes/2, ",", func(int) string { return "1" }) + "]"},
		{"names", `{"additionalProperties":{"type":"null"}}`, "{" + repeat(megabytes/10, ",", func(i int) string { return fmt.Sprintf(`"\u006e%d":null`, i) }) + "}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.LessOrEqual(t, len(faults(compile(t, c.schema), c.value, 20)), 20)
		})
	}
}

// Numbers are compared exactly.
func TestNumbers(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	number := func() string {
		digits := func(most int) string {
			return repeat(1+random.IntN(most), "", func(int) string { return string("0001579"[random.IntN(7)]) })
		}
		n := strings.TrimLeft(digits(6), "0")
		if n == "" {
			n = "0"
		}
		if random.IntN(2) == 0 {
			n += "." + digits(6)
		}
		if random.IntN(3) == 0 {
			n += fmt.Sprintf("%s%+d", string("eE"[random.IntN(2)]), random.IntN(13)-6)
		}
		if random.IntN(3) == 0 {
			n = "-" + n
		}
		return n
	}
	for range 1_500 {
		a, b := number(), number()
		exactA, _ := new(big.Rat).SetString(a)
		exactB, _ := new(big.Rat).SetString(b)
		require.Equal(t, exactA.Cmp(exactB) >= 0, len(faults(compile(t, `{"minimum":`+b+`}`), a, 1)) == 0, "%s >= %s", a, b)
		require.Equal(t, exactA.Cmp(exactB) < 0, len(faults(compile(t, `{"exclusiveMaximum":`+b+`}`), a, 1)) == 0, "%s < %s", a, b)
		require.Equal(t, exactA.Cmp(exactB) == 0, len(faults(compile(t, `{"const":`+b+`}`), a, 1)) == 0, "%s = %s", a, b)
		require.Equal(t, exactA.IsInt(), len(faults(compile(t, `{"type":"integer"}`), a, 1)) == 0, "%s is whole", a)
		if exactB.Sign() > 0 {
			require.Equal(t, new(big.Rat).Quo(exactA, exactB).IsInt(), len(faults(compile(t, `{"multipleOf":`+b+`}`), a, 1)) == 0, "%s is a multiple of %s", a, b)
		}
	}
}

// Values that meet all demands cost no memory.
func TestAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	s := compile(t, `{"required":["a","é"],"properties":{"a":{"pattern":"^[a-z\u00e9]+$","maxLength":9,"enum":["é","x"]},"é":{"minimum":0.5,"multipleOf":0.1,"enum":[1.5,2]},
		"l":{"items":{"type":["string","null"]},"enum":[["\u0061",null],[]]},"o":{"additionalProperties":{"type":"boolean"}}},"additionalProperties":false}`)
	value := []byte(`{"\u0061":"\u00e9","\u00e9":15e-1,"l":["\u0061",null],"o":{"x":true}}`)
	require.Zero(t, testing.AllocsPerRun(200, func() {
		c := schema.NewChecker(1)
		c.Check(s, value)
		if len(c.Faults) > 0 {
			panic("a fault")
		}
		c.Release()
	}))
}

// What a large event has needed is not kept for later ones.
func TestReleased(t *testing.T) {
	t.Parallel()
	c := schema.NewChecker(1)
	c.Buffer = make([]byte, 0, 1<<20)
	c.Release()
	for range 100 {
		require.LessOrEqual(t, cap(schema.NewChecker(1).Buffer), 64<<10)
	}
}

// A text that is not JSON gives some answer.
func FuzzCheck(f *testing.F) {
	schemas := []*schema.Schema{
		compile(f, `{"items":{"$ref":"#"},"additionalProperties":{"$ref":"#"},"enum":[[],{},"a",1,{"a":[1,"\u0061"]}],"type":["array","object","string","integer"]}`),
		compile(f, `{"properties":{"a":{"$ref":"#"},"b":{"minimum":1,"multipleOf":3,"pattern":"^(a|b)+$","minLength":1}},"required":["a","b"],"additionalProperties":false}`),
		compile(f, `{"allOf":[{"items":{"$ref":"#"}},{"minItems":1,"maxProperties":2}],"properties":{"a":{"const":"é"}}}`),
	}
	for _, text := range []string{
		`{"a":{"b":"ab"},"b":3}`, `[[],{},"\u0061",1e0]`, `{"\u0061":"\u00e9"}`, `{"a`, `[1,`, `"\`, `"\u`, `{"a":}`, `{:}`, `]`, `{,}`, `-`, `1e`, `nul`, "\xff", "", `{"a":[1,"\u0061"]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, s := range schemas {
			first, all := faults(s, string(text), 1), faults(s, string(text), 20)
			require.LessOrEqual(t, len(all), 20)
			require.Equal(t, len(all) > 0, len(first) > 0)
			for _, fault := range all {
				require.NotZero(t, fault.Kind)
				require.LessOrEqual(t, len(fault.Path)+len(fault.Found), 2_000)
			}
		}
	})
}
