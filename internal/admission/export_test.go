package admission

import "net/netip"

// Kept is how many clients the shares know.
func (s *Shares) Kept() int { return len(s.held) }

// SetIdle replaces how turns find out whether the processors have time left.
func (t *Turns) SetIdle(idle func() bool) { t.idle = idle }

// Work is what has turns at most, in bytes of bodies.
func (t *Turns) Work() int64 { return t.active }

// Clients is how many clients have requests that wait or have a turn.
func (t *Turns) Clients() (n int) {
	for _, s := range t.clients {
		n += min(1, s.requests)
	}
	return n
}

// KnownClients is how many clients are known, with requests or without.
func (t *Turns) KnownClients() int { return len(t.clients) }

// YieldTime is how long a request that has waited leaves the processors to others.
const YieldTime = yieldTime

// Counted is the weight of all requests that wait or have a turn that counts.
func (t *Turns) Counted() int64 {
	counted := t.given.upTo(many) + t.reading.upTo(many) + t.working.upTo(many)
	return counted + t.arrived.weight() + t.waiting.weight()
}

// Give gives a turn, as to a request that waited for it and does not run yet.
func (t *Turns) Give(turn *Turn) {
	turn.turns.Store(t)
	turn.weight = maxUnread
	t.mu.Lock()
	defer t.mu.Unlock()
	turn.sender = t.senderOf(netip.Addr{})
	turn.sender.requests++
	t.count(&t.given, turn)
}

// Begin has the request run.
func (turn *Turn) Begin() { turn.begin() }

// CountedTurns is how many turns count.
func (t *Turns) CountedTurns() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.given.len + t.reading.len + t.working.len
}
