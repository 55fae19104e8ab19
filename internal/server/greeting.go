package server

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// greeting explains how to send the first event and where to find it.
func (s *server) greeting(addr net.Addr) string {
	url, dir, key := s.baseURL(addr), filepath.Clean(s.Dir), "WRITE-KEY"
	if s.KeyFile == "" {
		key = s.Keys[0]
	}
	return fmt.Sprintf(`Inlet listens on %s and stores events in %s.

Send an event:

  curl -u %s -d '{"event":"Signed Up","userId":"user-1"}' %s/v1/track

See it, one JSON object per line:

  tail -n 1 %s/*.part

A file is renamed to *.ndjson when it is full, when it is 10 minutes old and has 1 MiB, after a
day, or when the server stops.
`, url, dir, quote(key+":"), url, quote(dir))
}

// baseURL is the URL at which a client on this machine reaches addr.
func (s *server) baseURL(addr net.Addr) string {
	host, port, _ := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http://"
	if s.TLSCert != "" {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}

// quote quotes s as one word for a shell, unless it is one already.
func quote(s string) string {
	special := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-", r)
	}
	if s != "" && !strings.ContainsFunc(s, special) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
