package canonical

import (
	"errors"
	"strings"
)

// SplitPath returns the names of a path in which dots separate them. A dot in a name is written
// with a backslash before it, and so is a backslash.
func SplitPath(path string) (names []string, err error) {
	if strings.IndexByte(path, '\\') < 0 {
		names = strings.Split(path, ".")
	} else if names, err = splitEscaped(path); err != nil {
		return nil, err
	}
	for _, name := range names {
		if name == "" {
			return nil, errors.New("a name is empty")
		}
	}
	return names, nil
}

func splitEscaped(path string) (names []string, err error) {
	var name []byte
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '.':
			names, name = append(names, string(name)), nil
		case c != '\\':
			name = append(name, c)
		case i+1 == len(path) || path[i+1] != '.' && path[i+1] != '\\':
			return nil, errors.New(`a backslash must be before a dot or a backslash`)
		default:
			i++
			name = append(name, path[i])
		}
	}
	return append(names, string(name)), nil
}
