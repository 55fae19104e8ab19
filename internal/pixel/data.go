package pixel

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/inlet-go/inlet/internal/form"
)

// Data returns the event in a parameter, by its escaped value: JSON as it is, or in base64,
// in either alphabet, padded or not, with white space anywhere. Text that was escaped twice
// is read as well. The error is that of base64; whether the result is JSON is not checked.
//
// In base64 a space may be a "+" that was not escaped, or white space: it is what makes the
// result JSON.
func Data(escaped string) ([]byte, error) {
	text := form.Key(escaped)
	if strings.Contains(text, "%") && !isObject(form.Text(escaped)) {
		escaped, text = text, form.Key(text)
	}
	if object := form.Text(escaped); isObject(object) {
		return []byte(object), nil
	}
	text = strings.Trim(text, " +\t\r\n") // a "+" there is a space: JSON neither begins nor ends with one
	if strings.Contains(text, " ") {
		if data, err := fromBase64(text, '+'); err == nil && json.Valid(data) {
			return data, nil
		}
	}
	return fromBase64(text, 0)
}

// isObject reports whether a text is a JSON object, if it is JSON at all, also behind a byte order
// mark.
func isObject(text string) bool {
	return strings.HasPrefix(strings.TrimLeft(strings.TrimPrefix(text, "\ufeff"), " \t\r\n"), "{")
}

// fromBase64 decodes text in which a space stands for a byte, 0 for none.
func fromBase64(text string, space byte) ([]byte, error) {
	plain := make([]byte, 0, len(text))
	for i := range len(text) {
		c := text[i]
		switch c {
		case '\t', '\n', '\v', '\f', '\r':
			continue
		case ' ':
			if c = space; c == 0 {
				continue
			}
		case '-':
			c = '+'
		case '_':
			c = '/'
		}
		plain = append(plain, c)
	}
	for len(plain) > 0 && plain[len(plain)-1] == '=' {
		plain = plain[:len(plain)-1]
	}
	n, err := base64.RawStdEncoding.Decode(plain, plain)
	return plain[:n], err
}
