package enrichers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/wire"
)

// An IPPolicy says how much of a client's address may be known.
type IPPolicy uint8

const (
	// IPKeep is all of it.
	IPKeep IPPolicy = iota
	// IPTruncate is its network: the first 24 bits of an IPv4 address, the first
	// 48 of an IPv6 address, and zeros.
	IPTruncate
	// IPDrop is nothing.
	IPDrop
)

// Valid reports whether p is one of the policies.
func (p IPPolicy) Valid() bool { return p <= IPDrop }

// Apply returns what may be known of ip, the zero Addr if that is nothing.
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

// An IPFill says whether the address that a request came from is written into the
// context of its events.
type IPFill uint8

const (
	// IPFillNever leaves the client's word, or none.
	IPFillNever IPFill = iota
	// IPFillAbsent writes it where the client sent none.
	IPFillAbsent
	// IPFillAlways writes it over the client's word, which is no evidence. Where
	// the address is not known the client's word is taken out.
	IPFillAlways
)

// An IPRule is what becomes of the address in an event. Its zero value leaves the
// event as it was sent.
type IPRule struct {
	// Fill comes first. Defaults to IPFillNever.
	Fill IPFill
	// Policy is for what stands there then, whoever wrote it. Text that is no
	// address cannot be truncated, and is taken out instead. Defaults to IPKeep.
	Policy IPPolicy
}

func (r IPRule) check(field string) error {
	if !r.Policy.Valid() || r.Fill > IPFillAlways {
		return fmt.Errorf("%s has a policy or a fill that does not exist", field)
	}
	return nil
}

// IPOptions configure [IP]. Nil is all defaults.
type IPOptions struct {
	// Browsers is for sources that are bound to origins: what a page says of its
	// address is no evidence. Defaults to leaving events as they were sent.
	Browsers IPRule
	// Servers is for all other sources: what a server says of its users'
	// addresses is data. Defaults to leaving events as they were sent.
	Servers IPRule
	// Sources has rules for single sources, by ID, instead. Defaults to none.
	Sources map[string]IPRule
}

// Members of an event's context, quoted.
const (
	memberIP        = `"ip"`
	memberUserAgent = `"userAgent"`
	memberBot       = `"bot"`
)

// addressPaths are where addresses stand in a context: Segment's, and Commanders
// Act's, which is never filled in.
var addressPaths = [...][]string{{memberIP}, {`"device"`, memberIP}}

// IP returns an enricher that decides about context.ip, the address of the
// user, by the rule of the event's source. The rule's Policy is also for
// context.device.ip.
//
// The address is the one that [inlet.WithClientIP] left, as middleware.ClientIP does;
// without such a layer none is known. That of the host's own events, given to
// [inlet.Handler.Ingest], never is. Visitors who opted out ([inlet.Visitor]) have none, and
// what their events say of it is taken out, whatever the rule.
//
// The error names the rule that is wrong.
func IP(o *IPOptions) (inlet.Enricher, error) {
	var rules contextIP
	if o != nil {
		rules.IPOptions = *o
		rules.Sources = maps.Clone(o.Sources)
	}
	errs := []error{rules.Browsers.check("Browsers"), rules.Servers.check("Servers")}
	for _, id := range slices.Sorted(maps.Keys(rules.Sources)) {
		errs = append(errs, rules.Sources[id].check(fmt.Sprintf("Sources[%q]", id)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("enrichers: IPOptions: %w", err)
	}
	return rules.enrich, nil
}

type contextIP struct{ IPOptions }

func (c contextIP) enrich(ctx context.Context, e *inlet.Event) {
	rule := c.ruleOf(e.Source)
	if inlet.VisitorFromContext(ctx).OptedOut {
		rule = IPRule{Policy: IPDrop}
	}
	if e.Dialect != inlet.DialectIngest {
		rule.fill(ctx, e)
	}
	if rule.Policy == IPKeep {
		return
	}
	for _, path := range addressPaths {
		editRaw(&e.Context, path, rule.Policy.edit)
	}
}

func (c contextIP) ruleOf(s *inlet.Source) IPRule {
	if rule, ok := c.Sources[s.ID]; ok {
		return rule
	}
	if len(s.Origins) > 0 {
		return c.Browsers
	}
	return c.Servers
}

func (r IPRule) fill(ctx context.Context, e *inlet.Event) {
	if r.Fill == IPFillNever || r.Fill == IPFillAbsent && textMember(e.Context, memberIP) != "" {
		return
	}
	switch ip := r.Policy.Apply(inlet.ClientIPFromContext(ctx)); {
	case ip.IsValid():
		setRaw(&e.Context, memberIP, wire.AppendString(nil, ip.String()))
	case r.Fill == IPFillAlways:
		editRaw(&e.Context, addressPaths[0], IPDrop.edit)
	}
}

// edit appends what may be known of an address in a JSON string, nil if that is
// nothing.
func (p IPPolicy) edit(dst, value []byte) []byte {
	ip, err := netip.ParseAddr(wire.Text(value))
	if ip = p.Apply(ip); err != nil || !ip.IsValid() {
		return nil
	}
	return wire.AppendString(dst, ip.String())
}
