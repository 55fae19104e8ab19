//go:build steps

package wire_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/bench"
	"github.com/inlet-go/inlet/internal/commandersact"
	"github.com/inlet-go/inlet/internal/wire"
)

// maxCost is how many times the steps of an ordinary body of its size a body may take.
const maxCost = 4

// perRequest is how many bytes each body counts for in addition to its own: an ordinary
// request costs as much before its first byte is read, so small bodies are no attack.
const perRequest = 256

// costLimits are those of a handler, and costBytes is what a batch may have.
var costLimits = wire.Limits{Depth: 200, Members: 10_000, Bytes: 32_768, Items: 2_500}

const costBytes = 512_000

// A pass is something that is done to every body, on which steps are counted.
type pass struct {
	name string
	// run returns how many bytes the pass was given, and those that it was charged for in
	// addition.
	run func(body []byte) (bytes int)
	// ordinary are bodies to compare with.
	ordinary func() [][]byte
}

var passes = []pass{
	{"document", readDocument, ordinaryBatches},
	{"outline", readOutline, ordinaryBatches},
	{"merge", mergeDefaults, ordinaryBatches},
	{"edit", editEvents, ordinaryBatches},
	{"migration", func(body []byte) int { return migrateEvents(body, true) }, ordinaryActs},
	{"migration with notes", func(body []byte) int { return migrateEvents(body, false) }, ordinaryActs},
}

// searchBody does what is done with the body of a client that is not known.
func searchBody(body []byte) int {
	costSearcher.Tail(body)
	costSearcher.Search(body, `"batch"`, func(int, int, []byte) bool { return true })
	return len(body)
}

var costSearcher = wire.NewSearcher([]string{`"writeKey"`, `"token"`, `"appId"`})

// Searching a body for a key takes no more steps than reading an ordinary one of its size, and
// telling what is wrong with it no more than one and a half times as many.
func TestSearchCost(t *testing.T) {
	read := pass{name: "read", run: readDocument, ordinary: ordinaryBatches}
	search := pass{name: "search", run: searchBody, ordinary: ordinaryBatches}
	check := pass{name: "check", run: func(body []byte) int { _ = wire.Check(body, `"batch"`, 2_500); return len(body) }, ordinary: ordinaryBatches}
	for name, body := range hostile() {
		searched, checked := search.perByte([]byte(body))/read.baseline(), check.perByte([]byte(body))/read.baseline()
		t.Logf("%s: %.2f, %.2f", name, searched, checked)
		require.LessOrEqual(t, searched, 1.0, name)
		require.LessOrEqual(t, checked, 1.5, name)
	}
}

func ordinaryBatches() [][]byte { return bench.Corpus{}.Batches(20)[:4] }
func ordinaryActs() [][]byte    { return bench.Corpus{}.CAV1Batches(20)[:4] }

func readDocument(body []byte) int {
	var d wire.Document
	_ = d.Read(body, `"batch"`, costLimits)
	d.AsItem()
	return len(body)
}

func readOutline(body []byte) int {
	var d wire.Document
	o := wire.Outline{Watch: costWatch}
	_ = o.Read(&d, body, `"batch"`, costLimits)
	return len(body)
}

var costWatch = wire.NewWatch(`"user"`, `"context"`)

// mergeDefaults gives the events of a batch its defaults, as the handler does: events
// without a context of their own share it, and what all others get may not exceed what a
// batch may have. Merged bytes are charged for like those of the body.
func mergeDefaults(body []byte) (charged int) {
	charged = len(body)
	var doc wire.Document
	if doc.Read(body, `"batch"`, costLimits) != nil {
		return charged
	}
	items, _ := doc.Items()
	under := doc.Root().Get(`"context"`)
	if wire.Kind(under) != '{' || len(under)*items.Len() > costBytes {
		return charged
	}
	var d wire.Defaults
	d.Set(under)
	var merged []byte
	for i := range items.Len() {
		if over := items.At(i).Get(`"context"`); wire.Kind(over) == '{' && !wire.EmptyObject(over) {
			merged, _, _ = d.AppendUnder(merged[:0], over, `"traits"`)
			charged += len(merged)
		}
	}
	return charged
}

// editEvents looks for a member and changes it, as enrichers do.
func editEvents(body []byte) int {
	var doc wire.Document
	if doc.Read(body, `"batch"`, costLimits) != nil {
		return len(body)
	}
	path := []string{`"a"`, `"traits"`, `"email"`}
	var edited []byte
	items, _ := doc.Items()
	for i := range items.Len() {
		for k := range items.At(i).Len() {
			value := items.At(i).Value(k)
			wire.Has(value, path)
			edited = wire.AppendEdited(edited[:0], value, path, func(_, _ []byte) []byte { return nil })
		}
	}
	return len(body)
}

func migrateEvents(body []byte, countOnly bool) int {
	var m commandersact.Migrator
	var from, into wire.Document
	if m.Load(&from, body, costLimits) == nil {
		m.Migrate(nil, &into, commandersact.Options{ReceivedAt: time.Unix(1e9, 0), CountOnly: countOnly})
	}
	return len(body)
}

// cost returns the steps per byte of a pass over a body, in times of an ordinary one.
func (p *pass) cost(body []byte) float64 { return p.perByte(body) / p.baseline() }

// perByte returns the steps per byte of a pass over a body.
func (p *pass) perByte(body []byte) float64 {
	var charged int
	steps := wire.Steps(func() { charged = p.run(body) })
	return float64(steps) / float64(charged+repairs(body)+perRequest)
}

// repairs returns by how many bytes a body grows if invalid UTF-8 in it is replaced. They are
// memory, and charged for like those of the body.
func repairs(body []byte) (more int) {
	for i := 0; i < len(body); {
		char, n := utf8.DecodeRune(body[i:])
		if char == utf8.RuneError && n == 1 {
			more += len("\uFFFD") - 1
		}
		i += n
	}
	return more
}

var baselines sync.Map // by the name of a pass

// baseline returns the steps per byte of ordinary bodies.
func (p *pass) baseline() float64 {
	if known, ok := baselines.Load(p.name); ok {
		return known.(float64)
	}
	sum := 0.0
	bodies := p.ordinary()
	for _, body := range bodies {
		sum += p.perByte(body)
	}
	baselines.Store(p.name, sum/float64(len(bodies)))
	return sum / float64(len(bodies))
}

// numbered repeats a text n times, separated by commas, with each # replaced by a number.
func numbered(text string, n int) string {
	parts := strings.Split(text, "#")
	b := make([]byte, 0, (len(text)+4)*n)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		for k, part := range parts {
			if k > 0 {
				b = strconv.AppendInt(b, int64(i), 36)
			}
			b = append(b, part...)
		}
	}
	return string(b)
}

func nest(levels int, open, inner, end string) string {
	return strings.Repeat(open, levels) + inner + strings.Repeat(end, levels)
}

// batchOf returns a batch with a context, and n events with one of their own.
func batchOf(context, own string, n int) string {
	return `{"context":{` + context + `},"batch":[` + numbered(`{"type":"page","userId":"u","context":{`+own+`}}`, n) + `]}`
}

// hostile are bodies that are made to cost more than their size.
func hostile() map[string]string {
	deep := func(inner string) string { return nest(190, `{"a":`, inner, `}`) }
	escaped := strings.ReplaceAll(`"#":0`, `"#`, `"\u006e#`)
	acts := func(event string, n int) string { return `{"batch":[` + numbered(event, n) + `]}` }
	colliding := "{" + strings.Join(collisions(31), ",") + "}"
	return map[string]string{
		"many names under many names":             batchOf(numbered(`"#":0`, 600), numbered(`"x#":0`, 300), 130),
		"the same names under the same names":     batchOf(numbered(`"#":0`, 600), numbered(`"#":1`, 600), 100),
		"names in reverse":                        batchOf(numbered(`"z#":0`, 140), reversed(numbered(`"z#":1`, 140)), 300),
		"names with escapes under the same":       batchOf(numbered(escaped, 200), numbered(escaped, 200), 150),
		"names with escapes under others":         batchOf(numbered(escaped, 200), numbered(`"\u006f#":0`, 200), 150),
		"many defaults under one name":            batchOf(numbered(`"#":0`, 700), `"x":1`, 100),
		"many names under many names, in levels":  batchOf(`"a":{"a":{"a":{`+numbered(`"#":0`, 300)+`}}}`, `"a":{"a":{"a":{`+numbered(`"x#":0`, 300)+`}}}`, 100),
		"white space under names":                 batchOf(numbered(` "#" : 0 `, 100), numbered(` "x#" : 0 `, 100), 200),
		"deep contexts in 338 events":             `{"context":` + deep(`{"b":[`+strings.Repeat("0,", 150)+`0]}`) + `,"batch":[` + numbered(`{"type":"page","userId":"u","context":`+deep("{}")+`}`, 338) + `]}`,
		"a first item with 9,999 names, then 40":  `{"batch":[{` + numbered(`"#":0`, 9_999) + `},` + numbered(`{`+strings.ReplaceAll(numbered(`"n@":0`, 40), "@", "#")+`}`, 1_500) + `]}`,
		"the same 40 names again and again":       `{"batch":[{"p":{` + numbered(`"#":0`, 8_000) + `},"q":[` + repeated("{"+numbered(`"#":0`, 40)+"}", 400) + `]}]}`,
		"the same 40 names in nested objects":     `{"batch":[{"p":` + nest(180, `{`+numbered(`"#":0`, 40)+`,"x":`, "0", "}") + `}]}`,
		"objects of 31 names":                     `{"batch":[{"p":[` + repeated("{"+numbered(`"#":0`, 31)+"}", 300) + `]}]}`,
		"objects of 32 names":                     `{"batch":[{"p":[` + repeated("{"+numbered(`"#":0`, 32)+"}", 300) + `]}]}`,
		"objects of 64 names":                     `{"batch":[{"p":[` + repeated("{"+numbered(`"#":0`, 64)+"}", 150) + `]}]}`,
		"names with the same fingerprint":         `{"batch":[{"p":[` + repeated(colliding, 300) + `]}]}`,
		"objects of 33 names with escapes":        `{"batch":[{"p":[` + repeated("{"+numbered(escaped, 33)+"}", 290) + `]}]}`,
		"59,000 names in one object":              `{"batch":[{"p":{` + numbered(`"#":0`, 59_000) + `}}]}`,
		"4,000 names in each event":               `{"batch":[` + repeated(`{"type":"page","userId":"u","properties":{`+numbered(`"#":0`, 4_000)+`}}`, 14) + `]}`,
		"5,000 names in each event of an import":  `{"batch":[` + repeated(`{"type":"page","userId":"u","properties":{`+numbered(`"#":0`, 5_000)+`}}`, 100) + `]}`,
		"a name of 30 kB":                         `{"batch":[{"p":{"` + strings.Repeat("n", 30_000) + `":0}}]}`,
		"long names that differ in the last byte": `{"batch":[{"p":{` + numbered(`"`+strings.Repeat("n", 900)+`#":0`, 31) + `}}]}`,
		"a name twice":                            `{"batch":[` + repeated(`{"a":1,"\u0061":2}`, 2_000) + `]}`,
		"lone surrogates":                         `{"batch":[` + repeated(`{"text":"`+strings.Repeat(`\ud83d`, 5_000)+`"}`, 16) + `]}`,
		"lone surrogates in names":                `{"batch":[{` + numbered(`"\ud83d\ud83d#":0`, 2_000) + `}]}`,
		"invalid UTF-8":                           "{\"batch\":[" + repeated("{\"text\":\""+strings.Repeat("caf\xe9 \xff\xfe ", 3_000)+"\"}", 18) + "]}",
		"invalid UTF-8 in each item":              "{\"batch\":[" + repeated("{\"\xff\":\"\xfe\"}", 2_400) + "]}",
		"escapes":                                 `{"batch":[` + repeated(`{"text":"`+strings.Repeat(`\u0061\n`, 4_000)+`"}`, 14) + `]}`,
		"quotes and backslashes":                  `{"batch":[` + repeated(`{"a":"`+strings.Repeat(`\\\"`, 8_000)+`"}`, 14) + `]}`,
		"240,000 elements in one array":           `{"batch":[{"p":[` + strings.Repeat("0,", 240_000) + `0]}]}`,
		"arrays 190 deep":                         `{"batch":[` + repeated(`{"a":{"traits":`+nest(190, "[", strings.Repeat("0,", 9_000)+"0", "]")+`}}`, 20) + `]}`,
		"objects 190 deep":                        `{"batch":[` + repeated(`{"a":`+deep("0")+`}`, 400) + `]}`,
		"an error in the last byte":               strings.TrimSuffix(batchOf("", numbered(`"#":0`, 500), 100), "}"),
		"empty events":                            `{"batch":[` + strings.Repeat(`{},`, 2_499) + `{}]}`,
		"a device with many names":                acts(`{"event_name":"e","userAgent":"u","locale":"fr","device":{`+strings.ReplaceAll(numbered(`"@":0`, 800), "@", "d")+`},"properties":{}}`, 40),
		"a device with names with escapes":        acts(`{"event_name":"e","userAgent":"u","locale":"fr","device":{"\u0075serAgent":"",`+numbered(`"\u0064@":0`, 1)+strings.Repeat(`,"\u0065":[]`, 1)+`},"properties":{}}`, 300),
		"a device in three places":                acts(`{"event_name":"e","userAgent":"","locale":"","device":{`+wide+`},"context":{"device":{`+wide+`},"version":1},"properties":{"context":{"device":{`+wide+`}}}}`, 40),
		"users in both places":                    acts(`{"event_name":"e","user":{`+wide+`},"properties":{"user":{`+wide+`},"partners":{`+wide+`}},"partners":{`+wide+`}}`, 30),
		"users with other values":                 acts(`{"event_name":"e","user":{`+wide+`},"properties":{"user":{`+strings.ReplaceAll(wide, ":0", ":1")+`}}}`, 40),
		"long names above conflicts":              acts(`{"event_name":"e","user":{"`+strings.Repeat("x", 10_000)+`":{`+wide+`}},"properties":{"user":{"`+strings.Repeat("x", 10_000)+`":{`+strings.ReplaceAll(wide, ":0", ":1")+`}}}}`, 12),
		"long names above short conflicts":        acts(`{"event_name":"e","user":{"`+strings.Repeat("x", 200)+`":{`+wide+`}},"properties":{"user":{"`+strings.Repeat("x", 200)+`":{`+strings.ReplaceAll(wide, ":0", ":1")+`}}}}`, 40),
		"long names above few conflicts":          acts(`{"event_name":"e","user":{"`+strings.Repeat("x", 90)+`":{`+few+`}},"properties":{"user":{"`+strings.Repeat("x", 90)+`":{`+strings.ReplaceAll(few, ":0", ":1")+`}}}}`, 400),
		"users with few names, in levels":         acts(`{"event_name":"e","user":{"a":{"a":{"a":{`+shortest+`}}}},"properties":{"user":{"a":{"a":{"a":{`+strings.ReplaceAll(shortest, ":0", ":1")+`}}}}}}`, 40),
		"users with names in reverse, in levels":  acts(`{"event_name":"e","user":{"a":{"a":{"a":{`+shortest+`}}}},"properties":{"user":{"a":{"a":{"a":{`+reversed(strings.ReplaceAll(shortest, ":0", ":1"))+`}}}}}}`, 40),
		"contexts in both places":                 acts(`{"event_name":"e","context":{`+wide+`,"version":1},"properties":{"context":{`+wide+`}},"page":{},"x":{`+wide+`}}`, 30),
		"contexts in both places, with escapes":   acts(`{"event_name":"e","context":{`+escapedWide+`},"properties":{"context":{`+escapedWide+`}},"page":{},"y":{`+escapedWide+`}}`, 30),
		"pages and users with escapes":            acts(`{"event_name":"e","page":{"location":"l",`+escapedWide+`},"properties":{"user":{`+escapedWide+`,"consent_categories":[1]}}}`, 60),
		"many unknown members of the root":        acts(`{"event_name":"e","properties":{},`+strings.ReplaceAll(numbered(`"u@":0`, 1), "@", "u")+`,`+wide+`}`, 60),
		"many objects in an event":                acts(`{"event_name":"e","properties":{"user":{}},"page":{},"device":{},`+strings.ReplaceAll(wide, ":0", ":{}")+`}`, 60),
		"empty events of 1.0":                     acts(`{"event":"e","properties":{}}`, 2_000),
		"misplaced metadata":                      acts(`{"event_name":"e","context":{`+wide+`},"event_id":"i","event_timestamp":1639044446636}`, 60),
	}
}

// wide has 300 short members, the same wherever it is; escapedWide writes their names with
// escapes.
var wide, escapedWide = sameNames("n"), sameNames(`\u006e`)

// shortest has as many members with the shortest names, and few has some of them.
var shortest, few = numberedNames(300), numberedNames(30)

// numberedNames is numbered for the members of an event in a list, whose own number a # gets.
func numberedNames(n int) string { return numbered(`"#":0`, n) }

func sameNames(prefix string) string {
	names := make([]string, 300)
	for i := range names {
		names[i] = fmt.Sprintf(`"%s%d":0`, prefix, i)
	}
	return strings.Join(names, ",")
}

func repeated(text string, n int) string { return strings.TrimSuffix(strings.Repeat(text+",", n), ",") }

// collisions returns members whose names, of two words, have the same fingerprint: the second
// word makes up for the first.
func collisions(n int) (members []string) {
	const mixer = 0x9e3779b97f4a7c15 // as in scan.go
	var name [16]byte
	for i := uint64(0); len(members) < n; i++ {
		for k := range 8 {
			name[k] = '@' + byte(i>>(4*k)&15)
		}
		first := binary.LittleEndian.Uint64(name[:8])
		binary.LittleEndian.PutUint64(name[8:], 0x6e6e6e6e6e6e6e6e^first*mixer)
		if !bytes.ContainsFunc(name[8:], func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
			members = append(members, `"`+string(name[:])+`":0`)
		}
	}
	return members
}

// reversed returns members in the reverse order.
func reversed(members string) string {
	all := strings.Split(members, ",")
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return strings.Join(all, ",")
}

// TestCost counts the steps of every pass over hostile bodies. It is not parallel: steps are
// counted for the whole process.
func TestCost(t *testing.T) {
	worst := map[string]float64{}
	names := map[string]string{}
	for name, body := range hostile() {
		for _, p := range passes {
			ratio := p.cost([]byte(body))
			require.LessOrEqual(t, ratio, float64(maxCost), "%s: %s", p.name, name)
			if ratio > worst[p.name] {
				worst[p.name], names[p.name] = ratio, name
			}
		}
	}
	for _, p := range passes {
		t.Logf("%-20s %.2f steps per byte of an ordinary body, at most %.2f times as many (%s)", p.name, p.baseline(), worst[p.name], names[p.name])
	}
}

// maxFuzzed is how long the bodies are that FuzzCost makes, in bytes. What grows faster than
// a body shows in this many, and short bodies make many executions.
const maxFuzzed = 16 << 10

// FuzzCost searches for a body that costs more than it may. It makes one of two texts, each
// repeated some times with a number for every #, and nested.
func FuzzCost(f *testing.F) {
	bodies := hostile()
	for i, name := range slices.Sorted(maps.Keys(bodies)) {
		if body := bodies[name]; len(body) <= maxFuzzed {
			f.Add(uint8(0), uint8(i), body, "", uint16(1), uint16(1), uint8(0))
		}
	}
	for shape := range uint8(4) {
		for i := range uint8(len(passes)) {
			f.Add(shape, i, `"#":0`, `"x#":{"a":1}`, uint16(200), uint16(100), uint8(2))
			f.Add(shape, i, `"\u006e#":"\ud800"`, `"n#" : [1,{"a":"\\"}]`, uint16(40), uint16(30), uint8(0))
			f.Add(shape, i, `"#":0`, `"#":{}`, uint16(200), uint16(259), uint8(2))
			f.Add(shape, i, `"#":""`, "\"#\":[{\"0\x81\x81\x81\x81\x81\x81\x81\x81\":\"\"}]", uint16(40), uint16(30), uint8(24))
			f.Add(shape, i, `"user":{"a#":1},"context":{"device":{"#":2}}`, `"device":{"#":2}`, uint16(1), uint16(20), uint8(1))
		}
	}
	f.Fuzz(func(t *testing.T, shape, which uint8, first, second string, n, m uint16, levels uint8) {
		body := fuzzedBody(shape, first, second, int(n), int(m), int(levels), maxFuzzed)
		if len(body) > maxFuzzed {
			return
		}
		p := &passes[int(which)%len(passes)]
		require.LessOrEqual(t, p.cost([]byte(body)), float64(maxCost), "%s: %s", p.name, body)
	})
}

// fuzzedBody returns a body of a shape, or one that is longer than most.
func fuzzedBody(shape uint8, first, second string, n, m, levels, most int) string {
	if levels %= 200; (len(first)+1)*n+(len(second)+1)*m+14*levels > most {
		return strings.Repeat(" ", most+1)
	}
	if shape %= 4; shape == 0 {
		return first
	}
	under := nest(levels, `"a":{`, numbered(first, n), "}")
	over := nest(levels, `"a":{`, numbered(second, m), "}")
	room := max(1, (most-len(under)-100)/(len(over)+80))
	switch shape {
	case 1:
		return batchOf(under, over, room)
	case 2:
		return `{"batch":[` + numbered(`{"type":"page","userId":"u","properties":{`+over+`}}`, room) + `,{` + under + `}]}`
	default:
		return `{"event_name":"e","userAgent":"","page":{"location":"l"},"user":{` + under + `},"context":{` + over + `},` +
			`"properties":{"user":{` + over + `},"context":{` + under + `}},"x":{` + under + `}}`
	}
}
