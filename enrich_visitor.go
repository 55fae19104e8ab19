package inlet

import (
	"context"
	"slices"
)

// WhenOptedOut returns an enricher that has the given ones, in their order, change
// the events of visitors who asked not to be tracked, and no others.
func WhenOptedOut(enrichers ...Enricher) Enricher {
	enrichers = slices.Clone(enrichers)
	return func(ctx context.Context, e *Event) {
		if !VisitorFromContext(ctx).OptedOut {
			return
		}
		for _, enrich := range enrichers {
			enrich(ctx, e)
		}
	}
}
