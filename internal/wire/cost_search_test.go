//go:build steps

package wire_test

import (
	"flag"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// How long TestCostSearch searches, and from where.
var (
	executions = flag.Int("executions", 20_000, "how many bodies TestCostSearch tries")
	searchSeed = flag.Uint64("seed", 1, "seed of TestCostSearch")
	showWorst  = flag.Bool("worst", false, "have TestCostSearch print the worst body of each pass")
)

// sizes are how long the bodies of the search are at most, in bytes. Most are short, so that
// there are many.
var sizes = [...]int{maxFuzzed, 3 << 10, 3 << 10, 3 << 10, 1 << 10}

// survivors is how many inputs of each pass the search goes on from.
const survivors = 48

// A costInput is what FuzzCost makes a body of.
type costInput struct {
	shape, levels uint8
	first, second string
	n, m          uint16
}

func (c *costInput) body(most int) string {
	return fuzzedBody(c.shape, c.first, c.second, int(c.n), int(c.m), int(c.levels), most)
}

// A costSearch looks for the body that costs a pass most. It changes the worst bodies so far
// and keeps what is worse. That takes no instrumentation, and finds more than a search for
// new code.
type costSearch struct {
	*rand.Rand
	pass   *pass
	inputs [survivors]costInput
	ratios [survivors]float64
	tried  int
	worst  float64
	body   string // that has the worst ratio
}

// fragments are what bodies are made of.
var fragments = []string{
	`"#":0`, `"x#":{"a":1}`, `"\u006e#":0`, `"#":"\ud800"`, `"n#" : [1,{"a":"\\"}]`, `"a":{`, `}`, `{"#":0}`, `[`, `]`, `,`, `:`, `"`, `""`,
	`\`, `\"`, `\\`, `\u0061`, `\ud83d`, `\ud83d\ude00`, "\xff", "é", "😀", `0`, `-1.5e300`, `true`, `null`, ` `, "\n", `{}`, `[]`, `#`,
	`"user":{"a#":1}`, `"context":{"device":{"#":2}}`, `"device":{"#":2}`, `"properties":{"#":1}`, `"page":{}`, `"event_name":"e"`,
	`"traits":{"email":"x"}`, `"type":"page"`, `"userId":"u"`, `"batch":[{}]`, `{"batch":[`, `"consent_categories":[1]`, `"\u0075ser":{}`,
	`"aaaaaaaaaaaaaaaaaaaaaaaa#":0`, `"#aaaaaaaaaaaaaaaaaaaaaaaa":0`, `{"a":1,"\u0061":2}`, `"version":1`, `"event_timestamp":1639044446636`,
}

func newCostSearch(p *pass, seed uint64) *costSearch {
	s := &costSearch{Rand: rand.New(rand.NewPCG(seed, 0)), pass: p}
	for i := range s.inputs {
		s.inputs[i] = costInput{
			shape: uint8(i), first: fragments[s.IntN(len(fragments))], second: fragments[s.IntN(len(fragments))],
			n: uint16(s.IntN(200)), m: uint16(s.IntN(200)), levels: uint8(s.IntN(8)),
		}
	}
	bodies, i := hostile(), 0
	for _, name := range slices.Sorted(maps.Keys(bodies)) {
		if body := bodies[name]; len(body) <= maxFuzzed && i < survivors/2 {
			s.inputs[i] = costInput{first: body, n: 1}
			i++
		}
	}
	return s
}

// try changes one of the inputs, and keeps the change in place of another input if that costs
// less.
func (s *costSearch) try() {
	in := s.inputs[s.IntN(survivors)]
	for range 1 + s.IntN(3) {
		s.mutate(&in)
	}
	most := sizes[min(s.IntN(32), len(sizes)-1)]
	body := in.body(most)
	if len(body) > most {
		return
	}
	s.tried++
	ratio := s.pass.cost([]byte(body))
	if at := s.IntN(survivors); ratio > s.ratios[at] {
		s.inputs[at], s.ratios[at] = in, ratio
	}
	if ratio > s.worst {
		s.worst, s.body = ratio, body
	}
}

func (s *costSearch) mutate(in *costInput) {
	switch s.IntN(8) {
	case 0:
		in.shape = uint8(s.IntN(4))
	case 1:
		in.n = s.number(in.n)
	case 2:
		in.m = s.number(in.m)
	case 3:
		in.levels = uint8(s.number(uint16(in.levels)))
	case 4:
		other := &s.inputs[s.IntN(survivors)]
		in.first, in.second = other.second, in.first
	case 5:
		in.first = s.text(in.first)
	default:
		in.second = s.text(in.second)
	}
}

// number returns a number that may be near to n.
func (s *costSearch) number(n uint16) uint16 {
	switch s.IntN(4) {
	case 0:
		return n + 1
	case 1:
		return n - 1
	case 2:
		return n * 2
	}
	return uint16(1<<s.IntN(12)) - uint16(s.IntN(2))
}

// text returns a text with a part of it removed, repeated or replaced.
func (s *costSearch) text(text string) string {
	from := s.IntN(len(text) + 1)
	to := min(len(text), from+1+s.IntN(1+s.IntN(len(text)+16)))
	part := text[from:to]
	switch s.IntN(7) {
	case 0:
		return text[:from] + text[to:]
	case 1:
		return text[:to] + part + text[to:]
	case 2:
		return text[:to] + strings.Repeat(part, s.IntN(1+2_000/(1+len(part)))) + text[to:]
	case 3:
		return text[:from] + string(rune(s.IntN(256))) + text[to:]
	case 4:
		return text[:from] + fragments[s.IntN(len(fragments))] + text[to:]
	case 5:
		return text[:from] + strings.Repeat(fragments[s.IntN(len(fragments))], 1+s.IntN(40)) + text[from:]
	}
	return text[:from] + fragments[s.IntN(len(fragments))] + "," + fragments[s.IntN(len(fragments))] + text[from:]
}

// TestCostSearch makes bodies that cost more and more. It does what FuzzCost does, only
// faster. Like TestCost it is not parallel.
func TestCostSearch(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	for i := range passes {
		t.Run(passes[i].name, func(t *testing.T) {
			s := newCostSearch(&passes[i], *searchSeed+uint64(i)<<32)
			began := time.Now()
			for most := *executions / len(passes); s.tried < most && s.worst <= maxCost; {
				s.try()
			}
			require.LessOrEqual(t, s.worst, float64(maxCost), "%q", s.body)
			t.Logf("%d executions, %.0f a second, at most %.2f times an ordinary body", s.tried, float64(s.tried)/time.Since(began).Seconds(), s.worst)
			if *showWorst {
				t.Logf("%q", s.body)
			}
		})
	}
}
