//go:build rig && linux

package rig

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/inlet-go/inlet/internal/bench"
)

// Sizes of bodies before they are compressed: just below what a batch and an import may have.
const (
	batchSize  = 500_000
	importSize = 4<<20 - 100
)

// numbered repeats a text n times, separated by commas, with each # replaced by a number.
func numbered(text string, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strings.ReplaceAll(text, "#", strconv.FormatInt(int64(i), 36)))
	}
	return b.String()
}

// filled repeats a text up to a size, separated by commas.
func filled(text string, size int) string { return numbered(text, size/(len(text)+1)) }

// noise returns letters that do not compress well, the same for each seed.
func noise(n int, seed uint64) string {
	r := rand.New(rand.NewPCG(1, seed))
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(r.IntN(16))
	}
	return string(b)
}

// writeKey is the key that the servers accept.
const writeKey = bench.WriteKey

func compress(body string) []byte { return bench.Compress([]byte(body)) }

// gzipped returns a request with a compressed body.
func gzipped(path string, key bool, body string) form {
	return form{path: path, key: key, header: []string{"Content-Encoding", "gzip"}, body: compress(body)}
}

// zstdBomb returns a body that does not announce how much larger it becomes.
func zstdBomb(size int) []byte {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	if err == nil {
		_, err = w.Write(bytes.Repeat([]byte{' '}, size))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// mergedDefaults is a batch whose context of some size belongs to 2,500 events.
func mergedDefaults(size int) string {
	return `{"context":{"x":"` + noise(500, 0) + strings.Repeat("x", size-500) + `"},"batch":[` + filled(`{"type":"page","userId":"u","context":{"a":1}}`, 2_500*47) + `]}`
}

// smallMembers is as many members as an import has room for. Its size must not be too many
// times that of the compressed one.
func smallMembers() string {
	r := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	b.WriteString(`{"batch":[{"a":0}`)
	for b.Len() < importSize {
		fmt.Fprintf(&b, `,{"a":%d}`, r.IntN(3))
	}
	return b.String() + `]}`
}

// manyDefaults is defaults with many names, above events with as many others.
func manyDefaults(name string, size int) string {
	own := `{"type":"page","userId":"u","context":{` + numbered(`"`+name+`x#":0`, 150) + `}}`
	return `{"context":{` + numbered(`"`+name+`#":0`, 120) + `},"batch":[` + strings.Repeat(own+",", size/(len(own)+1)-2) + own + `]}`
}

// firstItem is an item with 9,999 names, and then many that repeat the same 40.
func firstItem() string {
	return `{"batch":[{` + numbered(`"#":0`, 9_999) + `},` + repeated(`{`+numbered(`"#":0`, 40)+`}`, batchSize-90_000) + `]}`
}

// repeated repeats a text up to a size, separated by commas, unchanged.
func repeated(text string, size int) string {
	return strings.TrimSuffix(strings.Repeat(text+",", size/(len(text)+1)), ",")
}

// lyingTrailer is a compressed body of a few bytes that claims to have been 4 MiB.
func lyingTrailer() []byte {
	b := compress("{}")
	return append(b[:len(b)-4], 0, 0, 0x40, 0)
}

// act is an event of Commanders Act 1.0 with a device in three places.
func acts() string {
	wide := numbered(`"n#":0`, 60)
	return `{"batch":[` + repeated(`{"event_name":"e","userAgent":"","locale":"","device":{`+wide+`},"context":{"device":{`+wide+`},"version":1},`+
		`"properties":{"context":{"device":{`+wide+`}}}}`, batchSize-100) + `]}`
}

// nested is events nested as deep as they may be.
func nested() string {
	return `{"batch":[` + each(2_400, func(i uint64) string {
		return `{"type":"page","userId":"u","properties":` + strings.Repeat(`{"a":`, 190) + `"` + noise(16, i) + `"` + strings.Repeat("}", 190) + `}`
	}) + `]}`
}

// escapes is long texts of escapes and of invalid UTF-8, which has to be replaced.
func escapes() string {
	text := strings.Repeat(`\u0061\ud83d`, 1_000) + strings.Repeat("\xff\xfe", 2_000)
	return `{"batch":[` + each(importSize/17_000, func(i uint64) string {
		return `{"type":"page","userId":"u","properties":{"t":"` + noise(200, i) + text + `"}}`
	}) + `]}`
}

// each joins n items that are made by their numbers.
func each(n int, item func(i uint64) string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = item(uint64(i))
	}
	return strings.Join(items, ",")
}

// ordinaryImport is an import of ordinary events.
func ordinaryImport() []byte { return bench.Corpus{}.Batch(2_400)[:] }
