package inletotel

import (
	"cmp"

	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/metrics"
)

// scope names the instruments and spans of this package, as those of a library are.
const scope = "github.com/inlet-go/inlet/observers/otel"

// Options configure [New]. A nil pointer means all defaults.
type Options struct {
	// MaxSources is how many sources are told apart by their ID, up to 1,000,000, in the order in
	// which they first send. The requests of further ones have the source "other". Defaults to
	// 1,000.
	MaxSources int
	// MaxSeries is how many combinations of dialect, path, source, status and code are told apart.
	// Of one source, or of none, it is at most 256; further ones have the source "other". When
	// there are as many as this, further ones have "other" for everything except the status. Each
	// takes about 1 KiB. It is at most 1,000,000. An SDK has a limit of its own, 2,000 for each
	// instrument by default. Defaults to 20,000.
	MaxSeries int

	// MaxLinked is of how many events the span of their request is remembered, for the links of
	// deliveries, each in about 100 bytes; only events of sampled requests count. If there are
	// more, the oldest is forgotten. A negative number means none. Defaults to 16,384.
	MaxLinked int
	// StoredLinks reads the link of an event that is not remembered, as after a restart, from the
	// event. It needs [Telemetry.Enrich] among the enrichers of every handler that writes to the
	// journal: without it, clients could choose what is linked. Defaults to false.
	StoredLinks bool
	// HideErrors leaves the texts of errors out of spans: a store may have quoted values of an
	// event in them. Their classes are kept. Defaults to false: the first 256 bytes of a text are
	// the description of the span's status.
	HideErrors bool
}

// withDefaults returns a filled copy. The error names every field at fault.
func (o *Options) withDefaults() (Options, error) {
	var f Options
	if o != nil {
		f = *o
	}
	f.MaxSources = cmp.Or(f.MaxSources, 1000)
	f.MaxSeries = cmp.Or(f.MaxSeries, 20_000)
	f.MaxLinked = cmp.Or(f.MaxLinked, 16_384)
	return f, check.Options("inletotel", "Options",
		metrics.CheckBounds(f.MaxSources, f.MaxSeries),
		check.AtMost("MaxLinked", f.MaxLinked, 1<<30),
	)
}
