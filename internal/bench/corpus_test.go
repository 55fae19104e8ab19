package bench

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"regexp"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// pools returns the corpus with the mean sizes that it is made for.
func pools(c Corpus) map[string]struct {
	bodies [][]byte
	mean   float64
} {
	type pool = struct {
		bodies [][]byte
		mean   float64
	}
	return map[string]pool{
		"track":         {c.Tracks(), 714},
		"page":          {c.Pages(), 1350},
		"identify":      {c.Identifies(), 1456},
		"batch of 10":   {c.Batches(10), 9_800},
		"batch of 20":   {c.Batches(20), 19_700},
		"batch of 100":  {c.Batches(100), 97_700},
		"batch of 250":  {c.Batches(250), 244_000},
		"segstream":     {c.SegStream(), 523},
		"ca-v1":         {c.CAV1(), 1064},
		"ca-v2":         {c.CAV2(), 1064},
		"ca-v1 batches": {c.CAV1Batches(20), 21_280},
		"ca-v2 batches": {c.CAV2Batches(20), 21_280},
	}
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	// Each pool is valid JSON of the mean size it is made for, and no two bodies are equal.
	t.Run("pools", func(t *testing.T) {
		t.Parallel()
		for name, pool := range pools(Corpus{}) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				seen := map[string]bool{}
				var total int
				for _, body := range pool.bodies {
					require.True(t, jsontext.Value(body).IsValid(), "%s", body)
					require.False(t, seen[string(body)])
					seen[string(body)] = true
					total += len(body)
				}
				require.InEpsilon(t, pool.mean, float64(total)/float64(len(pool.bodies)), 0.03)
			})
		}
	})
	t.Run("the same every time", func(t *testing.T) {
		t.Parallel()
		h := sha256.New()
		c := Corpus{}
		for _, pool := range [][][]byte{
			c.Tracks(), c.Pages(), c.Identifies(), c.SegStream(), c.CAV1(), c.CAV2(),
			c.Batches(20), c.Batches(250), c.CAV1Batches(20), c.CAV2Batches(20),
		} {
			for _, body := range pool {
				h.Write(body)
			}
		}
		for _, hostile := range c.Hostile() {
			if hostile.Encoding == "" { // the output of gzip may change with Go
				h.Write(hostile.Body)
			}
		}
		require.Equal(t, "573c1899ed96af22ecb9e18ef9615347f7d18a97d4656ea945b74e845cbf5597", hex.EncodeToString(h.Sum(nil)))
	})
	t.Run("message IDs", func(t *testing.T) {
		t.Parallel()
		id := regexp.MustCompile(`"messageId":"([^"]+)"`)
		seen := map[string]bool{}
		for _, batch := range (Corpus{}).Batches(100) {
			for _, match := range id.FindAllSubmatch(batch, -1) {
				require.False(t, seen[string(match[1])])
				seen[string(match[1])] = true
			}
		}
		require.Len(t, seen, 6_000)
	})
	t.Run("time", func(t *testing.T) {
		t.Parallel()
		at := time.Date(2030, time.May, 1, 0, 0, 0, 0, time.FixedZone("", 3600))
		require.Contains(t, string(Corpus{At: at}.Tracks()[0]), `"sentAt":"2030-04-30T23:00:00.000Z"`)
	})
	t.Run("Commanders Act", func(t *testing.T) {
		t.Parallel()
		v1, v2 := Corpus{}.CAV1(), Corpus{}.CAV2()
		id := regexp.MustCompile(`"event_id":"([^"]+)"`)
		for i := range v1 {
			require.Equal(t, id.Find(v1[i]), id.Find(v2[i]))
			require.Len(t, v2[i], len(v1[i])+len(`"context":{},"version":2`)-len(`"properties":{}`))
		}
	})
	t.Run("compression", func(t *testing.T) {
		t.Parallel()
		body := Corpus{}.Batch(20)
		r, err := gzip.NewReader(bytes.NewReader(Compress(body)))
		require.NoError(t, err)
		plain, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, body, plain)
	})
}

func TestHostile(t *testing.T) {
	t.Parallel()
	all := Corpus{}.Hostile()
	require.Len(t, all, 28)
	valid := 0
	for _, h := range all {
		require.GreaterOrEqual(t, len(h.Body), 60, h.Name)
		require.LessOrEqual(t, len(h.Body), 853_000, h.Name)
		if jsontext.Value(h.Body).IsValid() {
			valid++
		}
	}
	require.Equal(t, 15, valid, "some must be accepted, some refused")
}
