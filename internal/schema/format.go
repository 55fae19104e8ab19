package schema

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
)

// A format is a form that a text must have.
type format struct {
	expected string
	pattern  *pattern
	more     func(text []byte) bool // what the pattern leaves open
}

func (f *format) matches(text []byte) bool { return f.pattern.matches(text) && f.more(text) }

const (
	atom  = `[A-Za-z0-9!#$%&'*+/=?^_` + "`" + `{|}~-]+`
	label = `[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?`
)

// A formatName is a format that is supported. The pattern is in Go's syntax.
type formatName struct {
	name, expected, pattern string
	more                    func([]byte) bool
}

var formats = []formatName{
	{
		"date-time", "a date and time such as 2026-11-29T08:20:00Z",
		`^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})$`, isTime,
	},
	{
		"email", "an email address",
		`^(?:` + atom + `(?:\.` + atom + `)*|"(?:[ !#-\[\]-~]|\\[ -~])*")@(?:` + label + `(?:\.` + label + `)*|\[[0-9A-Za-z.:]+\])$`, isAddress,
	},
	{
		"uuid", "a UUID",
		`^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$`, func([]byte) bool { return true },
	},
}

// checkFormat returns an error for a format that is not supported, if formats demand something.
func (b *builder) checkFormat(v *value) error {
	if v.kind != '"' {
		return v.fail("must be a text")
	}
	if b.options.Formats && !slices.ContainsFunc(formats, func(f formatName) bool { return f.name == v.text }) {
		return unsupported(v, "is %q: the formats date-time, email and uuid are supported", v.text)
	}
	return nil
}

func (b *builder) addFormat(n *node, v *value) error {
	if !b.options.Formats {
		return nil
	}
	for _, f := range formats {
		if f.name != v.text {
			continue
		}
		p := b.formats[f.name]
		if p == nil {
			table, err := compilePattern(f.pattern)
			if err != nil {
				return err
			}
			p = &format{f.expected, table, f.more}
			b.formats[f.name] = p
		}
		n.texts().formats = append(n.text.formats, p)
	}
	return nil
}

// two returns the number that two digits are.
func two(text []byte) int { return int(text[0]-'0')*10 + int(text[1]-'0') }

// isTime reports whether the numbers of a time can be those of one. Seconds may be 60 where leap
// seconds are: at the end of a day in UTC.
func isTime(text []byte) bool {
	year := two(text)*100 + two(text[2:])
	month, day := two(text[5:]), two(text[8:])
	hour, minute, second := two(text[11:]), two(text[14:]), two(text[17:])
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 60 {
		return false
	}
	zone := text[len(text)-6:]
	if last := text[len(text)-1]; last == 'Z' || last == 'z' {
		zone = []byte("+00:00")
	}
	hours, minutes := two(zone[1:]), two(zone[4:])
	if hours > 23 || minutes > 59 {
		return false
	}
	if second < 60 {
		return true
	}
	offset := hours*60 + minutes
	if zone[0] == '-' {
		offset = -offset
	}
	const dayMinutes = 24 * 60
	return (hour*60+minute-offset+dayMinutes)%dayMinutes == dayMinutes-1
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// isAddress reports whether an address is not too long, and the IP address in it is one.
func isAddress(text []byte) bool {
	at := bytes.LastIndexByte(text, '@')
	if len(text) > 254 || at > 64 {
		return false
	}
	domain := text[at+1:]
	if domain[0] != '[' {
		return true
	}
	ip, six := strings.CutPrefix(string(domain[1:len(domain)-1]), "IPv6:")
	parsed, err := netip.ParseAddr(ip)
	return err == nil && parsed.Is6() == six
}
