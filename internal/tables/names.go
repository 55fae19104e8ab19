package tables

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the maximum length of a name of a table or column in bytes, that of PostgreSQL.
const maxName = 63

// Clean returns a name in the form that Segment gives names: the words in lower case, with an
// underscore between them. A word is letters in upper case and digits, and then letters in lower
// case and digits; everything else ends it. One that begins with a digit gets an underscore before
// it. The result is never empty, and may be longer than an engine permits.
func Clean(name string) string {
	var b strings.Builder
	lower := false // whether the last rune was in lower case
	gap := false   // whether a rune was left out since
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
			gap = b.Len() > 0
			continue
		}
		upper := unicode.IsUpper(r) || unicode.IsTitle(r)
		if gap || upper && lower {
			b.WriteByte('_')
			lower, gap = false, false
		}
		if b.Len() == 0 && unicode.IsDigit(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
		lower = lower && !upper || !upper && !unicode.IsDigit(r)
	}
	if b.Len() == 0 {
		return "_"
	}
	return b.String()
}

// fit returns a name that is not too long: one that is gets cut, and a hash of original.
func fit(name, original string) string {
	if len(name) <= maxName {
		return name
	}
	return withHash(name, original)
}

// hashDigits is how long the hash in a name is.
const hashDigits = 8

// withHash returns a name with a hash of original, cut to what is permitted.
func withHash(name, original string) string {
	hash := sha256.Sum256([]byte(original))
	end := min(len(name), maxName-1-hashDigits)
	for end < len(name) && end > 0 && !utf8.RuneStart(name[end]) {
		end--
	}
	return strings.TrimRight(name[:end], "_") + "_" + hex.EncodeToString(hash[:hashDigits/2])
}

var pathEscapes = strings.NewReplacer(`\`, `\\`, `.`, `\.`)

// escapeName returns a name as it is in a path: a dot or a backslash gets a backslash before it.
func escapeName(name string) string { return pathEscapes.Replace(name) }

// splitPath returns the names of a path.
func splitPath(path string) (names []string) {
	var name []byte
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '.':
			names, name = append(names, string(name)), nil
		case c == '\\' && i+1 < len(path):
			i++
			name = append(name, path[i])
		default:
			name = append(name, c)
		}
	}
	return append(names, string(name))
}
