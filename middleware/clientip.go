package middleware

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/order"
)

// ClientIPOptions configure which proxies are trusted for the client address. A nil pointer means
// all defaults.
type ClientIPOptions struct {
	// Trusted are the networks of the proxies in front of the server. A network that also has
	// clients lets them choose their address, so a network of all addresses is rejected.
	// Defaults to none: the address is that of the connection, and no header is read.
	Trusted []netip.Prefix
	// Header is the one that the trusted proxies write: every proxy must append to it or set
	// it, on every request. X-Forwarded-For is a list; Forwarded is that of RFC 7239; any
	// other, such as X-Real-Ip, has a single address. Defaults to X-Forwarded-For.
	Header string
}

// Headers with lists of addresses, in their canonical form.
const (
	headerXForwardedFor = "X-Forwarded-For"
	headerForwarded     = "Forwarded"
)

// ClientIP determines the address that a request comes from, for [inlet.ClientIP]: for limits by
// IP, the access log and the events.
//
// A proxy appends the address of its peer to the list in the header. So the list is read from its
// end, with the address of the connection as the last entry: over all lines of the header, past
// the addresses of trusted proxies, to the first address that is not trusted. That is the client;
// entries to its left are controlled by the client and are not read. An entry that is not an
// address ends the search at the proxy that wrote it, and so do more than 10 entries or 1,024
// bytes. A header with a single address counts if the request has it exactly once.
//
// ClientIP panics if an option is out of range.
func ClientIP(o *ClientIPOptions) func(http.Handler) http.Handler {
	f, err := o.forwarded()
	must(err)
	return f.layer(nil)
}

// layer returns the layer that sets the address.
func (f *forwarded) layer(logger *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return at(order.ClientIP, logger, next, func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, inlet.WithClientIP(r, f.client(connectionIP(r), r.Header[f.header])))
		})
	}
}

// forwarded returns the reader of the header.
func (o *ClientIPOptions) forwarded() (*forwarded, error) {
	var filled ClientIPOptions
	if o != nil {
		filled = *o
	}
	f := &forwarded{header: http.CanonicalHeaderKey(cmp.Or(filled.Header, headerXForwardedFor))}
	return f, check.Options("middleware", "ClientIPOptions", f.trust("Trusted", filled.Trusted)...)
}

// trust adds networks of proxies, and returns the faults of the field that has them.
func (f *forwarded) trust(name string, networks []netip.Prefix) (faults []error) {
	for i, given := range networks {
		field, p := fmt.Sprintf("%s[%d]", name, i), given
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		switch {
		case !p.IsValid() || p.Addr().Is4In6():
			faults = append(faults, check.Fault(field, "is %v, must be a network", given))
		case p.Bits() == 0:
			faults = append(faults, check.Fault(field, "is %v, must not contain all addresses", given))
		}
		f.trusted = append(f.trusted, p)
	}
	return faults
}

// connectionIP returns the address of the connection, whatever a layer outside has set.
func connectionIP(r *http.Request) netip.Addr {
	if addr, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return addr.Addr().Unmap()
	}
	addr, _ := netip.ParseAddr(r.RemoteAddr)
	return addr.Unmap()
}

// How much of a list of addresses is read.
const (
	maxHops     = 10
	maxHopBytes = 1024
)

// optionalSpace may be around an entry of a list.
const optionalSpace = " \t"

// forwarded reads the header that proxies write.
type forwarded struct {
	trusted []netip.Prefix
	header  string // in its canonical form
}

// client returns the address that a request comes from, given the address of the connection and
// the lines of the header.
func (f *forwarded) client(connection netip.Addr, lines []string) netip.Addr {
	if !f.trusts(connection) {
		return connection
	}
	switch f.header {
	case headerXForwardedFor:
		return f.search(connection, lines, parseHop)
	case headerForwarded:
		return f.search(connection, lines, parseForwarded)
	}
	if len(lines) == 1 && len(lines[0]) <= maxHopBytes {
		if ip, ok := parseHop(strings.Trim(lines[0], optionalSpace)); ok {
			return ip
		}
	}
	return connection
}

// trusts reports whether ip is that of a trusted proxy.
func (f *forwarded) trusts(ip netip.Addr) bool {
	for _, p := range f.trusted {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// search reads entries from the last one of the last line to the left, as long as each was
// written by a trusted proxy and is an address. It returns the last address that it read, or the
// given one.
//
// Entries end at commas, even within quotes: an entry that a proxy wrote has none before its
// address, and text that a client wrote must not be able to make one part of its own entry.
func (f *forwarded) search(ip netip.Addr, lines []string, parse func(string) (netip.Addr, bool)) netip.Addr {
	unread := hops{lines: lines, bytes: maxHopBytes}
	for range maxHops {
		entry, ok := unread.last()
		if !ok {
			break
		}
		hop, ok := parse(strings.Trim(entry, optionalSpace))
		if !ok {
			break
		}
		if ip = hop; !f.trusts(ip) {
			break
		}
	}
	return ip
}

// hops are the entries of a list that is read from its end.
type hops struct {
	lines   []string
	partial string // the unread part of the line that is being read
	inLine  bool   // whether there is such a line
	bytes   int    // that may still be read
}

// last removes the last entry and returns it. It reports false if there is none, or it is too
// long.
func (h *hops) last() (entry string, ok bool) {
	if !h.inLine {
		i := len(h.lines) - 1
		if i < 0 {
			return "", false
		}
		h.partial, h.lines, h.inLine = h.lines[i], h.lines[:i], true
	}
	comma := strings.LastIndexByte(h.partial, ',')
	entry = h.partial[comma+1:]
	h.partial, h.inLine = h.partial[:max(comma, 0)], comma >= 0
	h.bytes -= len(entry) + len(",")
	return entry, h.bytes >= 0
}

// parseHop parses an address, with or without a port.
func parseHop(text string) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
			ip, err = netip.ParseAddr(inner[:len(inner)-1])
		} else {
			var with netip.AddrPort
			with, err = netip.ParseAddrPort(text)
			ip = with.Addr()
		}
	}
	return ip.Unmap(), err == nil && ip.Zone() == ""
}

// parseForwarded parses the address in the "for" parameter of an entry, of which there must be
// only one. A name in its place, which hides the address ("unknown", "_x"), is not an address.
func parseForwarded(entry string) (ip netip.Addr, ok bool) {
	for pair := range strings.SplitSeq(entry, ";") {
		name, value, _ := strings.Cut(strings.Trim(pair, optionalSpace), "=")
		if !strings.EqualFold(name, "for") {
			continue
		}
		if ok {
			return ip, false
		}
		if inner, quoted := strings.CutPrefix(value, `"`); quoted {
			if value, quoted = strings.CutSuffix(inner, `"`); !quoted {
				return ip, false
			}
		}
		if ip, ok = parseHop(value); !ok {
			return ip, false
		}
	}
	return ip, ok
}
