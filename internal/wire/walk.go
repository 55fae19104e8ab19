package wire

import "bytes"

// The functions here move over text that is known to be valid JSON.

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// skipSpace returns the index of the first byte from i on that is no white
// space.
func skipSpace(src []byte, i int) int {
	for i < len(src) && isSpace(src[i]) {
		i++
	}
	return i
}

// skipComma moves from the end of an element to the next one, or to the bracket
// that closes the list.
func skipComma(src []byte, i int) int {
	i = skipSpace(src, i)
	if src[i] == ',' {
		return skipSpace(src, i+1)
	}
	return i
}

// skipValue returns the end of the value at i.
func skipValue(src []byte, i int) int {
	switch src[i] {
	case '"':
		return stringEnd(src, i)
	case '{', '[':
		return skipComposite(src, i)
	}
	for i < len(src) && !isSpace(src[i]) && src[i] != ',' && src[i] != '}' && src[i] != ']' {
		i++
	}
	return i
}

func skipComposite(src []byte, i int) int {
	depth := 0
	for i < len(src) {
		switch src[i] {
		case '"':
			i = stringEnd(src, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return i
}

// stringEnd returns the index after the closing quote of the string at i.
func stringEnd(src []byte, i int) int {
	for i++; ; i++ {
		n := bytes.IndexByte(src[i:], '"')
		if n < 0 {
			return len(src)
		}
		if i += n; !escaped(src[:i]) {
			return i + 1
		}
	}
}

// escaped reports whether what follows text is escaped: whether text ends in an
// odd number of backslashes.
func escaped(text []byte) bool {
	n := 0
	for n < len(text) && text[len(text)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}
