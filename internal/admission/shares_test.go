package admission_test

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/admission"
)

func TestShares(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, a, b string
		same       bool
	}{
		{"one address", "192.0.2.1", "192.0.2.1", true},
		{"two addresses", "192.0.2.1", "192.0.2.2", false},
		{"IPv4 in IPv6", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"IPv4 behind NAT64", "192.0.2.1", "64:ff9b::c000:201", true},
		{"two addresses behind NAT64", "64:ff9b::c000:202", "64:ff9b::c000:201", false},
		{"one network of IPv6", "2001:db8::1", "2001:db8::ffff:0:0:1", true},
		{"two networks of IPv6", "2001:db8::1", "2001:db8:0:1::1", false},
		{"zones of IPv6", "fe80::1%a", "fe80::1%b", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s admission.Shares
			s.Init(2)
			a, b := netip.MustParseAddr(tt.a), netip.MustParseAddr(tt.b)
			for range 3 {
				require.NoError(t, s.Enter(a))
				require.NoError(t, s.Enter(a))
				if tt.same {
					require.ErrorIs(t, s.Enter(b), admission.ErrFull)
				} else {
					require.NoError(t, s.Enter(b))
					s.Leave(b)
				}
				s.Leave(a)
				s.Leave(otherForm(tt.same, a, b))
			}
		})
	}
	t.Run("concurrently", func(t *testing.T) {
		t.Parallel()
		var s admission.Shares
		s.Init(3)
		var none netip.Addr
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 1000 {
					if s.Enter(none) == nil {
						s.Leave(none)
					}
				}
			})
		}
		all.Wait()
		for range 3 {
			require.NoError(t, s.Enter(none))
		}
		require.ErrorIs(t, s.Enter(none), admission.ErrFull)
	})
	t.Run("clients that have left are forgotten", func(t *testing.T) {
		t.Parallel()
		var s admission.Shares
		s.Init(1)
		for i := range 10_000 {
			addr := netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})
			require.NoError(t, s.Enter(addr))
			s.Leave(addr)
		}
		require.LessOrEqual(t, s.Kept(), 1024)
	})
	t.Run("an eighth", func(t *testing.T) {
		t.Parallel()
		for slots, share := range map[int]int{1: 1, 7: 1, 16: 2, 4096: 512} {
			require.Equal(t, share, admission.ShareOf(slots))
		}
	})
}

// otherForm is the other form of one client, or the only one of another.
func otherForm(same bool, a, b netip.Addr) netip.Addr {
	if same {
		return b
	}
	return a
}
