package bench

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Named is a body with a name to report it by.
type Named struct {
	// Name describes what is wrong with the body.
	Name string
	// Body is the body as sent to the batch endpoint.
	Body []byte
	// Encoding is the Content-Encoding, "gzip" or empty.
	Encoding string
}

// hostileSize is the size of most large hostile bodies, just below the 500 kB
// that a batch may have.
const hostileSize = 490_000

// bombSize is the decompressed size of the gzip bombs in bytes.
const bombSize = 64 << 20

// Hostile returns bodies that are made to cost more than their size: some are valid, some
// are refused at the first byte and some only at the last. They have 60 bytes to 852 kB as
// sent.
func (c Corpus) Hostile() []Named {
	var all []Named
	for _, family := range [][]Named{c.hostileDepth(), c.hostileNames(), c.hostileText(), c.hostileShapes(), c.hostileGzip()} {
		all = append(all, family...)
	}
	return all
}

func (c Corpus) hostileDepth() []Named {
	deep := func(levels int, open, inner, end string) string {
		return strings.Repeat(open, levels) + inner + strings.Repeat(end, levels)
	}
	wide := `{"` + strings.Repeat("a", 43) + `":` // 47 bytes a level, 48 with its end
	return []Named{
		c.hostile("arrays 9,000 deep", deep(9_000, "[", "0", "]")),
		c.hostile("objects 9,000 deep", deep(9_000, `{"a":`, "0", "}")),
		c.hostile("arrays deeper than any parser goes", deep(240_000, "[", "0", "]")),
		c.hostile("an error 9,990 levels deep", deep(9_990, wide, "!", "}")),
		{Name: "arrays that never end", Body: []byte(strings.Repeat("[", hostileSize))},
	}
}

func (c Corpus) hostileNames() []Named {
	sixtyFour := "[" + filled(names(64)+",", hostileSize) + "0]"
	long := strings.Repeat("n", 30_000)
	each := `{"type":"page","userId":"u","properties":` + names(4_000) + `}`
	return []Named{
		c.hostile("59,000 names in one object", names(59_000)),
		c.hostile("100,000 names in one object", names(100_000)),
		c.hostile("objects of 64 names", sixtyFour),
		{Name: "4,000 names in each event", Body: []byte(`{"batch":[` + strings.Repeat(each+",", hostileSize/len(each)-1) + each + `]}`)},
		c.hostile("names of 30 kB", "{"+list(16, func(i int) string { return fmt.Sprintf(`"%s%d":0`, long, i) })+"}"),
		{Name: "a name twice in the root", Body: []byte(`{"batch":[{"type":"page","userId":"u"}],"x":1,"sentAt":"","x":2}`)},
		c.hostile("a name twice, once escaped", `{"plan":1,"\u0070lan":2}`),
		c.hostile("a name twice, 100 levels down", deepDuplicate(100)),
		c.hostile("the last of 50,000 names is the first again", strings.TrimSuffix(names(50_000), "}")+`,"0":0}`),
	}
}

func (c Corpus) hostileText() []Named {
	return []Named{
		c.hostile("invalid UTF-8", `{"text":"`+filled("caf\xe9 \xff\xfe ", hostileSize)+`"}`),
		c.hostile("lone surrogates", `{"text":"`+filled(`\ud83d`, hostileSize)+`"}`),
		c.hostile("a number of 400 digits", strings.Repeat("9", 400)),
		c.hostile("a number of 300,000 digits", strings.Repeat("9", 300_000)),
		c.hostile("numbers of 400 digits", "["+filled(strings.Repeat("9", 400)+",", hostileSize)+"0]"),
		c.hostile("escapes", `{"text":"`+filled(`\u0061\n`, hostileSize)+`"}`),
		c.hostile("spaces", "{"+strings.Repeat(" ", hostileSize)+"}"),
	}
}

func (c Corpus) hostileShapes() []Named {
	elements := `{"type":"page","userId":"u","properties":{"v":[` + strings.Repeat("0,", 16_000) + `0]}},`
	batch := c.Batch(480)
	return []Named{
		c.hostile("240,000 elements in one array", "["+strings.Repeat("0,", 240_000)+"0]"),
		{Name: "16,000 elements in each event", Body: []byte(`{"batch":[` + strings.Repeat(elements, 14) + strings.TrimSuffix(elements, ",") + `]}`)},
		{Name: "160,000 empty events", Body: []byte(`{"batch":[` + strings.Repeat("{},", 160_000) + `{}]}`)},
		{Name: "a batch cut off before its last byte", Body: batch[:len(batch)-1]},
		{Name: "a batch with a byte behind it", Body: append(bytes.Clone(batch), 'x')},
	}
}

// hostileImports returns bodies of the maximum size of an import.
func (c Corpus) hostileImports() []Named {
	const size = 4 << 20
	many := `{"type":"page","userId":"u","properties":` + names(5_000) + `},`
	return []Named{
		c.hostile("470,000 names in one object", names(470_000)),
		{Name: "5,000 names in each event", Body: []byte(`{"batch":[` + filled(many, size-len(many)) + strings.TrimSuffix(many, ",") + `]}`)},
		{Name: "1,300,000 empty events", Body: []byte(`{"batch":[` + filled("{},", size-20) + `{}]}`)},
	}
}

func (c Corpus) hostileGzip() []Named {
	zeros := compressed(io.LimitReader(zeroReader{}, bombSize))
	return []Named{
		{Name: "a gzip bomb", Body: zeros, Encoding: "gzip"},
		{Name: "a gzip bomb in gzip", Body: compressed(bytes.NewReader(zeros)), Encoding: "gzip"},
	}
}

// hostile returns a batch of one good event that has value as a property.
func (c Corpus) hostile(name, value string) Named {
	event := string(c.payload(0).expand(`"timestamp":"${time}","messageId":"${id:message}","sentAt":"${sent}"`))
	return Named{Name: name, Body: []byte(`{"batch":[{"type":"track","event":"E","userId":"u",` + event + `,"properties":{"v":` + value + `}}]}`)}
}

// names returns an object of n distinct names, as short as they can be.
func names(n int) string {
	return "{" + list(n, func(i int) string { return `"` + strconv.FormatInt(int64(i), 36) + `":0` }) + "}"
}

func list(n int, item func(i int) string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = item(i)
	}
	return strings.Join(items, ",")
}

func deepDuplicate(levels int) string {
	return strings.Repeat(`{"a":`, levels) + `{"b":1,"b":2}` + strings.Repeat("}", levels)
}

// filled repeats unit up to size bytes.
func filled(unit string, size int) string { return strings.Repeat(unit, size/len(unit)) }

// Compress returns body in gzip, as clients send it.
func Compress(body []byte) []byte { return compressed(bytes.NewReader(body)) }

func compressed(r io.Reader) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.Copy(w, r); err != nil {
		panic(err) // neither side can fail
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// A zeroReader reads zeros forever.
type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
