package middleware

import (
	"net/netip"
	"strings"
)

// What is read of a list of addresses.
const (
	mostHops     = 10
	mostHopBytes = 1024
)

// optionalSpace may stand around an entry of a list.
const optionalSpace = " \t"

// forwarded reads the header that proxies write.
type forwarded struct {
	trusted networks
	header  string // in its canonical form
}

// client returns the address that a request comes from, given the connection's
// and the lines of the header.
func (f *forwarded) client(remote netip.Addr, lines []string) netip.Addr {
	if !f.trusted.contain(remote) {
		return remote
	}
	switch f.header {
	case headerXForwardedFor:
		return f.walk(remote, lines, parseHop)
	case headerForwarded:
		return f.walk(remote, lines, parseForwarded)
	}
	if len(lines) == 1 && len(lines[0]) <= mostHopBytes {
		if ip, ok := parseHop(strings.Trim(lines[0], optionalSpace)); ok {
			return ip
		}
	}
	return remote
}

// walk goes from the last entry of the last line to the left, for as long as it
// comes from a trusted proxy to an address.
//
// Entries are cut at commas, also within quotes: an entry that a proxy wrote has
// none before its address, and what a client wrote must not be able to swallow
// one.
func (f *forwarded) walk(last netip.Addr, lines []string, parse func(string) (netip.Addr, bool)) netip.Addr {
	left := trail{lines: lines, room: mostHopBytes}
	for range mostHops {
		entry, ok := left.next()
		if !ok {
			break
		}
		ip, ok := parse(strings.Trim(entry, optionalSpace))
		if !ok {
			break
		}
		if last = ip; !f.trusted.contain(ip) {
			break
		}
	}
	return last
}

// trail is what is left of a list that is read from its end.
type trail struct {
	lines []string
	rest  string // of the line that has been begun
	begun bool
	room  int // bytes that may still be read
}

// next takes off the last entry that is left. There is none if it is too long.
func (t *trail) next() (entry string, ok bool) {
	if !t.begun {
		last := len(t.lines) - 1
		if last < 0 {
			return "", false
		}
		t.rest, t.lines, t.begun = t.lines[last], t.lines[:last], true
	}
	comma := strings.LastIndexByte(t.rest, ',')
	entry = t.rest[comma+1:]
	t.rest, t.begun = t.rest[:max(comma, 0)], comma >= 0
	t.room -= len(entry) + len(",")
	return entry, t.room >= 0
}

// parseHop reads an address, with or without a port.
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

// parseForwarded reads the address in the "for" of an entry, which is its only
// one. A name that hides the address ("unknown", "_x") is none.
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
