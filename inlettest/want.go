package inlettest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/inlet-go/inlet"
)

// Props are members that an object must have at least; the event may have more. Values are
// whatever [encoding/json] encodes, compared as JSON: numbers by value, so that 49.9, 49.90 and
// 4990e-2 are equal and no digit is rounded away. An object in it, also one in a list, must in
// turn be there at least; a list must have as many elements, in the same order. nil is null,
// not absence.
type Props map[string]any

// A Want describes an event. A field that is empty fits any event.
type Want struct {
	// Type is the call.
	Type inlet.Type
	// Name is the event of a track call, or the name of a page or screen.
	Name string
	// UserID, AnonymousID and GroupID are the ids in the event.
	UserID, AnonymousID, GroupID string
	// Properties, Traits and Context are what the event must have at least.
	Properties, Traits, Context Props
}

// wanted is a Want whose objects are decoded JSON.
type wanted struct {
	Want
	objects []wantedObject
}

type wantedObject struct {
	name    string
	members map[string]any
	of      func(*inlet.Event) json.RawMessage
}

func (w Want) prepare() (*wanted, error) {
	prepared := &wanted{Want: w}
	for _, o := range []struct {
		name  string
		props Props
		of    func(*inlet.Event) json.RawMessage
	}{
		{"properties", w.Properties, func(e *inlet.Event) json.RawMessage { return e.Properties }},
		{"traits", w.Traits, func(e *inlet.Event) json.RawMessage { return e.Traits }},
		{"context", w.Context, func(e *inlet.Event) json.RawMessage { return e.Context }},
	} {
		if len(o.props) == 0 {
			continue
		}
		text, err := json.Marshal(o.props)
		if err != nil {
			return nil, fmt.Errorf("inlettest: the %s that the test wants are not JSON: %w", o.name, err)
		}
		prepared.objects = append(prepared.objects, wantedObject{o.name, members(text), o.of})
	}
	return prepared, nil
}

// members decodes an object without rounding its numbers; anything else has no members.
func members(raw json.RawMessage) (decoded map[string]any) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&decoded) != nil {
		return nil
	}
	return decoded
}

// String describes the event in words.
func (w *wanted) String() string {
	var b strings.Builder
	if w.Type != "" {
		fmt.Fprintf(&b, "%s ", w.Type)
	}
	b.WriteString("event")
	if w.Name != "" {
		fmt.Fprintf(&b, " %q", w.Name)
	}
	for _, id := range w.ids(new(inlet.Event)) {
		if id.want != "" {
			fmt.Fprintf(&b, " with the %s %q", id.name, id.want)
		}
	}
	for _, o := range w.objects {
		fmt.Fprintf(&b, " with the %s %s", o.name, show(o.members))
	}
	return b.String()
}

// An idOf is an id of an event, and what the test wants it to be.
type idOf struct{ name, want, got string }

func (w *wanted) ids(e *inlet.Event) []idOf {
	return []idOf{
		{"userId", w.UserID, e.UserID}, {"anonymousId", w.AnonymousID, e.AnonymousID}, {"groupId", w.GroupID, e.GroupID},
	}
}

func (w *wanted) fits(e *inlet.Event) bool { return len(w.differences(e)) == 0 }

// differences returns what is different about the event, each in words.
func (w *wanted) differences(e *inlet.Event) (found []string) {
	if w.Type != "" && w.Type != e.Type {
		found = append(found, fmt.Sprintf("the call is %s, not %s", e.Type, w.Type))
	}
	if w.Name != "" && w.Name != e.Name {
		found = append(found, fmt.Sprintf("the name is %q, not %q", e.Name, w.Name))
	}
	for _, id := range w.ids(e) {
		if id.want != "" && id.want != id.got {
			found = append(found, fmt.Sprintf("%s is %q, not %q", id.name, id.got, id.want))
		}
	}
	for _, o := range w.objects {
		found = appendDifferences(found, o.name, members(o.of(e)), o.members)
	}
	return found
}

// appendDifferences appends what got lacks of want, at a path such as "properties.items[0].sku".
func appendDifferences(found []string, path string, got, want any) []string {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			break
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			below := path + "." + name
			value, ok := object[name]
			if !ok {
				found = append(found, fmt.Sprintf("%s is missing, want %s", below, show(want[name])))
				continue
			}
			found = appendDifferences(found, below, value, want[name])
		}
		return found
	case []any:
		list, ok := got.([]any)
		if !ok {
			break
		}
		if len(list) != len(want) {
			return append(found, fmt.Sprintf("%s has %s, not %d: %s", path, count(len(list), "element"), len(want), show(got)))
		}
		for i := range want {
			found = appendDifferences(found, path+"["+strconv.Itoa(i)+"]", list[i], want[i])
		}
		return found
	case json.Number:
		if number, ok := got.(json.Number); ok && sameNumber(string(number), string(want)) {
			return found
		}
	default: // text, true, false and null
		if got == want {
			return found
		}
	}
	return append(found, fmt.Sprintf("%s is %s, not %s", path, show(got), show(want)))
}

// sameNumber reports whether two JSON numbers have the same value, however they are written.
func sameNumber(a, b string) bool {
	x, y := parseNumber(a), parseNumber(b)
	return x == y
}

// A number is 0.DIGITS × 10^exponent, with no zero at either end of the digits; zero has none.
type number struct {
	negative bool
	digits   string
	exponent int
}

func parseNumber(text string) (n number) {
	text, n.negative = strings.CutPrefix(text, "-")
	mantissa := text
	exponent := 0
	if at := strings.IndexAny(text, "eE"); at >= 0 {
		mantissa = text[:at]
		exponent = parseExponent(text[at+1:])
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	n.exponent = exponent + len(digits) - len(fraction)
	if n.digits = strings.TrimRight(digits, "0"); n.digits == "" {
		return number{}
	}
	return n
}

// parseExponent is that of any length: beyond the range of int, two numbers with the same digits
// count as equal if both are as large.
func parseExponent(text string) int {
	n, err := strconv.Atoi(text)
	const bound = 1 << 40
	if err != nil && strings.HasPrefix(text, "-") {
		return -bound
	} else if err != nil {
		return bound
	}
	return max(-bound, min(n, bound))
}

// distance is how far an event is from what is wanted: other calls after those of the same
// type, then by the name, then by the number of differences.
func (w *wanted) distance(e *inlet.Event) [3]int {
	var d [3]int
	if w.Type != "" && w.Type != e.Type {
		d[0] = 1
	}
	if w.Name != "" {
		d[1] = edits(w.Name, e.Name)
	}
	d[2] = len(w.differences(e))
	return d
}

// edits returns how many characters must be changed, added or removed to make one text the
// other, where upper and lower case count as one. Of long texts only the beginning counts.
func edits(a, b string) int {
	const most = 100
	x, y := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	x, y = x[:min(len(x), most)], y[:min(len(y), most)]
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		before := row[0]
		row[0] = i + 1
		for j := range y {
			changed := before
			if x[i] != y[j] {
				changed++
			}
			before = row[j+1]
			row[j+1] = min(changed, before+1, row[j]+1)
		}
	}
	return row[len(y)]
}

// compareDistances is for sorting.
func compareDistances(a, b [3]int) int {
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2], b[2]))
}
