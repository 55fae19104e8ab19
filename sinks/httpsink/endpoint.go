package httpsink

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// This file decides where requests go: the URL of the batch API, the addresses that
// may be connected to, and the transport that enforces both.

// defaultPath is where Segment, RudderStack, Jitsu and Inlet accept batches.
const defaultPath = "/v1/batch"

// batchPaths are suffixes of paths that are known to accept batches.
var batchPaths = []string{defaultPath, "/v1/b", "/v1/import", "/s2s/batch"}

// parseEndpoint returns the URL of the batch API. Its errors do not quote the
// endpoint, which may contain a key by mistake.
func parseEndpoint(endpoint string, o *Options) (string, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "", errors.New("httpsink: endpoint is not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("httpsink: endpoint must have the scheme https")
	case u.Scheme == "http" && !o.AllowHTTP:
		return "", errors.New("httpsink: endpoint must have the scheme https; AllowHTTP permits http")
	case u.Hostname() == "":
		return "", errors.New("httpsink: endpoint has no host")
	case u.User != nil:
		return "", errors.New("httpsink: endpoint has user information; pass the write key as its own argument")
	case strings.ContainsAny(endpoint, "?#"):
		return "", errors.New("httpsink: endpoint has a query or a fragment")
	}
	if err := checkHost(u.Hostname(), o); err != nil {
		return "", fmt.Errorf("httpsink: endpoint: %w", err)
	}
	return u.Scheme + "://" + u.Host + batchPath(u.EscapedPath()), nil
}

// checkHost refuses, at construction, an address that would be refused whenever a
// request is sent. Names are checked when they are resolved.
func checkHost(host string, o *Options) error {
	ip, err := netip.ParseAddr(host)
	if err != nil || o.AllowPrivate || o.Transport != nil {
		return nil
	}
	return checkPublic(ip)
}

// batchPath completes path to that of a batch API, unless it is one already.
func batchPath(path string) string {
	path = strings.TrimRight(path, "/")
	if slices.ContainsFunc(batchPaths, func(known string) bool { return strings.HasSuffix(path, known) }) {
		return path
	}
	return strings.TrimSuffix(path, "/v1") + defaultPath
}

// importEndpoint returns where the receiver at a complete endpoint accepts imports, which may
// be larger than batches, or "" if it has no such path.
func importEndpoint(endpoint string) string {
	const imports = "/v1/import"
	for _, path := range []string{defaultPath, "/v1/b", imports} {
		if base, ok := strings.CutSuffix(endpoint, path); ok {
			return base + imports
		}
	}
	return ""
}

// publicIPv6 is the part of IPv6 that is allocated to the public internet. Addresses
// outside of it are local, multicast, or represent IPv4, such as 64:ff9b::/96.
var publicIPv6 = netip.MustParsePrefix("2000::/3")

// specialNetworks are not on the public internet although the rules above admit them,
// by the IANA registries of special-purpose addresses.
var specialNetworks = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this network; 0.0.0.0 reaches this machine
	netip.MustParsePrefix("10.0.0.0/8"),       // private
	netip.MustParsePrefix("100.64.0.0/10"),    // behind a carrier's NAT
	netip.MustParsePrefix("127.0.0.0/8"),      // loopback
	netip.MustParsePrefix("168.63.129.16/32"), // a cloud's internal service at a public address
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local, with the metadata services of clouds
	netip.MustParsePrefix("172.16.0.0/12"),    // private
	netip.MustParsePrefix("192.0.0.0/24"),     // IETF protocols
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation
	netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),   // private
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation
	netip.MustParsePrefix("224.0.0.0/4"),      // multicast
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, and broadcast

	netip.MustParsePrefix("2001::/23"),     // IETF protocols; Teredo, which represents IPv4
	netip.MustParsePrefix("2001:db8::/32"), // documentation
	netip.MustParsePrefix("2002::/16"),     // 6to4, which represents IPv4
	netip.MustParsePrefix("3fff::/20"),     // documentation
}

// isPublic reports whether ip is an address on the public internet. An address with a
// zone belongs to a link, so it is not: no prefix contains it.
func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.Is4() && !publicIPv6.Contains(ip) {
		return false
	}
	return !slices.ContainsFunc(specialNetworks, func(network netip.Prefix) bool { return network.Contains(ip) })
}

// checkPublic returns an error unless ip is an address on the public internet.
func checkPublic(ip netip.Addr) error {
	if !isPublic(ip) {
		return fmt.Errorf("%v is not an address on the public internet; see Options.AllowPrivate", ip)
	}
	return nil
}

// controlPublic is the Control of a dialer that connects to the public internet only.
// The dialer passes the resolved address right before connecting to it, so there is
// no gap in which a name could change its address (DNS rebinding).
func controlPublic(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("httpsink: %q is not an address: %w", address, err)
	}
	if err := checkPublic(target.Addr()); err != nil {
		return fmt.Errorf("httpsink: %w", err)
	}
	return nil
}

const (
	// idleTimeout is how long an idle connection is kept: shorter than load balancers
	// usually do, so that they do not close it while a request is being sent.
	idleTimeout = 30 * time.Second
	// maxResponseHeader limits the header of a response in bytes.
	maxResponseHeader = 64 << 10
)

// newTransport returns a transport that resolves, connects and checks as the options
// say. It ignores proxies of the environment: a proxy would connect to addresses that
// controlPublic never sees. It speaks HTTP/1.1, in which a request that hangs blocks
// its own connection only.
func newTransport(o *Options) *http.Transport {
	dialer := &net.Dialer{Timeout: o.ConnectTimeout, Resolver: o.resolver}
	if !o.AllowPrivate {
		dialer.Control = controlPublic
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        o.TLSConfig,
		TLSHandshakeTimeout:    o.ConnectTimeout,
		MaxIdleConnsPerHost:    o.MaxConcurrent,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true,
		Protocols:              &protocols,
	}
}
