package middleware

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/inlet-go/inlet"
)

// A RateKey is what a request is counted under, and optionally limits of its
// own. Two requests are counted together if both Name and IP are the same.
type RateKey struct {
	// Name is any text. Defaults to "".
	Name string
	// IP is an address, without its zone. Defaults to none.
	IP netip.Addr
	// Rate and Burst, EventRate and ByteRate stand in for those of the options.
	// They take effect at once if they differ from those of the request before.
	// Default to those of the options.
	Rate      float64
	Burst     int
	EventRate float64
	ByteRate  float64
}

// ByIP counts by client address: each IPv4 address, each IPv6 network of 64
// bits, which is the least that one customer has. The address is that of the
// connection, unless a layer before says otherwise ([inlet.WithClientIP]).
// Requests without one, as over a Unix socket, are not counted.
func ByIP(r *http.Request) (RateKey, bool) { return byNetwork(r, 32, 64) }

// ByNetwork returns a function that counts as [ByIP] does, but by networks of so
// many bits: ByNetwork(24, 56), for example, where attackers have whole networks.
// It panics if there are no such networks.
func ByNetwork(bits4, bits6 int) func(*http.Request) (RateKey, bool) {
	if bits4 < 1 || bits4 > 32 || bits6 < 1 || bits6 > 128 {
		must("ByNetwork", fmt.Errorf("the networks are of %d and %d bits, must be 1 to 32 and 1 to 128", bits4, bits6))
	}
	return func(r *http.Request) (RateKey, bool) { return byNetwork(r, bits4, bits6) }
}

func byNetwork(r *http.Request, bits4, bits6 int) (RateKey, bool) {
	ip := inlet.ClientIP(r)
	bits := bits4
	if ip.Is6() {
		bits = bits6
	}
	network, err := ip.Prefix(bits) // without a zone
	return RateKey{IP: network.Addr()}, err == nil && ip.IsValid()
}

// BySource counts by the source that an authentication layer before has vouched
// for, with the source's own rates where it has them. Requests without a source
// are not counted.
func BySource(r *http.Request) (RateKey, bool) {
	source := inlet.SourceFromContext(r.Context())
	if source == nil {
		return RateKey{}, false
	}
	return RateKey{
		Name: source.ID,
		Rate: source.Rate, Burst: source.Burst,
		EventRate: source.EventRate, ByteRate: source.ByteRate,
	}, true
}
