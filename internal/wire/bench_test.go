package wire

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/bench"
)

// BenchmarkRead reads bodies of the corpus, with and without an outline.
func BenchmarkRead(b *testing.B) {
	c := bench.Corpus{}
	for name, bodies := range map[string][][]byte{
		"track": c.Tracks(), "batch of 100": c.Batches(100), "Commanders Act": c.CAV1Batches(100),
	} {
		run := func(b *testing.B, read func(d *Document, body []byte) error) {
			b.Helper()
			size := 0
			for _, body := range bodies {
				size += len(body)
			}
			b.SetBytes(int64(size / len(bodies)))
			b.ReportAllocs()
			d, i := new(Document), 0
			for b.Loop() {
				if err := read(d, bodies[i%len(bodies)]); err != nil {
					require.NoError(b, err)
				}
				i++
			}
		}
		b.Run("document/"+name, func(b *testing.B) {
			run(b, func(d *Document, body []byte) error { return d.Read(body, `"batch"`, wideLimits) })
		})
		b.Run("outline/"+name, func(b *testing.B) {
			o := &Outline{Watch: watched}
			run(b, func(d *Document, body []byte) error { return o.Read(d, body, `"batch"`, wideLimits) })
		})
	}
}
