package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
	"github.com/inlet-go/inlet/middleware"
)

// proxies are the networks that the tests trust.
var proxies = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ffff::/48"), netip.MustParsePrefix("::ffff:192.0.2.0/120"),
}

// clientIP returns the address that ClientIP determines.
func clientIP(o *middleware.ClientIPOptions, remote, name string, lines ...string) (addr netip.Addr) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = remote
	r.Header[name] = lines
	middleware.ClientIP(o)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		addr = inlet.ClientIP(r)
	})).ServeHTTP(httptest.NewRecorder(), r)
	return addr
}

// A client cannot choose its address, whatever it puts into X-Forwarded-For.
func TestClientIP(t *testing.T) {
	t.Parallel()
	const proxy = "10.0.0.1:4711"
	hops := func(n int, hop string) string { return strings.TrimSuffix(strings.Repeat(hop+",", n), ",") }
	for _, tt := range []struct {
		name, remote string
		lines        []string
		want         string
	}{
		{"no header: the connection", proxy, nil, "10.0.0.1"},
		{"an untrusted connection: the connection", "203.0.113.1:1", []string{"198.51.100.7"}, "203.0.113.1"},
		{"one entry: the entry", proxy, []string{"198.51.100.7"}, "198.51.100.7"},
		{"entries of trusted proxies: the one before them", proxy, []string{"198.51.100.7, 10.1.1.1, 10.2.2.2"}, "198.51.100.7"},
		{"two untrusted entries: the last", proxy, []string{"1.1.1.1, 198.51.100.7, 10.1.1.1"}, "198.51.100.7"},
		{"a trusted address before an untrusted one: the last", proxy, []string{"1.1.1.1, 10.9.9.9, 198.51.100.7"}, "198.51.100.7"},
		{"several lines, continued from the last", proxy, []string{"1.1.1.1", "198.51.100.7, 10.1.1.1", "10.2.2.2"}, "198.51.100.7"},
		{"two lines: the last", proxy, []string{"1.1.1.1", "198.51.100.7"}, "198.51.100.7"},
		{"only trusted entries: the first", proxy, []string{"10.3.3.3, 10.1.1.1"}, "10.3.3.3"},
		{"IPv6", "[2001:db8:ffff::1]:443", []string{"2001:db8::7, 2001:db8:ffff::2"}, "2001:db8::7"},
		{"a trusted address written as IPv6", "[::ffff:10.0.0.1]:443", []string{"198.51.100.7, ::ffff:10.1.1.1"}, "198.51.100.7"},
		{"a trusted network written as IPv6", "192.0.2.9:443", []string{"198.51.100.7"}, "198.51.100.7"},
		{"an IPv4 address written as IPv6", proxy, []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"with a port", proxy, []string{"198.51.100.7:1234, 10.1.1.1:80"}, "198.51.100.7"},
		{"IPv6 with a port", proxy, []string{"[2001:db8::7]:1234"}, "2001:db8::7"},
		{"IPv6 in brackets", proxy, []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"an entry without an address: the proxy that wrote it", proxy, []string{"198.51.100.7, unknown, 10.1.1.1"}, "10.1.1.1"},
		{"an empty last entry: the connection", proxy, []string{"198.51.100.7,"}, "10.0.0.1"},
		{"an empty last line: the connection", proxy, []string{"198.51.100.7", ""}, "10.0.0.1"},
		{"an address with a zone: the connection", proxy, []string{"fe80::1%zone"}, "10.0.0.1"},
		{"a name: the connection", proxy, []string{"client.example"}, "10.0.0.1"},
		{"a number: the connection", proxy, []string{"3325256711"}, "10.0.0.1"},
		{"octal digits: the connection", proxy, []string{"0198.051.0100.7"}, "10.0.0.1"},
		{"the tenth entry", proxy, []string{"198.51.100.7," + hops(9, "10.1.1.1")}, "198.51.100.7"},
		{"not the eleventh entry", proxy, []string{"198.51.100.7," + hops(10, "10.1.1.1")}, "10.1.1.1"},
		{"an entry longer than a kibibyte: the connection", proxy, []string{"198.51.100.7," + strings.Repeat(" ", 1024) + "10.1.1.1"}, "10.0.0.1"},
		{"not beyond a kibibyte", proxy, []string{"198.51.100.7" + strings.Repeat(" ", 1020) + ",10.1.1.1"}, "10.1.1.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := clientIP(&middleware.ClientIPOptions{Trusted: proxies}, tt.remote, "X-Forwarded-For", tt.lines...)
			require.Equal(t, tt.want, got.String())
		})
	}
}

func TestClientIPForwarded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"one entry", []string{"for=198.51.100.7"}, "198.51.100.7"},
		{"an entry among others", []string{`For="[2001:db8::7]:4711";proto=https;by=10.0.0.1, for=10.1.1.1;by=10.0.0.2`}, "2001:db8::7"},
		{"several lines", []string{"for=1.1.1.1", "for=198.51.100.7, for=10.1.1.1"}, "198.51.100.7"},
		{"a proxy that hides the address", []string{"for=198.51.100.7, for=_hidden"}, "10.0.0.1"},
		{"a proxy that does not know the address", []string{`for=198.51.100.7, for=unknown, for="10.1.1.1"`}, "10.1.1.1"},
		{"an entry without the parameter", []string{"for=198.51.100.7, proto=https"}, "10.0.0.1"},
		{"the parameter twice in one entry", []string{"for=1.1.1.1;for=198.51.100.7"}, "10.0.0.1"},
		{"a quote that the client left open", []string{`for="1.1.1.1, for=198.51.100.7`}, "198.51.100.7"},
		{"a quote that is not closed", []string{`for="198.51.100.7`}, "10.0.0.1"},
		{"an escape", []string{`for="198.51.100.\7"`}, "10.0.0.1"},
		{"white space within", []string{"for= 198.51.100.7"}, "10.0.0.1"},
		{"a bare address", []string{"198.51.100.7"}, "10.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := clientIP(&middleware.ClientIPOptions{Trusted: proxies, Header: "forwarded"}, "10.0.0.1:1", "Forwarded", tt.lines...)
			require.Equal(t, tt.want, got.String())
		})
	}
}

func TestClientIPSingleHeader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, remote string
		lines        []string
		want         string
	}{
		{"from a trusted proxy", "10.0.0.1:1", []string{" 198.51.100.7 "}, "198.51.100.7"},
		{"from an untrusted connection", "203.0.113.1:1", []string{"198.51.100.7"}, "203.0.113.1"},
		{"twice", "10.0.0.1:1", []string{"198.51.100.7", "198.51.100.7"}, "10.0.0.1"},
		{"a list", "10.0.0.1:1", []string{"198.51.100.7, 198.51.100.8"}, "10.0.0.1"},
		{"without it", "10.0.0.1:1", nil, "10.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := clientIP(&middleware.ClientIPOptions{Trusted: proxies, Header: "X-Real-IP"}, tt.remote, "X-Real-Ip", tt.lines...)
			require.Equal(t, tt.want, got.String())
		})
	}
}

// By default no header is read.
func TestClientIPDefault(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"10.0.0.1:1": "10.0.0.1", "[::ffff:203.0.113.1]:1": "203.0.113.1", "203.0.113.1": "203.0.113.1", "@": "invalid IP", "": "invalid IP",
	} {
		for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip"} {
			require.Equal(t, want, clientIP(nil, remote, name, "198.51.100.7").String())
		}
	}
}

func TestIPPolicy(t *testing.T) {
	t.Parallel()
	layer := middleware.IPPolicy(&middleware.IPPolicyOptions{
		Policy: enrichers.IPTruncate, Sources: map[string]enrichers.IPPolicy{"web": enrichers.IPKeep, "old": enrichers.IPDrop},
	})
	for source, want := range map[string]string{"": "203.0.113.0", "web": "203.0.113.77", "old": "invalid IP", "shop": "203.0.113.0"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "203.0.113.77:1"
		if source != "" {
			r = inlet.WithSource(r, &inlet.Source{ID: source})
		}
		layer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			require.Equal(t, want, inlet.ClientIP(r).String(), source)
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
}

// hopsOf is a reference implementation: all entries of all lines, from the left.
func hopsOf(header string, lines []string) []string {
	var hops []string
	for entry := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		hop := strings.Trim(entry, " \t")
		if header == "Forwarded" {
			hop = ""
			if fields := strings.Split(entry, ";"); len(fields) > 0 {
				values := slices.DeleteFunc(fields, func(f string) bool {
					return !strings.HasPrefix(strings.ToLower(strings.Trim(f, " \t")), "for=")
				})
				if len(values) == 1 {
					hop = strings.Trim(values[0], " \t")[len("for="):]
					if len(hop) > 1 && hop[0] == '"' && hop[len(hop)-1] == '"' {
						hop = hop[1 : len(hop)-1]
					}
				}
			}
		}
		hops = append(hops, hop)
	}
	return hops
}

// addrOf is a reference implementation: the address of a hop, the zero Addr if it has none.
func addrOf(hop string) netip.Addr {
	if with, err := netip.ParseAddrPort(hop); err == nil && with.Addr().Zone() == "" {
		return with.Addr().Unmap()
	}
	if strings.HasPrefix(hop, "[") && strings.HasSuffix(hop, "]") {
		hop = hop[1 : len(hop)-1]
	}
	if addr, err := netip.ParseAddr(hop); err == nil && addr.Zone() == "" {
		return addr.Unmap()
	}
	return netip.Addr{}
}

func isProxy(ip netip.Addr) bool {
	return slices.ContainsFunc(proxies[:2], func(p netip.Prefix) bool { return p.Contains(ip) }) ||
		netip.MustParsePrefix("192.0.2.0/24").Contains(ip)
}

// The result is the address of the connection, or that of an entry after which there are only
// trusted proxies; and of these the leftmost within the bounds.
func FuzzForwarded(f *testing.F) {
	f.Add("1.1.1.1, 198.51.100.7", "10.1.1.1", true, false)
	f.Add(`for="[2001:db8::7]:1";by=x,for=10.1.1.1`, `for="10.2.2.2`, true, true)
	f.Add("1.1.1.1", "::ffff:10.0.0.1", false, false)
	f.Add("fe80::1%x,,", " [::1] ", true, false)
	f.Fuzz(func(t *testing.T, first, second string, proxied, rfc bool) {
		remote := map[bool]string{false: "203.0.113.1:1", true: "[::ffff:192.0.2.1]:1"}[proxied]
		header := map[bool]string{false: "X-Forwarded-For", true: "Forwarded"}[rfc]
		lines := []string{first, second}
		got := clientIP(&middleware.ClientIPOptions{Trusted: proxies, Header: header}, remote, header, lines...)

		want := addrOf(remote)
		hops := hopsOf(header, lines)
		for i, hop := range slices.Backward(hops) {
			if !isProxy(want) || len(hops)-i > 10 || len(strings.Join(lines, ",")) > 1000 {
				break
			}
			ip := addrOf(hop)
			if !ip.IsValid() {
				break
			}
			want = ip
		}
		if len(first)+len(second) < 1000 {
			require.Equal(t, want, got, "%q", hops)
		}
		if !proxied {
			require.Equal(t, "203.0.113.1", got.String())
		}
	})
}
