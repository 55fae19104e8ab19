package middleware

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
)

// IPPolicyOptions say how much of a client's address may be known. Nil is all
// defaults.
type IPPolicyOptions struct {
	// Policy is for requests without a source, and for sources that have no
	// policy of their own. Defaults to [enrichers.IPKeep].
	Policy enrichers.IPPolicy
	// Sources has policies for single sources, by ID. They need the layer to
	// stand behind [Auth]. Defaults to none.
	Sources map[string]enrichers.IPPolicy
}

// IPPolicy leaves only so much of the client's address: the layers behind, the
// events and, although it stands outside, [AccessLog] see no more, as it writes
// its record at the end.
//
// Where it stands decides. Behind [ClientIP] and before everything else nothing
// sees more; a limit by IP then counts networks, and with [enrichers.IPDrop] it counts
// nothing. Behind the limit, that one has whole addresses, and so have the records
// of what it refuses. It may stand twice: for all requests, and behind Auth for
// some sources.
//
// IPPolicy panics if an option is out of range.
func IPPolicy(o *IPPolicyOptions) func(http.Handler) http.Handler {
	var filled IPPolicyOptions
	if o != nil {
		filled = IPPolicyOptions{o.Policy, maps.Clone(o.Sources)}
	}
	must("IPPolicy", filled.check())
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if p := filled.of(r); p != enrichers.IPKeep {
				r = inlet.WithClientIP(r, p.Apply(inlet.ClientIP(r)))
			}
			next.ServeHTTP(w, r)
		})
	}
}

func (o *IPPolicyOptions) check() error {
	if !o.Policy.Valid() {
		return errors.New("option Policy is none of the policies")
	}
	for _, id := range slices.Sorted(maps.Keys(o.Sources)) {
		if !o.Sources[id].Valid() {
			return fmt.Errorf("option Sources[%q] is none of the policies", id)
		}
	}
	return nil
}

func (o *IPPolicyOptions) of(r *http.Request) enrichers.IPPolicy {
	if source := inlet.SourceFromContext(r.Context()); source != nil {
		if p, ok := o.Sources[source.ID]; ok {
			return p
		}
	}
	return o.Policy
}
