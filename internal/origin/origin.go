// Package origin knows the origins of web pages, as browsers send them and as hosts list them.
package origin

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/inlet-go/inlet/internal/check"
)

// Check returns a fault if text is not an origin that a browser can send, nor a pattern of such
// origins. A pattern, "https://*.shop.example", has the subdomains of a host, at any depth, and not
// the host itself.
//
// Any scheme is valid: extensions and apps have other schemes.
func Check(field, text string) error {
	if valid(text) {
		return nil
	}
	return check.Fault(field, `is %q, must be "https://host" or "https://host:port"`, text)
}

func valid(text string) bool {
	text = strings.TrimSuffix(text, "/")
	scheme, host, _ := strings.Cut(text, "://")
	u, err := url.Parse(scheme + "://" + strings.TrimPrefix(host, "*."))
	if err != nil || u.Scheme == "" || u.Hostname() == "" || strings.ContainsRune(u.Host, '*') {
		return false
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return false
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return false
	}
	for _, c := range u.Host { // browsers send other characters as Punycode
		if c <= ' ' || c > '~' || c == '%' {
			return false
		}
	}
	return strings.EqualFold(u.Scheme+"://"+u.Host, scheme+"://"+strings.TrimPrefix(host, "*."))
}

// Matches reports whether an origin, as a browser sends it, is the listed one or has the listed
// pattern. Case, the port that the scheme has anyway and a slash at the end of the listed one do
// not count. It allocates no memory.
func Matches(listed, sent string) bool {
	listed = withoutPort(strings.TrimSuffix(listed, "/"))
	scheme, host, wild := strings.Cut(listed, "*.")
	if !wild {
		return strings.EqualFold(listed, sent)
	}
	labels := len(sent) - len(host) - len(".")
	return strings.HasSuffix(scheme, "://") && labels > len(scheme) && sent[labels] == '.' &&
		strings.EqualFold(sent[:len(scheme)], scheme) && strings.EqualFold(sent[labels+1:], host) &&
		areLabels(sent[len(scheme):labels])
}

// withoutPort returns an origin without the port that its scheme has anyway, which browsers leave
// out.
func withoutPort(listed string) string {
	if host, ok := strings.CutSuffix(listed, ":443"); ok && hasScheme(host, "https://") {
		return host
	}
	if host, ok := strings.CutSuffix(listed, ":80"); ok && hasScheme(host, "http://") {
		return host
	}
	return listed
}

func hasScheme(listed, scheme string) bool {
	return len(listed) > len(scheme) && strings.EqualFold(listed[:len(scheme)], scheme)
}

// areLabels reports whether text is the beginning of the name of a host.
func areLabels(text string) bool {
	last := byte('.')
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.' && last != '.':
		default:
			return false
		}
		last = c
	}
	return last != '.'
}

// A Set is a set of listed origins and patterns. The zero value is empty. It may be used
// concurrently once nothing is added any more.
type Set struct{ listed map[string]bool }

// Add adds a listed origin or pattern.
func (s *Set) Add(listed string) {
	if s.listed == nil {
		s.listed = map[string]bool{}
	}
	s.listed[strings.ToLower(withoutPort(strings.TrimSuffix(listed, "/")))] = true
}

// longest bounds what can be an origin, in bytes: the name of a host has at most 253.
const longest = 512

// Has reports whether one of the set matches an origin, as [Matches] does, however many there are.
func (s *Set) Has(sent string) bool {
	if len(s.listed) == 0 || len(sent) > longest {
		return false
	}
	sent = strings.ToLower(sent)
	scheme, host, ok := strings.Cut(sent, "://")
	if !ok || strings.HasPrefix(host, "*.") {
		return false
	}
	if s.listed[sent] {
		return true
	}
	var pattern [longest + len("*")]byte
	for at := range len(host) {
		if host[at] != '.' || !areLabels(host[:at]) {
			continue
		}
		p := append(append(append(pattern[:0], scheme...), "://*"...), host[at:]...)
		if s.listed[string(p)] {
			return true
		}
	}
	return false
}
