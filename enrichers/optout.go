package enrichers

import (
	"context"
	"slices"

	"github.com/inlet-go/inlet"
)

// OptOut returns an enricher that has the given ones, in their order, change
// the events of visitors who asked not to be tracked, and no others.
func OptOut(enrichers ...inlet.Enricher) inlet.Enricher {
	enrichers = slices.Clone(enrichers)
	return func(ctx context.Context, e *inlet.Event) {
		if !inlet.VisitorFromContext(ctx).OptedOut {
			return
		}
		for _, enrich := range enrichers {
			enrich(ctx, e)
		}
	}
}
