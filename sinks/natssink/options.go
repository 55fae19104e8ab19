package natssink

import (
	"cmp"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/inlet-go/inlet/internal/check"
)

// Options configure [New]. A nil pointer means all defaults.
type Options struct {
	// Stream is the name of the stream. Defaults to "INLET".
	Stream string
	// Prefix is the beginning of the subjects, one or several tokens. The stream must have all
	// subjects of PREFIX.*.*. Defaults to "inlet".
	Prefix string
	// Migrate lets New create the stream if it does not exist, in files, for the subjects
	// PREFIX.>, with atomic batches, Replicas and Window. An existing stream is not changed.
	// Defaults to false: New fails with the configuration to create in its text.
	Migrate bool
	// Replicas is of the stream that Migrate creates, 1 to 5. Defaults to 1.
	Replicas int
	// Window is the longest time after which an event may be written again, such as an outage of
	// the stream that a delivery waits for. Migrate creates the stream with this window for
	// duplicates, whose ids the server keeps in memory; New logs a warning if an existing stream
	// has a shorter one. Defaults to 10 minutes.
	Window time.Duration
	// SyncAlways says that the servers have sync_interval: always in their configuration, which
	// a client cannot see, so that each commit is flushed to the disk. Defaults to false.
	SyncAlways bool

	// Connect are options of the connection that New makes for a URL, such as nats.UserCredentials
	// or nats.RootCAs. Those about reconnecting are overridden. Defaults to nil.
	Connect []nats.Option
	// MaxBytes limits the payloads of an atomic batch in bytes: a larger Write is several batches.
	// An event that is larger has one of its own. Defaults to 4 MiB.
	MaxBytes int
	// MaxConcurrent is the maximum number of Writes that run at the same time; further ones wait. A
	// server accepts 50 atomic batches at the same time for a stream, by default. Defaults to 8.
	MaxConcurrent int
	// AckTimeout is how long to wait for an answer of the server. After it the outcome is unknown,
	// and the Write fails temporarily. Defaults to 5 seconds.
	AckTimeout time.Duration
	// Logger receives what fails without failing a Write, and what New finds in the stream's
	// configuration. Defaults to slog.Default() at construction.
	Logger *slog.Logger
}

// Defaults; see Options.
const (
	defaultStream        = "INLET"
	defaultPrefix        = "inlet"
	defaultWindow        = 10 * time.Minute
	defaultMaxBytes      = 4 << 20
	defaultMaxConcurrent = 8
	defaultAckTimeout    = 5 * time.Second
)

// withDefaults returns a copy with the defaults filled in.
func (o *Options) withDefaults() Options {
	var f Options
	if o != nil {
		f = *o
	}
	f.Stream = cmp.Or(f.Stream, defaultStream)
	f.Prefix = cmp.Or(f.Prefix, defaultPrefix)
	f.Replicas = cmp.Or(f.Replicas, 1)
	f.Window = cmp.Or(f.Window, defaultWindow)
	f.MaxBytes = cmp.Or(f.MaxBytes, defaultMaxBytes)
	f.MaxConcurrent = cmp.Or(f.MaxConcurrent, defaultMaxConcurrent)
	f.AckTimeout = cmp.Or(f.AckTimeout, defaultAckTimeout)
	if f.Logger == nil {
		f.Logger = slog.Default()
	}
	return f
}

// check returns all faults. It is called with the defaults filled in.
func (o *Options) check() error {
	var stream, prefix error
	if strings.ContainsFunc(o.Stream, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`.*>/\`+"\x7f", r) }) {
		stream = check.Fault("Stream", `is %q, must have no space and none of . * > / \`, o.Stream)
	}
	if !isPrefix(o.Prefix) {
		prefix = check.Fault("Prefix", "is %q, must be tokens with dots between them, without wildcards, spaces or $", o.Prefix)
	}
	return check.Options("natssink", "Options",
		stream,
		prefix,
		check.AtLeast("Replicas", o.Replicas, 1),
		check.AtMost("Replicas", o.Replicas, 5),
		check.AtLeast("Window", o.Window, 100*time.Millisecond),
		check.AtLeast("MaxBytes", o.MaxBytes, 1),
		check.AtMost("MaxBytes", o.MaxBytes, 64<<20),
		check.AtLeast("MaxConcurrent", o.MaxConcurrent, 1),
		check.AtMost("MaxConcurrent", o.MaxConcurrent, 1000),
		check.AtLeast("AckTimeout", o.AckTimeout, time.Millisecond),
	)
}

func isPrefix(prefix string) bool {
	for token := range strings.SplitSeq(prefix, ".") {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool {
			return r <= ' ' || r == 0x7f || strings.ContainsRune("*>$", r)
		}) {
			return false
		}
	}
	return len(prefix) <= 128
}
