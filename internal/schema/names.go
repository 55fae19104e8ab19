package schema

// A nameIndex finds the rule of a member. Most objects of a schema have few members, whose names
// differ in their length or in one of three of their bytes: those are in a table without
// collisions, where finding a name is one comparison. The others are in a map.
type nameIndex struct {
	slots  []uint16 // by the hash: the number of a rule and one, or 0
	factor uint32
	shift  uint32
	many   map[string]int // if there is no table
}

// Limits of tables.
const (
	maxSlots   = 1 << 12
	maxFactors = 64
)

// newNameIndex returns the index of rules by their names.
func newNameIndex(rules []rule, names map[string]int) nameIndex {
	for size := 4; size <= maxSlots && size <= 16*(len(rules)+1); size *= 2 {
		if size < 2*len(rules) {
			continue
		}
		x := nameIndex{factor: 0x9e3779b1, shift: 32}
		for n := size; n > 1; n /= 2 {
			x.shift--
		}
		for range maxFactors {
			if x.slots = make([]uint16, size); x.fill(rules) {
				return x
			}
			x.factor = x.factor*0x85ebca6b | 1
		}
	}
	return nameIndex{many: names}
}

// fill puts all rules in the table. It returns false if two have the same slot.
func (x *nameIndex) fill(rules []rule) bool {
	for i := range rules {
		slot := &x.slots[x.slot([]byte(rules[i].name))]
		if *slot != 0 {
			return false
		}
		*slot = uint16(i + 1)
	}
	return true
}

func (x *nameIndex) slot(name []byte) uint32 {
	n := len(name)
	if n == 0 {
		return 0
	}
	return (uint32(name[0]) | uint32(name[n/2])<<8 | uint32(name[n-1])<<16 | uint32(n)<<24) * x.factor >> x.shift
}

// find returns the number of the rule for a name, or -1.
func (x *nameIndex) find(rules []rule, name []byte) int {
	if x.slots == nil {
		if i, ok := x.many[string(name)]; ok {
			return i
		}
		return -1
	}
	if i := int(x.slots[x.slot(name)]) - 1; i >= 0 && rules[i].name == string(name) {
		return i
	}
	return -1
}
