package journal

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// A SyncPolicy says when the journal flushes to the disk, and with that what a
// nil from Write is worth.
type SyncPolicy int

const (
	// SyncAlways flushes before it acknowledges: a nil means that the events
	// survive a power cut.
	SyncAlways SyncPolicy = iota
	// SyncInterval acknowledges when the operating system has the bytes, and
	// flushes within Options.Interval: a nil means that the events survive the
	// end of the process, and that a power cut may take what was acknowledged
	// in the last interval.
	SyncInterval
	// SyncNever leaves the flush to the operating system until a segment is
	// sealed: a nil means that the events survive the end of the process, and
	// that a power cut may take any of those in the active segment.
	SyncNever
)

// durability is what a nil is worth under p.
func (p SyncPolicy) durability() inlet.Durability {
	if p == SyncAlways {
		return inlet.DurabilityFsync
	}
	return inlet.DurabilityOSBuffer
}

// Options are the choices of [Open].
type Options struct {
	// SegmentBytes is the size at which a segment is sealed. A single write
	// that is larger gets a segment of its own size. Defaults to 64 MiB.
	SegmentBytes int64
	// SegmentAge is the age at which a segment is sealed, whether or not more
	// is written. Defaults to 10 minutes.
	SegmentAge time.Duration

	// WriteAhead fills segments with newlines before they are used, so that to
	// flush what is written over them the file system need not commit a new size
	// too. That makes small groups about half as dear, and costs that everything
	// is written twice and that a file of SegmentBytes lies ready. While a
	// segment is written, blank lines follow its events, which are nothing to a
	// reader of JSON lines but hide the end from tail; they are cut off when the
	// segment is sealed. Where there is no room for a file ahead, or none is
	// ready, segments are appended to. Defaults to false.
	WriteAhead bool

	// Sync is when to flush. Defaults to SyncAlways.
	Sync SyncPolicy
	// Interval is the longest time between a write and its flush under
	// SyncInterval; it has no meaning under the others. Defaults to 1 second.
	Interval time.Duration

	// MaxGroupBytes bounds what is written and flushed at once, unless a single
	// Write has more. Defaults to 4 MiB.
	MaxGroupBytes int
	// MaxQueueBytes bounds what waits to be written; a Write beyond it fails
	// with [inlet.ErrOverloaded]. One Write always fits an empty queue.
	// Defaults to 64 MiB.
	MaxQueueBytes int

	// LowWater is the free space, in bytes, below which the journal refuses to
	// write, since it shares the disk with its host. Negative turns it off.
	// Defaults to 256 MiB or 1 % of the file system, whichever is more, but
	// never above a quarter of it. Unknown to some operating systems, where
	// only a full disk stops the journal.
	LowWater int64

	// RetainBytes is how much the segments may take, in bytes. Beyond it the oldest
	// are removed, as far as every destination that is to [Block] has had them;
	// where that is not enough, writes fail with [ErrBehind]. At least
	// SegmentBytes. Defaults to 0, no bound.
	RetainBytes int64
	// RetainAge is how long a segment is kept after it was written to last. Older
	// ones are removed, as far as every destination that is to [Block] has had
	// them: one whenever another is sealed, and one a minute, so that a clock that
	// jumps ahead does not empty the directory. Defaults to 0, for ever.
	RetainAge time.Duration

	// OnPoisoned is called once if the journal stops for good, with the cause
	// in an error that wraps [ErrPoisoned]. It is called inline: it must return
	// soon, and must not wait for the journal. Defaults to nil, nothing.
	OnPoisoned func(error)
	// Logger is told about repairs and failures, never about the content of
	// events. Defaults to nil, silence.
	Logger *slog.Logger

	fs osfs.FS // injected by tests; the operating system's if nil
}

// Defaults; see Options.
const (
	defaultSegmentBytes  = 64 << 20
	defaultSegmentAge    = 10 * time.Minute
	defaultInterval      = time.Second
	defaultMaxGroupBytes = 4 << 20
	defaultMaxQueueBytes = 64 << 20
	defaultLowWater      = 256 << 20
)

// withDefaults returns a filled copy.
func (o *Options) withDefaults() Options {
	var f Options
	if o != nil {
		f = *o
	}
	f.SegmentBytes = cmp.Or(f.SegmentBytes, defaultSegmentBytes)
	f.SegmentAge = cmp.Or(f.SegmentAge, defaultSegmentAge)
	f.Interval = cmp.Or(f.Interval, defaultInterval)
	f.MaxGroupBytes = cmp.Or(f.MaxGroupBytes, defaultMaxGroupBytes)
	f.MaxQueueBytes = cmp.Or(f.MaxQueueBytes, defaultMaxQueueBytes)
	f.Logger = cmp.Or(f.Logger, slog.New(slog.DiscardHandler))
	if f.OnPoisoned == nil {
		f.OnPoisoned = func(error) {}
	}
	if f.fs == nil {
		f.fs = osfs.Disk{}
	}
	return f
}

// check names the first field that can never work. Called with the defaults
// filled in.
func (o *Options) check() error {
	switch {
	case o.SegmentBytes < 0:
		return invalid("Options.SegmentBytes", o.SegmentBytes)
	case o.SegmentAge < 0:
		return invalid("Options.SegmentAge", o.SegmentAge)
	case o.Sync < SyncAlways || o.Sync > SyncNever:
		return invalid("Options.Sync", int(o.Sync))
	case o.Interval < 0:
		return invalid("Options.Interval", o.Interval)
	case o.MaxGroupBytes < 0:
		return invalid("Options.MaxGroupBytes", o.MaxGroupBytes)
	case o.MaxQueueBytes < 0:
		return invalid("Options.MaxQueueBytes", o.MaxQueueBytes)
	case o.RetainBytes != 0 && o.RetainBytes < o.SegmentBytes:
		return invalid("Options.RetainBytes", o.RetainBytes)
	case o.RetainAge < 0:
		return invalid("Options.RetainAge", o.RetainAge)
	}
	return nil
}

func invalid(field string, value any) error {
	return fmt.Errorf("journal: %s is %v", field, value)
}

// lowWater is the free space to keep on a file system of total bytes.
func (o *Options) lowWater(total int64) int64 {
	if o.LowWater != 0 {
		return o.LowWater
	}
	return min(max(defaultLowWater, total/100), total/4)
}
