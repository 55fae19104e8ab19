package admission

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Shares count the slots that each client holds, so that a single one cannot hold them all.
// A client is an IPv4 address or an IPv6 network of 64 bits, which a subscriber usually has
// to himself. Senders without an address count as one client. Its methods may be called
// concurrently, except [Shares.Init].
type Shares struct {
	max  int
	mu   sync.Mutex
	held map[netip.Addr]*int // zeros of the last clients, too
}

// ShareOf returns the default share of a number of slots: one eighth, at least one.
func ShareOf(slots int) int { return max(1, slots/8) }

// keptShares is how many clients are known without slots. The next one of each finds its count.
const keptShares = 1024

// Init sets how many slots a client may hold. It comes before all other calls.
func (s *Shares) Init(limit int) { s.max, s.held = limit, map[netip.Addr]*int{} }

// Enter gives a slot to a client, or refuses it with [ErrFull]. Every Enter that returns nil
// is followed by one [Shares.Leave] with the same address.
func (s *Shares) Enter(addr netip.Addr) error {
	addr = client(addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.held[addr]
	if n == nil {
		n = new(int)
		s.held[addr] = n
	}
	if *n >= s.max {
		return ErrFull
	}
	*n++
	return nil
}

// Leave takes a slot back.
func (s *Shares) Leave(addr netip.Addr) {
	addr = client(addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.held[addr]
	if *n--; *n == 0 && len(s.held) > keptShares {
		delete(s.held, addr)
	}
}

// nat64 is the prefix in front of the IPv4 addresses of clients behind NAT64 (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// client returns what stands for the client of an address.
func client(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	switch {
	case !addr.Is6():
		return addr
	case nat64.Contains(addr):
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	network, _ := addr.Prefix(64) // never fails for 64 bits of IPv6
	return network.Addr()
}

// Bodies are the bounds of a layer that reads the bodies of requests.
type Bodies struct {
	// MaxInFlight bounds the requests inside the layer.
	MaxInFlight int
	// MaxShare bounds the bodies of one client that are being read.
	MaxShare int
	// MinRate is the slowest that a body may arrive, in bytes per second.
	MinRate int64
	// MaxWait is how long a request may wait for the processor before its body is read.
	MaxWait time.Duration
	// Logger receives refusals. Nil is slog.Default().
	Logger *slog.Logger
}

// DefaultMaxWait is how long a request may wait for the processor by default.
const DefaultMaxWait = 300 * time.Millisecond

// BodiesOf returns the default bounds of a layer or handler with a number of slots.
func BodiesOf(slots int) Bodies {
	return Bodies{MaxInFlight: slots, MaxShare: ShareOf(slots), MinRate: 1 << 10, MaxWait: DefaultMaxWait}
}

// MaxWaiting returns how many requests may wait for the processor: all but an eighth of the
// slots, which is left to those that it works on.
func (b Bodies) MaxWaiting() int { return b.MaxInFlight - b.MaxInFlight/8 }

// A Bounded handler is one that the layer in front of it has to respect bounds for. By it
// package middleware gives the root package what only its own options have.
type Bounded interface{ BodyBounds() Bodies }

// A Transparent handler passes every request on to the next one without a look at its body,
// or refuses it.
type Transparent interface{ Next() http.Handler }
