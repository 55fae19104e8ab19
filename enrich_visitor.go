package inlet

import (
	"context"
	"net/http"
	"slices"
)

// A Visitor is what a request says about whoever sent it, beside its events: for
// enrichers, which do not see the request.
type Visitor struct {
	// UserAgent is the request's User-Agent, as it was sent, or "".
	UserAgent string
	// AnonymousID is an id that the host's server gave the browser, as in a
	// cookie, or "".
	AnonymousID string
	// OptedOut says that the visitor asked not to be tracked.
	OptedOut bool
}

// visitorContext carries a visitor.
type visitorContext struct {
	context.Context
	visitor Visitor
}

type visitorKey struct{}

// Value returns the context itself for its key.
func (c *visitorContext) Value(key any) any {
	if key == (visitorKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// WithVisitor says who sent r. Layers of package middleware do.
func WithVisitor(r *http.Request, v Visitor) *http.Request {
	return r.WithContext(&visitorContext{r.Context(), v})
}

// VisitorOf returns what [WithVisitor] said last, or the zero Visitor. ctx is that
// of a request, of a [Sink] or of an [Enricher].
func VisitorOf(ctx context.Context) Visitor {
	if c, ok := ctx.Value(visitorKey{}).(*visitorContext); ok {
		return c.visitor
	}
	return Visitor{}
}

// WhenOptedOut returns an enricher that has the given ones, in their order, change
// the events of visitors who asked not to be tracked, and no others.
func WhenOptedOut(enrichers ...Enricher) Enricher {
	enrichers = slices.Clone(enrichers)
	return func(ctx context.Context, e *Event) {
		if !VisitorOf(ctx).OptedOut {
			return
		}
		for _, enrich := range enrichers {
			enrich(ctx, e)
		}
	}
}

// FillAnonymousID returns the dialects so that their events have the visitor's
// AnonymousID where they name nobody, neither by userId nor by anonymousId. It is
// not an enricher, as an event without an id is refused before enrichers see it:
//
//	Options{Dialects: FillAnonymousID(Dialects()...)}
func FillAnonymousID(dialects ...Dialect) []Dialect {
	filling := make([]Dialect, len(dialects))
	for i, d := range dialects {
		filling[i] = anonymousIDs{d}
	}
	return filling
}

// anonymousIDs is a dialect whose routes fill in ids.
type anonymousIDs struct{ Dialect }

// Routes are those of the dialect.
func (d anonymousIDs) Routes() []Route {
	routes := slices.Clone(d.Dialect.Routes())
	for i := range routes {
		if decode := routes[i].Decode; decode != nil {
			routes[i].Decode = func(in *Input) error {
				err := decode(in)
				in.fillAnonymousID()
				return err
			}
		}
	}
	return routes
}

func (in *Input) fillAnonymousID() {
	id := VisitorOf(in.Request.Context()).AnonymousID
	for _, e := range in.events {
		if e.UserID == "" && e.AnonymousID == "" {
			e.AnonymousID = id
		}
	}
}
