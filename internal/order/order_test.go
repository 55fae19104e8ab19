package order

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTables(t *testing.T) {
	t.Parallel()
	for i, row := range Layers() {
		require.Equal(t, Layer(i), row.Layer)
		require.NotEmpty(t, row.Name)
		require.NotEmpty(t, row.Why)
	}
	seen := map[[2]Layer]bool{}
	for _, rule := range Rules() {
		require.Less(t, rule.Outer, rule.Inner, "%v and %v are the other way round in the table of layers", rule.Outer, rule.Inner)
		require.False(t, seen[[2]Layer{rule.Outer, rule.Inner}], "%v and %v have two rules", rule.Outer, rule.Inner)
		require.False(t, rule.MoveInner && rule.Spoils == "", "%v and %v", rule.Outer, rule.Inner)
		seen[[2]Layer{rule.Outer, rule.Inner}] = true
	}
	require.Equal(t, "Payload, Auth", (Of(Auth) | Of(Payload)).String())
	require.Zero(t, Of(None))
}
