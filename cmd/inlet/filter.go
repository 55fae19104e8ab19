package main

import (
	"errors"
	"flag"
	"strconv"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A filter is the flags by which commands choose events. An empty field chooses all.
type filter struct {
	source, name, user, dialect string
	kind                        kind
}

func (c *filter) addFlags(f *flag.FlagSet) {
	f.StringVar(&c.source, "source", "", "only events of the source with this `id`")
	f.Var(&c.kind, "type", "only events of this `type`: track, page, screen, identify, group or alias")
	f.StringVar(&c.name, "name", "", "only events with this `name`, such as \"Order Completed\"")
	f.StringVar(&c.user, "user", "", "only events with this `id` as their userId or anonymousId")
	f.StringVar(&c.dialect, "dialect", "", "only events of this `dialect`, such as segment")
}

// A kind is a flag for the type of an event.
type kind string

// Set implements [flag.Value].
func (k *kind) Set(text string) error {
	for _, known := range []inlet.Type{inlet.TypeTrack, inlet.TypePage, inlet.TypeScreen, inlet.TypeIdentify, inlet.TypeGroup, inlet.TypeAlias} {
		if inlet.Type(text) == known {
			*k = kind(text)
			return nil
		}
	}
	return errors.New("must be track, page, screen, identify, group or alias")
}

// String implements [flag.Value].
func (k *kind) String() string { return string(*k) }

// accepts reports whether an event is chosen.
func (c *filter) accepts(e *inlet.Event) bool {
	fits := func(want, have string) bool { return want == "" || want == have }
	return fits(c.source, sourceID(e)) && fits(string(c.kind), string(e.Type)) && fits(c.name, e.Name) &&
		fits(c.dialect, e.Dialect) && (fits(c.user, e.UserID) || fits(c.user, e.AnonymousID))
}

func sourceID(e *inlet.Event) string {
	if e.Source == nil {
		return ""
	}
	return e.Source.ID
}

// A position is a flag for a place in a journal: a number, a time, or how long ago.
type position struct {
	seq uint64
	at  time.Time
	set bool
}

var errPosition = errors.New("must be a number such as 4711, a time such as 2026-01-02 or 2026-01-02T15:04:05Z,\nor how long ago, such as 24h")

// Set implements [flag.Value].
func (p *position) Set(text string) error {
	p.set = true
	if seq, err := strconv.ParseUint(text, 10, 64); err == nil {
		p.seq = seq
		return nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		p.at = time.Now().Add(-ago)
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			p.at = at
			return nil
		}
	}
	return errPosition
}

// String implements [flag.Value].
func (*position) String() string { return "" }

// start returns where to begin.
func (p *position) start() journal.Start {
	switch {
	case !p.set:
		return journal.FromOldest()
	case p.at.IsZero():
		return journal.FromSeq(p.seq)
	}
	return journal.FromTime(p.at)
}

// precedes reports whether nothing can be from another position on and before this one. A number
// and a time cannot be compared.
func (p *position) precedes(from position) bool {
	if !p.set || !from.set || p.at.IsZero() != from.at.IsZero() {
		return false
	}
	return p.seq < from.seq || p.at.Before(from.at)
}

// isBefore reports whether the position is set and at or before a record: an end that is not
// included.
func (p *position) isBefore(r journal.Record) bool {
	switch {
	case !p.set:
		return false
	case p.at.IsZero():
		return r.Seq >= p.seq
	}
	return !r.Event.ReceivedAt.Before(p.at)
}
