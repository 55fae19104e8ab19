package schema

import (
	"strings"

	"github.com/inlet-go/inlet/internal/wire"
)

// An enum is a list of values, one of which a value must be equal to.
type enum struct {
	keyword  string
	expected string
	literals types // null, and boolean if both true and false are in the list
	isTrue   bool
	isFalse  bool
	texts    map[string]struct{}
	numbers  map[string]struct{} // by their keys
	longest  int                 // of the numbers' digits
	others   []*value            // objects and arrays
}

// maxOthers is how many objects and arrays may be in the lists for one place.
const maxOthers = 64

// maxNamed is how many of the values are named when none of them fits.
const maxNamed = 8

func (n *node) addEnum(keyword string, v *value) error {
	list := []*value{v}
	if keyword == "enum" {
		if v.kind != '[' {
			return v.fail("must be a list")
		}
		list = v.list
	}
	e := &enum{keyword: keyword, texts: map[string]struct{}{}, numbers: map[string]struct{}{}}
	var names []string
	for i, one := range list {
		if err := e.add(one); err != nil {
			return err
		}
		if i < maxNamed {
			names = append(names, short(string(one.raw)))
		}
	}
	if e.expected = either(names); len(list) > maxNamed {
		e.expected = "one of " + strings.Join(names, ", ") + " and others"
	}
	if len(e.others) > maxOthers {
		return unsupported(v, "has more than %d objects and lists", maxOthers)
	}
	n.enums = append(n.enums, e)
	return nil
}

func (e *enum) add(v *value) error {
	switch v.kind {
	case 'n':
		e.literals |= null
	case 't':
		e.isTrue = true
	case 'f':
		e.isFalse = true
	case '"':
		e.texts[v.text] = struct{}{}
	case '0':
		d, err := decimalOf(v)
		if err != nil {
			return err
		}
		e.numbers[string(d.appendKey(nil))] = struct{}{}
		e.longest = max(e.longest, d.count)
	default:
		e.others = append(e.others, v)
	}
	return nil
}

// has reports whether a value that is neither an object nor a list is in the list. The text is that
// of a string; scratch is for keys of numbers.
func (e *enum) has(raw, text []byte, scratch *[]byte) (ok bool) {
	switch wire.Kind(raw) {
	case 'n':
		return e.literals&null != 0
	case 't':
		return e.isTrue
	case 'f':
		return e.isFalse
	case '"':
		_, ok = e.texts[string(text)]
	default:
		d := parseDecimal(raw)
		if d.count > e.longest {
			return false
		}
		*scratch = d.appendKey((*scratch)[:0])
		_, ok = e.numbers[string(*scratch)]
	}
	return ok
}

// hasOther reports whether the object or list that follows is in the list.
func (e *enum) hasOther(at wire.Reader, scratch *[]byte) bool {
	for _, v := range e.others {
		r := at
		if equal(&r, v, scratch) {
			return true
		}
	}
	return false
}

// equal reports whether the value that follows is equal to one of a schema. If it is not, the
// reader may be anywhere. It reads no more of the value than is equal.
func equal(r *wire.Reader, v *value, scratch *[]byte) bool {
	switch kind := r.Kind(); kind {
	case '{':
		return v.kind == '{' && equalObjects(r, v, scratch)
	case '[':
		return v.kind == '[' && equalLists(r, v, scratch)
	case '"':
		if v.kind != '"' {
			return false
		}
		inner, escaped := r.Text()
		return string(unescape(inner, escaped, len(v.text), scratch)) == v.text
	case 't', 'f', 'n':
		r.Scalar()
		return v.kind == kind
	}
	if v.kind != '0' {
		return false
	}
	a, b := parseDecimal(r.Scalar()), parseDecimal(v.raw)
	return compare(&a, &b) == 0
}

func equalObjects(r *wire.Reader, v *value, scratch *[]byte) bool {
	n := 0
	for more := r.Enter(); more; more = r.More() {
		name, escaped := r.Name()
		child := v.get(string(unescape(name, escaped, len(v.raw), scratch)))
		if child == nil || !equal(r, child, scratch) {
			return false
		}
		n++
	}
	return n == len(v.members)
}

func equalLists(r *wire.Reader, v *value, scratch *[]byte) bool {
	n := 0
	for more := r.Enter(); more; more = r.More() {
		if n == len(v.list) || !equal(r, v.list[n], scratch) {
			return false
		}
		n++
	}
	return n == len(v.list)
}

// unescape returns the text of a string that is longer than some bytes only if the text is, too.
func unescape(inner []byte, escaped bool, most int, scratch *[]byte) []byte {
	const longest = 6 // bytes of an escape, for one of its text
	if !escaped || len(inner) > longest*most {
		return inner
	}
	*scratch = wire.AppendUnescaped((*scratch)[:0], inner)
	return *scratch
}
