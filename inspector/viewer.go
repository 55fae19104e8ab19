package inspector

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks/journal"
)

// Times of a stream.
const (
	pause   = 100 * time.Millisecond // between two writes of rows
	writing = 5 * time.Second        // how long a write may take
)

// A filter is what a viewer wants to see. Empty fields want everything.
type filter struct{ source, dialect, kind, name, user, outcome, text string }

// filterOf returns the filter in a query.
func filterOf(q url.Values) filter {
	return filter{
		source: q.Get("source"), dialect: q.Get("dialect"), kind: q.Get("type"), name: q.Get("name"),
		user: q.Get("user"), outcome: q.Get("kind"), text: strings.ToLower(q.Get("text")),
	}
}

// accepts reports whether a row fits. Of a row that is kept, detail has the event.
func (f *filter) accepts(r *row) bool {
	fits := func(want, have string) bool { return want == "" || want == have }
	return fits(f.source, r.Source) && fits(f.dialect, r.Dialect) && fits(f.kind, r.Type) && fits(f.name, r.Name) &&
		fits(f.outcome, r.Kind) && (f.user == "" || f.user == r.User || f.user == r.MessageID || contains(r.detail, f.user)) &&
		(f.text == "" || contains(r.text, f.text) || contains(r.detail, f.text))
}

// contains reports whether a text has another, which has no capital letters, in it.
func contains(text []byte, part string) bool {
	return strings.Contains(strings.ToLower(string(text)), strings.ToLower(part))
}

// A viewer is a connection that gets rows.
type viewer struct {
	filter filter
	news   chan struct{} // has an element if there may be rows
	second int64
	taken  int // rows that were kept for this viewer in this second
}

// wake lets the viewer look for rows.
func (v *viewer) wake() {
	select {
	case v.news <- struct{}{}:
	default:
	}
}

// extra is how many rows a second are kept because a viewer filters for them.
const extra = 50

// wants reports whether a viewer filters for an event by what can be compared quickly, and counts
// it then. The inspector's lock is held.
func (v *viewer) wants(g glance, e *inlet.Event, since time.Duration) bool {
	f := &v.filter
	if f.source == "" && f.name == "" && f.user == "" && f.dialect == "" && f.kind == "" {
		return false
	}
	fits := func(want, have string) bool { return want == "" || want == have }
	if !fits(f.source, g.source) || !fits(f.name, g.name) || !fits(f.outcome, g.kind) {
		return false
	}
	switch {
	case e == nil:
		if f.user != "" {
			return false
		}
	case !fits(f.dialect, e.Dialect) || !fits(f.kind, string(e.Type)) ||
		!fits(f.user, e.UserID) && !fits(f.user, e.AnonymousID) && !fits(f.user, e.MessageID):
		return false
	}
	if second := int64(since / time.Second); second != v.second {
		v.second, v.taken = second, 0
	}
	v.taken++
	return v.taken <= extra
}

// stream sends rows as server-sent events, until the viewer leaves or the inspector is closed.
func (i *Inspector) stream(w http.ResponseWriter, r *http.Request) {
	v := &viewer{filter: filterOf(r.URL.Query()), news: make(chan struct{}, 1)}
	if !i.enter(v) {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many viewers", http.StatusServiceUnavailable)
		return
	}
	defer i.leave(v)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx sends each event at once
	out := &sender{w: w, c: http.NewResponseController(w)}
	_ = out.c.SetReadDeadline(time.Time{}) // the stream is longer than any request
	i.serve(r, v, out, i.after(r.Header.Get("Last-Event-ID")))
}

// after returns the number of the row that a viewer has seen last, 0 if it has seen none of this
// process.
func (i *Inspector) after(id string) uint64 {
	run, number, _ := strings.Cut(id, "-")
	last, err := strconv.ParseUint(number, 10, 64)
	if err != nil || run != i.run {
		return 0
	}
	return last
}

// enter adds a viewer, unless there are too many.
func (i *Inspector) enter(v *viewer) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed || len(i.viewers) >= i.o.MaxViewers {
		return false
	}
	i.viewers[v] = struct{}{}
	i.until.Store(1<<63 - 1)
	return true
}

func (i *Inspector) leave(v *viewer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.viewers, v)
	if len(i.viewers) == 0 {
		i.until.Store(int64(time.Since(i.start) + Linger))
	}
}

// serve sends what there is, and then waits for more. The state that is sent once a second also
// shows that the connection lives.
func (i *Inspector) serve(r *http.Request, v *viewer, out *sender, last uint64) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	out.event("state", i.state())
	for {
		last = i.send(v, out, last)
		if out.failed {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-i.done:
			return
		case <-second.C:
			out.event("state", i.state())
		case <-v.news:
			// What comes within the pause is sent together.
			select {
			case <-r.Context().Done():
			case <-i.done:
			case <-time.After(pause):
			}
		}
	}
}

// send sends the rows after a number, and returns that of the newest.
func (i *Inspector) send(v *viewer, out *sender, last uint64) uint64 {
	i.mu.Lock()
	first := max(last+1, i.ring.oldest)
	missed := first - last - 1 // rows that were kept no longer
	var rows []*row
	for id := first; id <= i.ring.last; id++ {
		rows = append(rows, i.ring.get(id))
	}
	seen := last
	last = i.ring.last
	i.mu.Unlock()
	if missed > 0 && seen > 0 {
		out.event("missed", missed)
	}
	for _, r := range rows {
		if v.filter.accepts(r) {
			out.row(i.run, r)
		}
	}
	out.flush()
	return last
}

// A state is what is sent once a second.
type state struct {
	Sources      []sourceState `json:"sources"`
	More         int           `json:"more,omitempty"` // sources that are not sent
	Destinations []destination `json:"destinations"`
	Viewers      int           `json:"viewers"`
	Plan         *plan.Stats   `json:"plan,omitempty"`
}

type sourceState struct {
	source
	Line []uint32 `json:"line"`
}

// A destination is what viewers see of a delivery.
type destination struct {
	Name     string  `json:"name"`
	Running  bool    `json:"running"`
	Behind   uint64  `json:"behind"`
	Age      float64 `json:"age"` // seconds
	Sent     uint64  `json:"delivered"`
	Refused  uint64  `json:"refused"`
	Dropped  uint64  `json:"dropped"`
	Paused   string  `json:"paused,omitempty"`
	Failures int     `json:"failures"`
	Error    string  `json:"error,omitempty"`
	Blocking string  `json:"blocking,omitempty"`
}

// shownSources bounds how many sources are sent.
const shownSources = 50

func (i *Inspector) state() state {
	second := time.Now().Unix()
	i.mu.Lock()
	all := i.sources.newest()
	s := state{Viewers: len(i.viewers), More: max(0, len(all)-shownSources)}
	for _, c := range all[:min(len(all), shownSources)] {
		line := c.line(second)
		s.Sources = append(s.Sources, sourceState{*c, line})
	}
	i.mu.Unlock()
	if i.o.Destinations != nil {
		for _, d := range i.o.Destinations() {
			s.Destinations = append(s.Destinations, i.destinationOf(d))
		}
	}
	if i.o.Plan != nil {
		s.Plan = i.planOf(i.o.Plan())
	}
	return s
}

// shownViolations bounds how many violations of a plan are sent, the most frequent.
const shownViolations = 50

// planOf returns what viewers see of the statistics of a plan.
func (i *Inspector) planOf(s plan.Stats) *plan.Stats {
	if n := len(s.Counts) - shownViolations; n > 0 {
		for _, c := range s.Counts[shownViolations:] {
			s.Other += c.Events
		}
		s.Counts = s.Counts[:shownViolations]
	}
	for n := range s.Counts {
		c := &s.Counts[n]
		for _, text := range []*string{&c.Event, &c.Path, &c.Text, &c.First.MessageID, &c.First.Library, &c.Last.MessageID, &c.Last.Library} {
			*text = i.shown(*text)
		}
	}
	return &s
}

func (i *Inspector) destinationOf(d journal.DeliveryStats) destination {
	out := destination{
		Name: d.Name, Running: d.Running, Behind: d.Behind, Age: d.Age.Seconds(), Sent: d.Delivered, Refused: d.Refused,
		Dropped: d.Dropped, Paused: i.shown(d.Paused), Failures: d.Failures, Blocking: i.shown(d.Blocking),
	}
	if d.Err != nil {
		out.Error = i.shown(d.Err.Error())
	}
	return out
}

// shown returns a text that may quote an event, as viewers see it.
func (i *Inspector) shown(text string) string {
	if text = short(text); i.o.Unmasked {
		return text
	}
	return maskText(text)
}

// A sender writes server-sent events.
type sender struct {
	w      http.ResponseWriter
	c      *http.ResponseController
	buf    []byte
	failed bool
}

// row adds a row, with its number, by which a viewer that connects again goes on.
func (s *sender) row(run string, r *row) {
	s.buf = fmt.Appendf(s.buf, "id: %s-%d\nevent: row\ndata: %s\n\n", run, r.ID, r.text)
	if len(s.buf) > 64<<10 {
		s.flush()
	}
}

// event sends another event.
func (s *sender) event(name string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		return // numbers and texts are always JSON
	}
	s.buf = fmt.Appendf(s.buf, "event: %s\ndata: %s\n\n", name, text)
	s.flush()
}

// flush writes what was added. A viewer that does not read it in time is gone.
func (s *sender) flush() {
	if s.failed || len(s.buf) == 0 {
		return
	}
	_ = s.c.SetWriteDeadline(time.Now().Add(writing))
	_, err := s.w.Write(s.buf)
	if err == nil {
		err = s.c.Flush()
	}
	s.failed = err != nil
	s.buf = s.buf[:0]
}
