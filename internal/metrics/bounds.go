// Package metrics is what packages inletprom and inletotel have in common: which metrics there are,
// with their labels and texts, the values that the parts of a server count themselves, and what
// becomes of a write. It knows none of the libraries that export them.
package metrics

import (
	"errors"
	"strings"

	"github.com/inlet-go/inlet/internal/check"
)

// What is told apart, and how far.
const (
	// Other is the value of a label for everything that is not told apart.
	Other = "other"
	// SourceSeries is how many combinations a source may have of its own, also the absent one. A
	// client of it chooses paths and causes codes, but not so many.
	SourceSeries = 256
	// mostEntries is how many sources, or combinations, may be told apart. A page of more series
	// would be too long for any server.
	mostEntries = 1_000_000
	// MaxLabel is how many bytes the value of a label may have.
	MaxLabel = 256
)

// CheckBounds returns the faults of the options MaxSources and MaxSeries.
func CheckBounds(maxSources, maxSeries int) error {
	return errors.Join(
		check.AtLeast("MaxSources", maxSources, 1), check.AtMost("MaxSources", maxSources, mostEntries),
		check.AtLeast("MaxSeries", maxSeries, 1), check.AtMost("MaxSeries", maxSeries, mostEntries),
	)
}

// Buckets returns the upper bounds of the buckets of durations, in seconds.
func Buckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

// Label returns a text as the value of a label, which must be UTF-8. The two may share
// memory.
func Label(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > MaxLabel {
		text = strings.ToValidUTF8(text[:MaxLabel], "")
	}
	return text
}
