package wire

// FindEach finds several members of a valid object in one walk: values[i] becomes
// the value of the member whose quoted name is names[i], and stays as it is where
// there is none.
func FindEach(object []byte, names []string, values [][]byte) {
	for name, value := range members(object) {
		for i := range names {
			if string(name) == names[i] || sameName(name, names[i]) {
				values[i] = value
				break
			}
		}
	}
}

// sameName compares a name that may be written with escapes to one that is not.
func sameName(name []byte, plain string) bool {
	inner, ok := Plain(name)
	return !ok && len(inner)+2 > len(plain) && Text(name) == plain[1:len(plain)-1]
}
