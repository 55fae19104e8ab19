package admission_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/lanes"
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
				require.NoError(t, s.Enter(0, a))
				require.NoError(t, s.Enter(0, a))
				if tt.same {
					require.ErrorIs(t, s.Enter(0, b), admission.ErrFull)
				} else {
					require.NoError(t, s.Enter(0, b))
					s.Leave(0, b)
				}
				s.Leave(0, a)
				s.Leave(0, otherForm(tt.same, a, b))
			}
		})
	}
	t.Run("concurrently", func(t *testing.T) {
		t.Parallel()
		var s admission.Shares
		s.Init(3)
		var none netip.Addr
		var all sync.WaitGroup
		var inside atomic.Int64
		for i := range 8 {
			all.Go(func() {
				for range 1000 {
					if l := lanes.Lane(i); s.Enter(l, none) == nil {
						if inside.Add(1) > 3 {
							t.Error("more than its share")
						}
						inside.Add(-1)
						s.Leave(l, none)
					}
				}
			})
		}
		all.Wait()
		for range 3 {
			require.NoError(t, s.Enter(0, none))
		}
		require.ErrorIs(t, s.Enter(0, none), admission.ErrFull)
	})
	t.Run("in any lane, as if there were only one", func(t *testing.T) {
		t.Parallel()
		type slot struct {
			lane   lanes.Lane
			client byte
		}
		for _, limit := range []int{1, 2, 5, 40} {
			random := rand.New(rand.NewPCG(uint64(limit), 0))
			var s admission.Shares
			s.Init(limit)
			held, slots := map[byte]int{}, []slot{}
			for i := range 20_000 {
				if more := i/1000%2 == 0; len(slots) > 0 && random.IntN(5) > 1 != more {
					at := random.IntN(len(slots))
					one := slots[at]
					slots = slices.Delete(slots, at, at+1)
					s.Leave(one.lane, address(one.client))
					held[one.client]--
					continue
				}
				one := slot{lanes.Lane(random.IntN(lanes.Count)), byte(random.IntN(1 + i/5000))}
				err := s.Enter(one.lane, address(one.client))
				require.Equal(t, held[one.client] < limit, err == nil, "%d of %d", held[one.client], limit)
				if err == nil {
					slots = append(slots, one)
					held[one.client]++
				}
			}
		}
	})
	t.Run("clients that have left are forgotten", func(t *testing.T) {
		t.Parallel()
		var s admission.Shares
		s.Init(1)
		for i := range 10_000 {
			addr := netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})
			require.NoError(t, s.Enter(0, addr))
			s.Leave(0, addr)
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
