package body_test

import (
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/account"
	"github.com/inlet-go/inlet/internal/body"
)

// mixed returns text of a size that compresses about as well in every part of it.
func mixed(size int) string {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < size {
		for range 16 {
			b.WriteByte(byte('a' + random.IntN(26)))
		}
		b.WriteString(strings.Repeat("0123456789abcdef", 40))
	}
	return b.String()[:size]
}

// In every encoding and at every size, a body is refused if it gets larger than the ratio allows,
// and no body that does not.
func TestRatio(t *testing.T) {
	t.Parallel()
	const most = 4 << 20
	bounded := func(ratio int64) *reader {
		rd := newReader(func(o *body.Options) { o.MaxBytes, o.MaxWireBytes, o.MaxRatio = most, most, ratio })
		rd.budget = account.NewBudget(8 * most)
		return rd
	}
	sizes := []int{65 << 10, 200_000, 1<<20 - 1, 1<<20 + 1, 3 << 20}
	for encoding, header := range map[string]string{"gzip": "gzip", "deflate": "deflate", "flate": "deflate", "zstd": "zstd"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			for _, size := range sizes {
				text := mixed(size)
				sent := compressed(t, encoding, text)
				ratio := float64(size) / float64(len(sent))
				require.Greater(t, ratio, 10.)
				read := func(ratio int64) (*body.Buffer, error) {
					buf, _, err := bounded(ratio).read(httptest.NewRecorder(), request(header, strings.NewReader(sent)), most)
					return buf, err
				}
				buf, err := read(int64(1.2*ratio) + 1)
				require.NoError(t, err, "%d bytes, %.1f times as large", size, ratio)
				require.Equal(t, text, string(buf.Bytes))
				buf.Free()
				_, err = read(int64(0.95 * ratio))
				require.ErrorIs(t, err, body.ErrExpandsTooMuch, "%d bytes, %.1f times as large", size, ratio)
			}
			// Up to 64 KiB there is no bound.
			text := strings.Repeat("x", 64<<10)
			buf, _, err := bounded(1).read(httptest.NewRecorder(), request(header, strings.NewReader(compressed(t, encoding, text))), most)
			require.NoError(t, err)
			buf.Free()
		})
	}
}
