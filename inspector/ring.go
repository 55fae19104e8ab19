package inspector

// A ring keeps the newest rows, bounded by number and by bytes.
type ring struct {
	rows     []*row // by id modulo its length; nil where there is none
	oldest   uint64 // id of the oldest row that is kept
	last     uint64 // id of the newest; the first is 1
	bytes    int
	maxBytes int
	kept     map[identity]int // how many rows that say that an event was accepted are kept
}

// An identity is what makes two events the same.
type identity struct{ source, messageID string }

func newRing(rows, bytes int) ring {
	return ring{rows: make([]*row, rows), oldest: 1, maxBytes: bytes, kept: make(map[identity]int)}
}

func (g *ring) len() int { return int(g.last - g.oldest + 1) }

func (g *ring) at(id uint64) **row { return &g.rows[id%uint64(len(g.rows))] }

// has reports whether a row is kept that says that the event was accepted.
func (g *ring) has(source, messageID string) bool {
	return messageID != "" && g.kept[identity{source, messageID}] > 0
}

// add gives the row the next id.
func (g *ring) add(r *row, unmasked bool) {
	if g.len() == len(g.rows) {
		g.forget()
	}
	g.last++
	r.ID = g.last
	r.finish(unmasked)
	*g.at(r.ID) = r
	g.bytes += r.size()
	if r.stored() {
		g.kept[identity{r.Source, r.MessageID}]++
	}
	for g.bytes > g.maxBytes && g.oldest < g.last {
		g.forget()
	}
}

// forget removes the oldest row.
func (g *ring) forget() {
	p := g.at(g.oldest)
	r := *p
	*p = nil
	g.oldest++
	g.bytes -= r.size()
	if k := (identity{r.Source, r.MessageID}); r.stored() {
		if g.kept[k]--; g.kept[k] == 0 {
			delete(g.kept, k)
		}
	}
}

// get returns a row that is kept, or nil.
func (g *ring) get(id uint64) *row {
	if id < g.oldest || id > g.last {
		return nil
	}
	return *g.at(id)
}
