// Package redact finds the write keys in the paths of requests, for logs.
package redact

import (
	"net/url"
	"strings"
)

// Path returns a decoded path with mark in the place of each write key, and whether it has one.
// Clients send keys in the paths of the settings and of the scripts that vendors' pages load:
//
//	/v1/projects/KEY/settings
//	/analytics.js/v1/KEY/analytics.min.js
//
// Many requests for these are logged because they went wrong. Path therefore recognises them
// below any prefix, in any case, with doubled slashes, escaped once more, with parts missing or in
// addition, and with what should have been the query in the path.
func Path(path, mark string) (string, bool) {
	if isOrdinary(path) {
		return path, false
	}
	return search(path, mark)
}

// isOrdinary reports whether a path has nothing that a key is found by: no byte that means more
// than itself, and no segment that a key may be next to.
func isOrdinary(path string) bool {
	begins := true // a segment
	for i := range len(path) {
		switch c := path[i]; {
		case c == '/':
			begins = true
			continue
		case begins && (hasPrefix(path[i:], "project") || hasPrefix(path[i:], "analytics.")):
			return false
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-', c == '~':
			begins = false
		default:
			return false
		}
	}
	return true
}

// search is Path for a path that may have a key.
func search(path, mark string) (string, bool) {
	p := parts{all: strings.Split(plain(path), "/")}
	for i, segment := range p.all {
		if segment != "" {
			p.at = append(p.at, i)
		}
	}
	found := false
	kept := p.all[:0:0]
	from := 0 // of what is not kept yet
	for n := 0; n < len(p.at); n++ {
		if redacted, ok := parameter(p.get(n), mark); ok {
			p.all[p.at[n]], found = redacted, true
		}
		end := p.key(n)
		if end == 0 {
			continue
		}
		kept, found = append(append(kept, p.all[from:p.at[n+1]]...), mark), true
		if end == len(p.at) {
			from = len(p.all)
			break
		}
		if from = p.at[end]; isSettings(p.get(end)) { // what follows it is no part of any path
			p.all[from] = p.get(end)[:len(settings)]
			p.all = p.all[:from+1]
			break
		}
		n = end - 1
	}
	return strings.Join(append(kept, p.all[from:]...), "/"), found
}

const settings = "settings"

// plain returns the path without escapes that are left, and with slashes for backslashes.
func plain(path string) string {
	for range 3 {
		once, err := url.PathUnescape(path)
		if err != nil || once == path {
			break
		}
		path = once
	}
	return strings.ReplaceAll(path, `\`, "/")
}

// parts are the segments of a path.
type parts struct {
	all                  []string
	at                   []int // the places of those that are not empty
	noSettings, noScript bool  // none follows
}

// get returns the n-th segment that is not empty.
func (p *parts) get(n int) string { return p.all[p.at[n]] }

// key returns the end of the key that follows the n-th segment, which may contain slashes, or 0
// if none follows.
func (p *parts) key(n int) (end int) {
	first, last := n+1, len(p.at)-1
	if first > last {
		return 0
	}
	switch segment := p.get(n); {
	case isProjects(segment):
		return p.until(first, isSettings, &p.noSettings)
	case isVersion(segment) && last != first && isScript(p.get(last)):
		return last
	case isVersion(segment) && n > 0 && isScript(p.get(n-1)), isScript(segment) && !isVersion(p.get(first)):
		return p.until(first, isScript, &p.noScript)
	}
	return 0
}

// until returns the first place behind first whose segment is the end of a path, or else the one
// right behind first. It looks through the rest in vain once, and keeps that in none.
func (p *parts) until(first int, isEnd func(string) bool, none *bool) int {
	for i := first + 1; i < len(p.at) && !*none; i++ {
		if isEnd(p.get(i)) {
			return i
		}
	}
	*none = true
	return first + 1
}

func isProjects(segment string) bool {
	segment = strings.TrimSpace(segment)
	return strings.EqualFold(segment, "projects") || strings.EqualFold(segment, "project")
}

func isSettings(segment string) bool { return hasPrefix(segment, settings) }

// isScript reports whether a segment is a name of the vendors' script.
func isScript(segment string) bool {
	return hasPrefix(segment, "analytics.") && hasSuffix(segment, "js")
}

// isVersion reports whether a segment is that of a version, such as v1.
func isVersion(segment string) bool {
	return len(segment) == 2 && segment[0]|0x20 == 'v' && '0' <= segment[1] && segment[1] <= '9'
}

// parameter redacts the value of a parameter with a key.
func parameter(segment, mark string) (string, bool) {
	for _, name := range [...]string{"writekey=", "token=", "appid="} {
		for i := range segment {
			if hasPrefix(segment[i:], name) {
				return segment[:i+len(name)] + mark, true
			}
		}
	}
	return segment, false
}

func hasPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func hasSuffix(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
