package admission

// Kept is how many clients the shares know.
func (s *Shares) Kept() int {
	kept := len(s.held.clients)
	for i := range s.lanes {
		kept += len(s.lanes[i].held.clients)
	}
	return kept
}

// SetIdle replaces how turns find out whether the processors have time left.
func (t *Turns) SetIdle(idle func() bool) { t.idle = idle }

// Work is what has turns at most, in bytes of bodies.
func (t *Turns) Work() int64 { return t.active }

// Clients is how many clients have requests that wait or have a turn.
func (t *Turns) Clients() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLanes()
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
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLanes()
	return t.counted() + t.waiting.weight()
}

// Give gives a turn, as to a request that waited for it and does not run yet.
func (t *Turns) Give(turn *Turn) {
	turn.lane.Store(&t.lanes[0])
	turn.weight = maxUnread
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rank(turn)
	t.count(&t.given, turn)
}

// TakeAround is Take, which calls f once the turn is known to be taken and before it is.
func (t *Turns) TakeAround(turn *Turn, f func()) (taken bool) {
	l := &t.lanes[0]
	turn.lane.Store(l)
	turn.weight = maxUnread
	f()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lend(turn, l)
}

// Begin has the request run.
func (turn *Turn) Begin() { turn.begin() }

// CountedTurns is how many turns count.
func (t *Turns) CountedTurns() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLanes()
	return t.given.len + t.reading.len + t.working.len
}
