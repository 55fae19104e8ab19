package wire

// The functions here move over text that is known to be valid JSON.

// skipSpace returns the index of the first byte from i on that is no white
// space.
func skipSpace(src []byte, i int) int {
	for i < len(src) && src[i] <= ' ' {
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
	return scalarEnd(src, i)
}

// scalarEnd returns the end of the number or literal at i.
func scalarEnd(src []byte, i int) int {
	for i < len(src) && src[i] > ' ' && src[i] != ',' && src[i] != '}' && src[i] != ']' {
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
