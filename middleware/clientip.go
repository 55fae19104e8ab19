package middleware

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/inlet-go/inlet"
)

// ClientIPOptions say whose word counts on a client's address. Nil is all
// defaults.
type ClientIPOptions struct {
	// Trusted are the networks of the proxies in front, whose word is taken.
	// None of them may hold clients; all addresses there are cannot be trusted.
	// Defaults to none: the address is that of the connection, and no header is
	// read.
	Trusted []netip.Prefix
	// Header is the one that the trusted proxies write: each must append to it
	// or set it, on every request. X-Forwarded-For is a list; Forwarded is that
	// of RFC 7239; any other, such as X-Real-Ip, holds a single address.
	// Defaults to X-Forwarded-For.
	Header string
}

// Headers that hold lists of addresses, in their canonical form.
const (
	headerXForwardedFor = "X-Forwarded-For"
	headerForwarded     = "Forwarded"
)

// ClientIP finds out where a request comes from, for [inlet.ClientIP]: for
// limits by IP, the access log and the events behind it.
//
// A proxy appends the address of whoever it was called by. So a list is read from
// its end, the connection's own address coming last: over all lines of the
// header, past the addresses of trusted proxies, to the first that is none. That
// is the client; what stands left of it is the client's own word, and is not
// read. An entry that is no address ends the walk at the proxy that wrote it, and
// so do more than 10 entries or 1,024 bytes. A header with a single address
// counts if it stands there once.
//
// ClientIP panics if an option is out of range.
func ClientIP(o *ClientIPOptions) func(http.Handler) http.Handler {
	var filled ClientIPOptions
	if o != nil {
		filled = *o
	}
	trusted, err := newNetworks(filled.Trusted)
	must("ClientIP", err)
	f := forwarded{
		trusted: trusted,
		header:  http.CanonicalHeaderKey(cmp.Or(filled.Header, headerXForwardedFor)),
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, inlet.WithClientIP(r, f.client(remoteIP(r), r.Header[f.header])))
		})
	}
}

// remoteIP returns the address of the connection, whatever a layer before said.
func remoteIP(r *http.Request) netip.Addr {
	if addr, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return addr.Addr().Unmap()
	}
	addr, _ := netip.ParseAddr(r.RemoteAddr)
	return addr.Unmap()
}

// networks are those of the proxies.
type networks []netip.Prefix

func newNetworks(prefixes []netip.Prefix) (networks, error) {
	var all networks
	for i, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		switch {
		case !p.IsValid() || p.Addr().Is4In6():
			return nil, fmt.Errorf("option Trusted[%d] is no network: %v", i, prefixes[i])
		case p.Bits() == 0:
			return nil, fmt.Errorf("option Trusted[%d] is %v: then every client could say what it likes", i, prefixes[i])
		}
		all = append(all, p)
	}
	return all, nil
}

func (n networks) contain(ip netip.Addr) bool {
	for _, p := range n {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
