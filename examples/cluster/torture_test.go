//go:build torture

package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTorture is the example for three minutes. What it prints has the seed.
func TestTorture(t *testing.T) {
	c := config{duration: 3 * time.Minute, rate: 2000, kill: 5 * time.Second, down: 2 * time.Second}
	if testing.Short() {
		c.duration = 20 * time.Second
	}
	var out bytes.Buffer
	err := run(t.Context(), c, &out)
	t.Log(out.String())
	require.NoError(t, err)
	require.NotContains(t, out.String(), "\n0 events are acknowledged")
}
