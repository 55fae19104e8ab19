package enrichers

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/wire"
)

// An IPPolicy is how much of a client address is retained.
type IPPolicy uint8

const (
	// IPKeep retains the whole address.
	IPKeep IPPolicy = iota
	// IPTruncate retains the network: the first 24 bits of an IPv4 address and the first 48
	// of an IPv6 address. The other bits become zero.
	IPTruncate
	// IPDrop retains nothing.
	IPDrop
)

// Valid reports whether p is one of the policies.
func (p IPPolicy) Valid() bool { return p <= IPDrop }

// Apply returns what is retained of ip, or the zero Addr if that is nothing. An IPv4 address
// that is mapped into IPv6 counts as IPv4. A policy that is not valid retains nothing.
func (p IPPolicy) Apply(ip netip.Addr) netip.Addr {
	ip = ip.Unmap()
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	switch p {
	case IPKeep:
		return ip
	case IPTruncate:
		network, _ := ip.Prefix(bits) // the zero Prefix of the zero Addr
		return network.Addr()
	}
	return netip.Addr{}
}

// appendApplied appends what is retained of the address in a JSON string, as an editor does.
func (p IPPolicy) appendApplied(dst, value []byte) []byte {
	ip, err := netip.ParseAddr(wire.Text(value))
	if ip = p.Apply(ip); err != nil || !ip.IsValid() {
		return nil
	}
	return wire.AppendString(dst, ip.String())
}

// An IPFill is whether the address that a request came from is written into the context of its
// events.
type IPFill uint8

const (
	// IPFillNever leaves what the client sent, or nothing.
	IPFillNever IPFill = iota
	// IPFillAbsent writes the address where the client sent none.
	IPFillAbsent
	// IPFillAlways overwrites what the client sent, which proves nothing. Where the address
	// is not known, it removes what the client sent.
	IPFillAlways
)

// An IPRule is what happens to the address in an event. The zero value leaves the event as the
// client sent it.
type IPRule struct {
	// Fill is applied first. Defaults to IPFillNever.
	Fill IPFill
	// Policy is then applied to the address in the event, whether the client sent it or Fill
	// wrote it. Text that is not an address cannot be truncated and is removed instead.
	// Defaults to IPKeep.
	Policy IPPolicy
}

// faults returns what is wrong with the rule in the option called field.
func (r IPRule) faults(field string) []error {
	return []error{
		check.Known(field+".Fill", r.Fill, IPFillNever, IPFillAbsent, IPFillAlways),
		check.Known(field+".Policy", r.Policy, IPKeep, IPTruncate, IPDrop),
	}
}

// IPOptions configure [IP]. A nil pointer means all defaults.
type IPOptions struct {
	// Browsers is the rule for sources that are bound to origins: an address that a page
	// claims proves nothing. Defaults to leaving events as they were sent.
	Browsers IPRule
	// Servers is the rule for all other sources: an address that a server sends for one of
	// its users is data. Defaults to leaving events as they were sent.
	Servers IPRule
	// Sources has rules for single sources, by source ID. They replace the other two.
	// Defaults to none.
	Sources map[string]IPRule
}

// Members of an event's context, quoted.
const (
	memberIP        = `"ip"`
	memberUserAgent = `"userAgent"`
	memberBot       = `"bot"`
)

// addressPaths are the paths of addresses in a context: Segment's, and Commanders Act's, which
// is never filled in.
var addressPaths = [...][]string{{memberIP}, {`"device"`, memberIP}}

// IP returns an enricher that applies the rule of the event's source to context.ip, the address
// of the user. It applies the rule's Policy to context.device.ip as well.
//
// The address is [inlet.ClientIPFromContext]: the one that a layer such as middleware.ClientIP
// has set. Without such a layer the address is not known. For the host's own events, given to
// [inlet.Handler.Ingest], it never is. Visitors who opted out (see [inlet.Visitor]) have no
// address: it is not filled in, and removed where the client sent it, whatever the rule.
//
// The error names every rule that is out of range.
func IP(o *IPOptions) (inlet.Enricher, error) {
	var rules ipRules
	if o != nil {
		rules.IPOptions = *o
		rules.Sources = maps.Clone(o.Sources)
	}
	faults := append(rules.Browsers.faults("Browsers"), rules.Servers.faults("Servers")...)
	for _, id := range slices.Sorted(maps.Keys(rules.Sources)) {
		faults = append(faults, rules.Sources[id].faults(fmt.Sprintf("Sources[%q]", id))...)
	}
	if err := check.Options("enrichers", "IPOptions", faults...); err != nil {
		return nil, err
	}
	return rules.enrich, nil
}

type ipRules struct{ IPOptions }

func (r ipRules) enrich(ctx context.Context, e *inlet.Event) {
	rule := r.ruleOf(e.Source)
	if inlet.VisitorFromContext(ctx).OptedOut {
		rule = IPRule{Policy: IPDrop}
	}
	if e.Dialect != inlet.DialectIngest {
		rule.fillIn(ctx, e)
	}
	if rule.Policy == IPKeep {
		return
	}
	for _, path := range addressPaths {
		editRaw(&e.Context, path, rule.Policy.appendApplied)
	}
}

func (r ipRules) ruleOf(s *inlet.Source) IPRule {
	if rule, ok := r.Sources[s.ID]; ok {
		return rule
	}
	if len(s.Origins) > 0 {
		return r.Browsers
	}
	return r.Servers
}

func (r IPRule) fillIn(ctx context.Context, e *inlet.Event) {
	if r.Fill == IPFillNever || r.Fill == IPFillAbsent && textMember(e.Context, memberIP) != "" {
		return
	}
	switch ip := r.Policy.Apply(inlet.ClientIPFromContext(ctx)); {
	case ip.IsValid():
		setMember(&e.Context, memberIP, wire.AppendString(nil, ip.String()))
	case r.Fill == IPFillAlways:
		editRaw(&e.Context, addressPaths[0], IPDrop.appendApplied)
	}
}
