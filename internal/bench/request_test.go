package bench

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A requestKind is an ordinary request.
type requestKind struct {
	name, path, encoding string
	pool                 [][]byte
}

// requestKinds are the ordinary requests by which two versions of the module are compared.
func requestKinds() []requestKind {
	kinds := make([]requestKind, 0, 7)
	for _, k := range singleKinds {
		kinds = append(kinds, requestKind{name: k.name, path: k.path, pool: k.pool(now())})
	}
	for _, n := range []int{20, 100, 250} {
		kinds = append(kinds, requestKind{name: fmt.Sprint("batch", n), path: batchPath, pool: now().Batches(n)})
	}
	small := make([][]byte, 0, 16)
	for _, body := range now().Batches(100) {
		small = append(small, Compress(body))
	}
	return append(kinds, requestKind{name: "gzip100", path: batchPath, encoding: "gzip", pool: small})
}

// readmeLayers are those of the mount in the README.
func readmeLayers() func(http.Handler) http.Handler {
	return middleware.Chain(middleware.Recover(nil), middleware.CORS(nil), middleware.Payload(nil), authLayer(), migrateLayer())
}

// BenchmarkRequest is the time of ordinary requests in process, to compare two versions of the
// module with each other: see docs/PERFORMANCE.md. It is no goal by itself.
func BenchmarkRequest(b *testing.B) {
	mounts := []struct {
		name  string
		kinds []requestKind
		mount func(b *testing.B) http.Handler
	}{
		{"mount", requestKinds(), func(b *testing.B) http.Handler {
			handler, err := newMount(readmeLayers())
			require.NoError(b, err)
			return handler
		}},
		{"limits", requestKinds()[:3], func(b *testing.B) http.Handler {
			handler, err := newMount(allLayers())
			require.NoError(b, err)
			return handler
		}},
		{"handler", requestKinds()[:4], func(b *testing.B) http.Handler {
			handler, err := newHandlerAlone()
			require.NoError(b, err)
			return handler
		}},
		{"journal", []requestKind{requestKinds()[0], requestKinds()[4]}, func(b *testing.B) http.Handler {
			store, err := journal.Open(b.TempDir(), &journal.Options{Sync: journal.SyncNever, RetainBytes: 128 << 20})
			require.NoError(b, err)
			b.Cleanup(func() { _ = store.Close(context.Background()) })
			handler, err := inlet.New(store, nil)
			require.NoError(b, err)
			return readmeLayers()(handler)
		}},
	}
	for _, m := range mounts {
		for _, kind := range m.kinds {
			b.Run(m.name+"/"+kind.name, func(b *testing.B) {
				c := newCaller(m.mount(b), kind.path)
				if kind.encoding != "" {
					c.encoded(kind.encoding)
				}
				c.requireAccepted(b, kind.pool)
				send := c.over(kind.pool)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					send(i)
				}
			})
		}
	}
}
