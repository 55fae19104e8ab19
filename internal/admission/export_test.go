package admission

// SetIdle replaces how turns find out whether the processors have time left.
func (t *Turns) SetIdle(idle func() bool) { t.idle = idle }

// Work is what has turns at most, in bytes of bodies.
func (t *Turns) Work() int64 { return t.active }
