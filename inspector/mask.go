package inspector

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
)

// Patterns of what is masked, and of the texts in JSON. They are matched in linear time.
var (
	// A text within a text may have characters that are escaped as in JSON or in a URL.
	email = regexp.MustCompile("(?:[\\pL\\pN._%+'!#$^|~`-]|\\\\u[0-9a-fA-F]{4})+" +
		`(@|\\u0040|%40)((?:(?:[\pL\pN-]|\\u[0-9a-fA-F]{4})+\.)+[\pL]{2,})`)
	ipv4 = regexp.MustCompile(`(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d+`)
	// The last one has no end if the JSON was cut.
	literal = regexp.MustCompile(`(?s)"(?:[^"\\]|\\.)*(?:"|\\?$)`)
)

// longestAddress is how many bytes of text are looked at on each side of where it is cut.
const longestAddress = 400

// address is what may be one, and is never masked if its end is missing.
var address = regexp.MustCompile(email.String() + `|(?:[0-9a-fA-F.]*(?::|%3[aA])){2,}[0-9a-fA-F.]*`)

// beforeAddress returns a place, or the beginning of the address that is there.
func beforeAddress(text string, place int) int {
	if !isEmailLike(text) && !isIPv6Like(text) {
		return place
	}
	for _, found := range address.FindAllStringIndex(text, -1) {
		if found[0] < place && place < found[1] {
			return found[0]
		}
	}
	return place
}

// mask returns JSON whose texts and names have no local parts of e-mail addresses, no last octet
// of IPv4 addresses, and not the last 64 bits of IPv6 addresses. All else stays as it is.
func mask(text []byte) []byte {
	return literal.ReplaceAllFunc(text, func(found []byte) []byte {
		if !bytes.ContainsAny(found, `@%.:\`) {
			return found
		}
		plain, whole := unquote(found)
		masked := maskText(plain)
		if masked == plain {
			return found
		}
		quoted, err := json.Marshal(masked)
		if err != nil {
			return []byte(`"***"`) // texts are always JSON
		}
		if !whole {
			quoted = quoted[:len(quoted)-1]
		}
		return quoted
	})
}

// unquote returns the text that a literal of JSON stands for, and whether it has an end. Of one
// without an end, an escape that is cut in two is left out.
func unquote(found []byte) (text string, whole bool) {
	if json.Unmarshal(found, &text) == nil {
		return text, true
	}
	for n := len(found); n > max(0, len(found)-len(`\u0000`)); n-- {
		if json.Unmarshal(append(bytes.Clone(found[:n]), '"'), &text) == nil {
			return text, false
		}
	}
	return string(found[1:]), false // no JSON
}

// maskText masks a text.
func maskText(text string) string {
	for isEmailLike(text) && email.MatchString(text) { // the domain of one may be the local part of the next
		text = email.ReplaceAllString(text, "***$1$2")
	}
	return ipv4.ReplaceAllString(maskIPv6(text), "$1.*")
}

// isEmailLike reports quickly whether there is an at sign.
func isEmailLike(text string) bool {
	return strings.Contains(text, "@") || strings.Contains(text, "%40") || strings.Contains(text, `\u0040`)
}

// isIPv6Like reports quickly whether there are colons.
func isIPv6Like(text string) bool {
	return strings.Count(text, ":")+strings.Count(text, "%3") >= 2
}

// maskIPv6 masks the IPv6 addresses in a text. Their colons may be escaped as in a URL.
func maskIPv6(text string) string {
	if !isIPv6Like(text) {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); {
		end, escaped := run(text, i)
		if end == i {
			n := 1
			if text[i] == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]) {
				n = 3
			}
			out.WriteString(text[i : i+n])
			i += n
			continue
		}
		found := text[i:end]
		if escaped {
			found = colons.Replace(found)
		}
		masked := maskRun(found, i > 0 && isWord(text[i-1]))
		switch {
		case masked == found:
			masked = text[i:end]
		case escaped:
			masked = strings.ReplaceAll(masked, ":", "%3A")
		}
		out.WriteString(masked)
		i = end
	}
	return out.String()
}

var colons = strings.NewReplacer("%3A", ":", "%3a", ":")

// run returns the end of the characters of addresses at a place, and whether colons are escaped.
func run(text string, from int) (end int, escaped bool) {
	for end = from; end < len(text); {
		switch c := text[end]; {
		case isHex(c) || c == ':' || c == '.':
			end++
		case strings.HasPrefix(text[end:], "%3A"), strings.HasPrefix(text[end:], "%3a"):
			end, escaped = end+3, true
		default:
			return end, escaped
		}
	}
	return end, escaped
}

// maskRun masks the addresses in a text of hexadecimal digits, colons and dots: at each place
// where one may begin, the longest that can be read. The first place is none within a word.
func maskRun(text string, word bool) string {
	if strings.Count(text, ":") < 2 {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); {
		n := 0
		if i > 0 && !isHex(text[i-1]) || i == 0 && !word {
			n = addressLen(text[i:])
		}
		if n == 0 {
			out.WriteByte(text[i])
			i++
			continue
		}
		ip := netip.MustParseAddr(text[i : i+n])
		network, _ := ip.Prefix(64) // never fails for IPv6
		switch {
		case ip.Is4In6():
			out.WriteString("::ffff:" + ip.Unmap().String())
		case ip.IsLoopback() || ip.IsUnspecified():
			out.WriteString(text[i : i+n])
		default:
			out.WriteString(network.Addr().String() + "*")
		}
		i += n
	}
	return out.String()
}

// addressLen returns the length of the longest IPv6 address that a text begins with, or 0.
func addressLen(text string) int {
	most := mostOfAddress(text)
	if !strings.Contains(text[:most], "::") && strings.Count(text[:most], ":") < 6 {
		return 0
	}
	for n := most; n > 1; n-- {
		if n < len(text) && isHex(text[n]) {
			continue
		}
		if ip, err := netip.ParseAddr(text[:n]); err == nil && ip.Is6() {
			return n
		}
	}
	return 0
}

// mostOfAddress returns how long an address at the beginning of a text can be, by its colons, its
// dots and the digits between them. So few lengths are tried.
func mostOfAddress(text string) int {
	colons, dots, digits := 0, 0, 0
	for n := range len(text) {
		switch c := text[n]; {
		case c == ':' && dots == 0 && colons < 8 && !strings.HasSuffix(text[:n], "::"):
			colons, digits = colons+1, 0
		case c == '.' && dots < 3 && digits > 0:
			dots, digits = dots+1, 0
		case isHex(c) && digits < 4:
			digits++
		default:
			return n
		}
	}
	return len(text)
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// isWord reports whether a character is a part of a word.
func isWord(c byte) bool {
	return c == '_' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}
