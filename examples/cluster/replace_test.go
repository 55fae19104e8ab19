package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A broker that has lost its volume gets the stream from the others, as docs/KUBERNETES.md says.
func TestReplacedBroker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := startFleet(dir)
	require.NoError(t, err)
	t.Cleanup(f.killAll)
	require.NoError(t, f.awaitReady(t.Context()))
	l := newLoad(f.url, 400)
	send := func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l.run(ctx)
	}
	has := func(p *process) func() bool {
		return func() bool {
			r := p.now()
			return r != nil && r.Messages >= uint64(l.acknowledged.Load())
		}
	}
	send()
	for _, b := range f.brokers {
		require.Eventually(t, has(b), patience, 10*time.Millisecond, b.name)
	}
	lost := f.brokers[1]
	lost.kill()
	require.NoError(t, os.RemoveAll(filepath.Join(dir, lost.name)))
	require.NoError(t, lost.start())
	send()
	require.Eventually(t, has(lost), patience, 10*time.Millisecond)
	v, err := f.verdict(l)
	require.NoError(t, err)
	require.NoError(t, v.fault())
	require.Positive(t, v.acknowledged)
}
