package enrichers

import (
	"context"
	"slices"

	"github.com/inlet-go/inlet"
)

// OptOut returns an enricher that runs the given ones, in their order, for the events of
// visitors who opted out of tracking, and for no others. Whether a visitor opted out is in the
// request's [inlet.Visitor], which a layer has to set, such as middleware.Identity. The enrichers
// must not be nil.
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
