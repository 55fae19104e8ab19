package httpsink

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// ipv6Public is all of IPv6 that is given out for the public internet. What lies
// outside is local, multicast, or stands for IPv4, such as 64:ff9b::/96.
var ipv6Public = netip.MustParsePrefix("2000::/3")

// special are the networks within the public ones that are not of the public
// internet, by the registries of special-purpose addresses.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this network; 0.0.0.0 reaches this machine
	netip.MustParsePrefix("10.0.0.0/8"),       // private
	netip.MustParsePrefix("100.64.0.0/10"),    // behind a carrier's NAT
	netip.MustParsePrefix("127.0.0.0/8"),      // loopback
	netip.MustParsePrefix("168.63.129.16/32"), // a cloud's own service, at a public address
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local, with the metadata of clouds
	netip.MustParsePrefix("172.16.0.0/12"),    // private
	netip.MustParsePrefix("192.0.0.0/24"),     // protocols of the IETF
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation
	netip.MustParsePrefix("192.88.99.0/24"),   // relays to 6to4
	netip.MustParsePrefix("192.168.0.0/16"),   // private
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation
	netip.MustParsePrefix("224.0.0.0/4"),      // multicast
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, and broadcast

	netip.MustParsePrefix("2001::/23"),     // protocols of the IETF, with Teredo, which stands for IPv4
	netip.MustParsePrefix("2001:db8::/32"), // documentation
	netip.MustParsePrefix("2002::/16"),     // 6to4, which stands for IPv4
	netip.MustParsePrefix("3fff::/20"),     // documentation
}

// isPublic reports whether ip is an address of the public internet. One with a
// zone is of a link.
func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.Is4() && !ipv6Public.Contains(ip) {
		return false
	}
	return !slices.ContainsFunc(special, func(network netip.Prefix) bool { return network.Contains(ip) })
}

// checkPublic returns an error unless ip is an address of the public internet.
func checkPublic(ip netip.Addr) error {
	if !isPublic(ip) {
		return fmt.Errorf("%v is no address of the public internet; see Options.AllowPrivate", ip)
	}
	return nil
}

// controlPublic is the Control of a dialer that connects to the public internet
// only. It is asked with the address that is about to be connected to, so that it
// does not matter what a name resolved to a moment ago.
func controlPublic(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("httpsink: %q is no address: %w", address, err)
	}
	if err := checkPublic(target.Addr()); err != nil {
		return fmt.Errorf("httpsink: %w", err)
	}
	return nil
}
