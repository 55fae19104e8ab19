package middleware

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/order"
)

// IPPolicyOptions configure how much of the client address is retained. A nil pointer means all
// defaults.
type IPPolicyOptions struct {
	// Policy is for requests without a source, and for sources that are not in Sources.
	// Defaults to [enrichers.IPKeep].
	Policy enrichers.IPPolicy
	// Sources has policies for single sources, by ID. They need the layer to be inside
	// [Auth]. Defaults to none.
	Sources map[string]enrichers.IPPolicy
}

// IPPolicy truncates or drops the client address: for the layers inside, for the events, and for
// [AccessLog], which is outside but writes its record at the end.
//
// Where it is decides who sees the whole address. Right inside [ClientIP], nothing else does; a
// limit by IP then counts networks, and with [enrichers.IPDrop] it counts nothing. Inside the
// limit, the limit uses whole addresses, and the records of requests that it refuses have them
// too. A chain may have two: one for all requests, and one inside Auth for single sources.
//
// IPPolicy panics if an option is out of range.
func IPPolicy(o *IPPolicyOptions) func(http.Handler) http.Handler {
	filled, err := o.withDefaults()
	must(err)
	return func(next http.Handler) http.Handler {
		return &transparent{at(order.IPPolicy, nil, next, func(w http.ResponseWriter, r *http.Request) {
			if p := filled.policy(r); p != enrichers.IPKeep {
				r = inlet.WithClientIP(r, p.Apply(inlet.ClientIP(r)))
			}
			next.ServeHTTP(w, r)
		})}
	}
}

func (o *IPPolicyOptions) withDefaults() (IPPolicyOptions, error) {
	if o == nil {
		return IPPolicyOptions{}, nil
	}
	faults := []error{checkPolicy("Policy", o.Policy)}
	for _, id := range slices.Sorted(maps.Keys(o.Sources)) {
		faults = append(faults, checkPolicy(fmt.Sprintf("Sources[%q]", id), o.Sources[id]))
	}
	return IPPolicyOptions{Policy: o.Policy, Sources: maps.Clone(o.Sources)},
		check.Options("middleware", "IPPolicyOptions", faults...)
}

func checkPolicy(field string, p enrichers.IPPolicy) error {
	if !p.Valid() {
		return check.Fault(field, "is %d, must be one of the constants", p)
	}
	return nil
}

// policy returns the policy for the source of r.
func (o *IPPolicyOptions) policy(r *http.Request) enrichers.IPPolicy {
	if source := inlet.SourceFromContext(r.Context()); source != nil {
		if p, ok := o.Sources[source.ID]; ok {
			return p
		}
	}
	return o.Policy
}
