package enrichers

import (
	"context"
	"slices"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/wire"
)

// UserAgentOptions configure [UserAgent]. A nil pointer means all defaults.
type UserAgentOptions struct {
	// Sources are the IDs of the sources whose requests come from the users themselves.
	// Defaults to the sources that are bound to origins: the User-Agent of a server's request
	// names a library.
	Sources []string
}

// maxUserAgentBytes is how much of a user agent is filled in or searched.
const maxUserAgentBytes = 1024

// UserAgent returns an enricher that fills in context.userAgent where the client sent none. The
// value is the user agent of the request's [inlet.Visitor], up to 1,024 bytes of it. A layer has
// to set the visitor, such as middleware.Identity.
//
// No option can be out of range at present: the error is always nil.
func UserAgent(o *UserAgentOptions) (inlet.Enricher, error) {
	isUsers := func(s *inlet.Source) bool { return len(s.Origins) > 0 }
	if o != nil && o.Sources != nil {
		ids := slices.Clone(o.Sources)
		isUsers = func(s *inlet.Source) bool { return slices.Contains(ids, s.ID) }
	}
	return func(ctx context.Context, e *inlet.Event) {
		agent := inlet.VisitorFromContext(ctx).UserAgent
		if agent == "" || !isUsers(e.Source) || textMember(e.Context, memberUserAgent) != "" {
			return
		}
		agent = agent[:min(len(agent), maxUserAgentBytes)]
		setMember(&e.Context, memberUserAgent, wire.AppendString(nil, agent))
	}, nil
}
