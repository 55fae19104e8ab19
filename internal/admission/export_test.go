package admission

// Kept is how many clients the shares know.
func (s *Shares) Kept() int { return len(s.held) }

// SetIdle replaces how turns find out whether the processors have time left.
func (t *Turns) SetIdle(idle func() bool) { t.idle = idle }

// Work is what has turns at most, in bytes of bodies.
func (t *Turns) Work() int64 { return t.active }

// Clients is how many clients have requests that wait or have a turn.
func (t *Turns) Clients() int { return len(t.clients) }

// Counted is the weight of all requests that wait or have a turn that counts.
func (t *Turns) Counted() int64 {
	return t.reading.weight + t.working.weight + t.arrived.weight() + t.waiting.weight()
}
