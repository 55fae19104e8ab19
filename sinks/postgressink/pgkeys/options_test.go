package pgkeys

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/authcache"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	for fault, o := range map[string]Options{
		"Schema is \"a\\x00\"": {Schema: "a\x00"},
		"Interval":             {Interval: -1},
		"MaxConcurrent is -1":  {MaxConcurrent: -1},
		"at most 1000":         {MaxConcurrent: 1001},
		"ByBearer":             {Cache: &authcache.Options{ByBearer: true}},
		"TTL":                  {Cache: &authcache.Options{TTL: -time.Second}},
	} {
		_, err := New(t.Context(), "", &o)
		require.ErrorContains(t, err, fault)
	}
}
