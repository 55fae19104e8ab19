package journal

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// A SyncPolicy decides when the journal flushes to the disk, and so what the nil that Write
// returns means.
type SyncPolicy int

const (
	// SyncAlways flushes before it acknowledges: after a nil the events survive a power
	// cut.
	SyncAlways SyncPolicy = iota
	// SyncInterval acknowledges when the operating system has the bytes, and flushes
	// within Options.Interval: after a nil the events survive the end of the process. A
	// power cut may lose what was acknowledged in the last interval.
	SyncInterval
	// SyncNever leaves the flush to the operating system until a segment is sealed, or
	// Options.SegmentAge has passed: after a nil the events survive the end of the process. A
	// power cut may lose any events of the active segment that were not flushed yet.
	SyncNever
)

// durability returns what a nil means under p.
func (p SyncPolicy) durability() inlet.Durability {
	if p == SyncAlways {
		return inlet.DurabilityFsync
	}
	return inlet.DurabilityOSBuffer
}

// Options configure [Open]. A nil pointer means all defaults.
type Options struct {
	// SegmentBytes is the size, in bytes, at which a segment is sealed. A single Write
	// that is larger gets a segment of its own. Defaults to 64 MiB.
	SegmentBytes int64
	// SegmentAge is the age at which a segment is sealed, whether or not more is written,
	// unless it holds less than MinSegmentBytes. Defaults to 10 minutes.
	SegmentAge time.Duration
	// MinSegmentBytes is the size, in bytes, below which a segment is not sealed at
	// SegmentAge, so that little traffic does not leave many small files. It is sealed once
	// it has the size, or at 144 times SegmentAge, but at the latest after a day, or a tenth
	// of RetainAge if that is less. What it holds is flushed as before. With a negative
	// value every segment is sealed at SegmentAge. Defaults to a 64th of SegmentBytes.
	MinSegmentBytes int64

	// WriteAhead fills the files of segments with newlines before they are used, so that
	// flushing what is written over them does not have to commit a new size too. Small
	// groups then cost about half as much; in return everything is written twice, and a
	// spare file of SegmentBytes takes up space. While a segment is active, blank lines
	// follow its events. Readers of JSON lines ignore them, but they hide the end of the
	// file from tail; they are cut off when the segment is sealed. If the disk has too
	// little space for a spare file, or none is ready, the segment is appended to instead.
	// Defaults to false.
	WriteAhead bool

	// Sync decides when to flush. Defaults to SyncAlways.
	Sync SyncPolicy
	// Interval is the longest time between a Write and its flush under SyncInterval; other
	// policies ignore it. Defaults to 1 second.
	Interval time.Duration

	// MaxGroupBytes limits how many bytes are written and flushed together. A single Write
	// may exceed it. Defaults to 4 MiB.
	MaxGroupBytes int
	// MaxQueueBytes limits how many bytes wait to be written. A Write that exceeds it fails
	// with [inlet.ErrOverloaded], unless the queue is empty. Defaults to 64 MiB.
	MaxQueueBytes int

	// LowWater is the free space, in bytes, below which the journal refuses to write, since
	// it shares the disk with its host. A negative value turns the check off. On operating
	// systems that do not report free space only a full disk stops the journal. Defaults to
	// 256 MiB or 1 % of the file system, whichever is more, but at most a quarter of it.
	LowWater int64

	// RetainBytes is the size, in bytes, beyond which the oldest segments are removed, once
	// all destinations with [Block] have received them. While that is not enough, writes
	// fail with [ErrBehind]. Dead letters and quarantine count too: segments get what they
	// leave. At least SegmentBytes. Defaults to 0, no limit.
	RetainBytes int64
	// RetainAge is the time after its last write at which a segment is removed, once all
	// destinations with [Block] have received it. A file's time is not believed where it
	// contradicts those of later segments, or the present; then the time at which the last
	// event in it was received counts. One old segment is removed whenever another is
	// sealed, and one per minute, so that a clock that jumps ahead does not empty the
	// directory. Defaults to 0, no limit.
	RetainAge time.Duration

	// DeadLetterBytes limits the dead letters of all destinations below dead, in bytes. Each
	// destination that has any gets an equal share, beyond which its oldest ones are removed,
	// except for the newest segment; that is logged, and counted in DeliveryStats.Removed. At
	// most half of RetainBytes. Defaults to 256 MiB, or a quarter of RetainBytes if that is
	// less.
	DeadLetterBytes int64
	// QuarantineBytes limits the damaged bytes and files that Open keeps in quarantine, in
	// bytes. Open removes the oldest ones beyond it, except for the newest; that is logged,
	// and counted in Stats.Discarded. At most half of RetainBytes. Defaults to 256 MiB, or an
	// eighth of RetainBytes if that is less.
	QuarantineBytes int64

	// LockTimeout is how long Open waits for the lock of the directory while another journal
	// holds it, such as that of the process that this one replaces. A child process that is just
	// being started shares the locks of its parent for a moment, so a program that starts some
	// needs a second to open a journal again that it has closed. Defaults to 0: Open fails
	// immediately.
	LockTimeout time.Duration

	// OnPoisoned is called once if the journal stops permanently, with the cause in an error
	// that wraps [ErrPoisoned]. It is called by the goroutine that writes: it must return
	// soon, and must not wait for the journal. Defaults to nil, no call.
	OnPoisoned func(error)
	// Logger receives repairs and failures. The content of events is never logged. Defaults
	// to [slog.Default].
	Logger *slog.Logger

	fs    osfs.FS      // injected by tests; nil means the operating system's
	share func() int64 // of a journal of dead letters: replaces RetainBytes
}

// Defaults; see Options.
const (
	defaultSegmentBytes  = 64 << 20
	defaultSegmentAge    = 10 * time.Minute
	defaultInterval      = time.Second
	defaultMaxGroupBytes = 4 << 20
	defaultMaxQueueBytes = 64 << 20
	defaultLowWater      = 256 << 20
	defaultAsideBytes    = 256 << 20 // of dead letters, and of quarantine
)

// withDefaults returns a copy with the defaults filled in.
func (o *Options) withDefaults() Options {
	var f Options
	if o != nil {
		f = *o
	}
	f.SegmentBytes = cmp.Or(f.SegmentBytes, defaultSegmentBytes)
	f.SegmentAge = cmp.Or(f.SegmentAge, defaultSegmentAge)
	f.MinSegmentBytes = cmp.Or(f.MinSegmentBytes, f.SegmentBytes/64)
	f.Interval = cmp.Or(f.Interval, defaultInterval)
	f.MaxGroupBytes = cmp.Or(f.MaxGroupBytes, defaultMaxGroupBytes)
	f.MaxQueueBytes = cmp.Or(f.MaxQueueBytes, defaultMaxQueueBytes)
	f.DeadLetterBytes = cmp.Or(f.DeadLetterBytes, f.partOfRetained(4))
	f.QuarantineBytes = cmp.Or(f.QuarantineBytes, f.partOfRetained(8))
	f.Logger = cmp.Or(f.Logger, slog.Default())
	if f.OnPoisoned == nil {
		f.OnPoisoned = func(error) {}
	}
	if f.fs == nil {
		f.fs = osfs.Disk{}
	}
	return f
}

// partOfRetained returns the default limit of what is set aside: a part of RetainBytes, if
// that is a limit.
func (o *Options) partOfRetained(divisor int64) int64 {
	if o.RetainBytes <= 0 {
		return defaultAsideBytes
	}
	return min(defaultAsideBytes, max(o.RetainBytes/divisor, 1))
}

// check returns all faults of the options. It is called with the defaults filled in.
func (o *Options) check() error {
	return check.Options("journal", "Options",
		check.AtLeast("SegmentBytes", o.SegmentBytes, 1),
		check.AtLeast("SegmentAge", o.SegmentAge, 1),
		check.Known("Sync", o.Sync, SyncAlways, SyncInterval, SyncNever),
		check.AtLeast("Interval", o.Interval, 1),
		check.AtLeast("MaxGroupBytes", o.MaxGroupBytes, 1),
		check.AtLeast("MaxQueueBytes", o.MaxQueueBytes, 1),
		o.checkRetainBytes(),
		check.AtLeast("RetainAge", o.RetainAge, 0),
		o.checkAside("DeadLetterBytes", o.DeadLetterBytes),
		o.checkAside("QuarantineBytes", o.QuarantineBytes),
		check.AtLeast("LockTimeout", o.LockTimeout, 0),
	)
}

// checkAside returns the fault of a limit of what is set aside.
func (o *Options) checkAside(name string, limit int64) error {
	if o.RetainBytes > 1 && limit > 0 {
		return check.AtMost(name, limit, o.RetainBytes/2)
	}
	return check.AtLeast(name, limit, 1)
}

// checkRetainBytes returns the fault of RetainBytes, for which 0 means no limit.
func (o *Options) checkRetainBytes() error {
	if o.RetainBytes == 0 {
		return nil
	}
	return check.AtLeast("RetainBytes", o.RetainBytes, max(o.SegmentBytes, 1))
}

// maxSmallAge is the age at which a segment is sealed however little it holds, unless
// SegmentAge is higher.
const maxSmallAge = 24 * time.Hour

// segmentAge returns the age at which a segment of size bytes is sealed.
func (o *Options) segmentAge(size int64) time.Duration {
	if size >= o.MinSegmentBytes {
		return o.SegmentAge
	}
	age := maxSmallAge
	if o.SegmentAge < maxSmallAge/144 {
		age = 144 * o.SegmentAge
	}
	if o.RetainAge > 0 {
		age = min(age, o.RetainAge/10)
	}
	return max(age, o.SegmentAge)
}

// flushAge returns how long what is written may remain unflushed. Under SyncAlways that is only
// what no writer waits for.
func (o *Options) flushAge() time.Duration {
	if o.Sync == SyncInterval {
		return o.Interval
	}
	return o.SegmentAge
}

// lowWater returns the free space to keep on a file system of total bytes.
func (o *Options) lowWater(total int64) int64 {
	if o.LowWater != 0 {
		return o.LowWater
	}
	return min(max(defaultLowWater, total/100), total/4)
}
