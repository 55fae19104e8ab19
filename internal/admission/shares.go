package admission

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/inlet-go/inlet/internal/lanes"
)

// Shares count the slots that each client holds, so that a single one cannot hold them all.
// A client is an IPv4 address or an IPv6 network of 64 bits, which a subscriber usually has
// to himself. Senders without an address count as one client. Its methods may be called
// concurrently, except [Shares.Init].
//
// While all clients together hold no more than one of them may, none is over its share. Each lane
// then counts for itself, and only the slots that are left are divided among lanes. Once they are
// all held the lanes are closed, and one lock guards all counts, until half of them are free again.
type Shares struct {
	max   int
	lanes [lanes.Count]shareLane

	mu   sync.Mutex // comes before that of a lane
	open bool       // slots are divided among lanes
	rest int        // of the slots of one client, those that are free and in no lane
	held slotsHeld
}

// A shareLane is the slots that were given in a lane.
type shareLane struct {
	_    [lanes.Apart / 2]byte
	mu   sync.Mutex
	free int // slots that more clients may have here; none while lanes are closed
	held slotsHeld
	_    [lanes.Apart / 2]byte
}

// ShareOf returns the default share of a number of slots: one eighth, at least one.
func ShareOf(slots int) int { return max(1, slots/8) }

// keptShares is how many clients are known without slots. The next one of each finds its count.
const keptShares = 1024

// slotsHeld is how many slots clients hold, zeros of the last ones, too.
type slotsHeld struct {
	clients map[netip.Addr]*slots
	last    netip.Addr // that was asked for, and its number: most requests are of few clients
	number  *slots
}

// slots is a number of them, apart from those of other lanes in memory.
type slots struct {
	n int
	_ [lanes.Apart - 8]byte
}

// of returns the number of a client, to be changed, nil if it is not known.
func (h *slotsHeld) of(client netip.Addr) *slots {
	if h.number != nil && h.last == client {
		return h.number
	}
	n := h.clients[client]
	if n != nil {
		h.last, h.number = client, n
	}
	return n
}

// add gives a number of slots to a client.
func (h *slotsHeld) add(client netip.Addr, n int) {
	number := h.of(client)
	if number == nil {
		number = new(slots)
		if h.clients == nil {
			h.clients = map[netip.Addr]*slots{}
		}
		h.clients[client] = number
	}
	number.n += n
}

// drop takes a slot of a client back. It returns false if the client has none here.
func (h *slotsHeld) drop(client netip.Addr, kept int) bool {
	number := h.of(client)
	if number == nil || number.n == 0 {
		return false
	}
	if number.n--; number.n == 0 && len(h.clients) > kept {
		delete(h.clients, client)
		h.number = nil
	}
	return true
}

// Init sets how many slots a client may hold. It comes before all other calls.
func (s *Shares) Init(limit int) {
	s.max, s.open, s.rest = limit, true, limit
}

// Enter gives a slot to a client, or refuses it with [ErrFull]. Every Enter that returns nil
// is followed by one [Shares.Leave] with the same lane and address.
func (s *Shares) Enter(in lanes.Lane, addr netip.Addr) error {
	addr = client(addr)
	if l := &s.lanes[in%lanes.Count]; l.enter(addr) || s.divide(l) && l.enter(addr) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLanes()
	if held := s.held.of(addr); held != nil && held.n >= s.max {
		return ErrFull
	}
	s.held.add(addr, 1)
	s.rest--
	return nil
}

// enter gives a slot to a client if the lane has one.
func (l *shareLane) enter(client netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free == 0 {
		return false
	}
	l.free--
	l.held.add(client, 1)
	return true
}

// divide gives slots to a lane, if any are free. Those that other lanes have are taken back
// first if need be.
func (s *Shares) divide(l *shareLane) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return false
	}
	for i := 0; s.rest == 0 && i < len(s.lanes); i++ {
		s.rest += s.lanes[i].takeBack()
	}
	n := min(s.rest, max(1, s.max/64))
	s.rest -= n
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free += n
	return n > 0
}

// takeBack returns the slots that the lane has left.
func (l *shareLane) takeBack() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	free := l.free
	l.free = 0
	return free
}

// closeLanes has all slots counted together.
func (s *Shares) closeLanes() {
	if !s.open {
		return
	}
	s.open = false
	for i := range s.lanes {
		l := &s.lanes[i]
		s.rest += l.takeBack()
		l.mu.Lock()
		for client, held := range l.held.clients {
			if held.n > 0 {
				s.held.add(client, held.n)
			}
		}
		l.held = slotsHeld{}
		l.mu.Unlock()
	}
}

// Leave takes a slot back.
func (s *Shares) Leave(in lanes.Lane, addr netip.Addr) {
	addr = client(addr)
	// It may be another slot of that client, which makes no difference.
	if s.lanes[in%lanes.Count].leave(addr) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held.drop(addr, keptShares)
	s.rest++
	s.open = s.open || 2*s.rest >= s.max
}

// leave takes a slot back that was given here. It returns false if the client has none here, since
// lanes were closed.
func (l *shareLane) leave(client netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.held.drop(client, keptShares/lanes.Count) {
		return false
	}
	l.free++
	return true
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
