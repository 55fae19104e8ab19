package schema

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// This file compiles patterns, which are regular expressions of ECMAScript.
//
// A pattern is first written in the syntax of package regexp, so that it means the same; one that
// has no such form is refused (translate). Then it becomes a table: a state for each set of places
// in the pattern that a text can be at, and for each state and class of characters the next state.
// So a text takes one lookup for each of its characters, whatever the pattern is. Patterns that
// need too many states are refused.

// Limits of a table. A pattern that says "up to 255 characters" has 256 states.
const (
	maxPattern = 4 << 10 // bytes of a pattern
	maxStates  = 2_000
	maxEntries = 64 << 10 // states × classes
)

// A pattern is a table.
type pattern struct {
	expected string
	next     []uint16 // by state × classes + class
	ends     []bool   // by state: whether a text may end there
	stuck    []bool   // by state: whether all that follows leads to it again
	classes  int
	ascii    [utf8.RuneSelf]uint8 // classes of characters
	bounds   []rune               // where classes of other characters begin
	class    []uint8              // of the characters from each bound on
}

// accepted is the state of texts that match, whatever follows.
const accepted = 0

// matches reports whether a part of a text matches.
func (p *pattern) matches(text []byte) bool {
	state := 1
	for i := 0; i < len(text); {
		var class uint8
		if c := text[i]; c < utf8.RuneSelf {
			class = p.ascii[c]
			i++
		} else {
			r, n := utf8.DecodeRune(text[i:])
			class = p.classOf(r)
			i += n
		}
		if state = int(p.next[state*p.classes+int(class)]); p.stuck[state] {
			break
		}
	}
	return p.ends[state]
}

func (p *pattern) classOf(r rune) uint8 {
	i := sort.Search(len(p.bounds), func(i int) bool { return p.bounds[i] > r })
	return p.class[i-1]
}

func (b *builder) addPattern(n *node, v *value) error {
	if v.kind != '"' {
		return v.fail("must be a text")
	}
	p := b.patterns[v.text]
	if p == nil {
		translated, err := translate(v.text)
		if err != nil {
			return unsupported(v, "is not a pattern that can be used: %s: %q", err, short(v.text))
		}
		if p, err = compilePattern(translated); err != nil {
			return unsupported(v, "is not a pattern that can be used: %s: %q", err, short(v.text))
		}
		p.expected = "a text that matches the pattern " + short(v.text)
		b.patterns[v.text] = p
		if b.entries += len(p.next); b.entries > maxAllEntries {
			return unsupported(v, "is one of too many large patterns")
		}
	}
	n.texts().patterns = append(n.text.patterns, p)
	return nil
}

// maxAllEntries is how large the tables of all patterns of a compiler may be.
const maxAllEntries = 2 << 20

// A patternError says why a pattern is refused.
type patternError string

// Error returns the reason.
func (e patternError) Error() string { return string(e) }

// compilePattern makes the table of a regular expression in Go's syntax.
func compilePattern(expression string) (*pattern, error) {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, patternError(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, patternError(err.Error())
	}
	b := &tableBuilder{prog: prog, states: map[string]int{}}
	b.classify()
	return b.build()
}

// A tableBuilder makes the table of a program.
type tableBuilder struct {
	prog   *syntax.Prog
	words  bool   // the pattern has word boundaries
	marks  []rune // a character of each class
	states map[string]int
	queue  []patternState
	pattern

	visited       []bool   // by instruction, for follow
	stack, behind []uint32 // of follow
}

// A patternState is a set of places in the pattern, and what is before the next character.
type patternState struct {
	places []uint32
	before rune // -1 at the beginning, else a character of the same kind
}

// classify finds the classes of characters that the pattern treats alike.
func (b *tableBuilder) classify() {
	bounds := []rune{0}
	add := func(from, to rune) { bounds = append(bounds, from, to+1) }
	for i := range b.prog.Inst {
		in := &b.prog.Inst[i]
		switch in.Op {
		case syntax.InstRune, syntax.InstRune1:
			if len(in.Rune) == 1 {
				add(in.Rune[0], in.Rune[0])
				for r := unicode.SimpleFold(in.Rune[0]); r != in.Rune[0]; r = unicode.SimpleFold(r) {
					add(r, r)
				}
				continue
			}
			for k := 0; k+1 < len(in.Rune); k += 2 {
				add(in.Rune[k], in.Rune[k+1])
			}
		case syntax.InstRuneAnyNotNL:
			add('\n', '\n')
		case syntax.InstEmptyWidth:
			b.words = b.words || syntax.EmptyOp(in.Arg)&(syntax.EmptyWordBoundary|syntax.EmptyNoWordBoundary) != 0
		}
	}
	if b.words {
		add('0', '9')
		add('A', 'Z')
		add('_', '_')
		add('a', 'z')
	}
	slices.Sort(bounds)
	b.bounds = slices.Compact(bounds)
	b.merge()
	for r := range rune(utf8.RuneSelf) {
		b.ascii[r] = b.classOf(r)
	}
}

// merge gives bounds the same class whose characters the same instructions match.
func (b *tableBuilder) merge() {
	known := map[string]uint8{}
	for _, r := range b.bounds {
		var key []byte
		for i := range b.prog.Inst {
			if in := &b.prog.Inst[i]; isRune(in) && in.MatchRune(r) {
				key = binary.AppendUvarint(key, uint64(i))
			}
		}
		if b.words && syntax.IsWordChar(r) {
			key = append(key, "word"...)
		}
		class, ok := known[string(key)]
		if !ok {
			class = uint8(min(len(known), maxClasses))
			known[string(key)] = class
			b.marks = append(b.marks, r)
		}
		b.class = append(b.class, class)
	}
	b.classes = len(b.marks)
}

// maxClasses is how many classes a table may have.
const maxClasses = 255

func isRune(in *syntax.Inst) bool {
	switch in.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	}
	return false
}

const tooLarge = patternError("it needs too large a table")

func (b *tableBuilder) build() (*pattern, error) {
	if b.classes > maxClasses {
		return nil, tooLarge
	}
	b.visited = make([]bool, len(b.prog.Inst))
	b.state(patternState{}) // accepted
	b.states = map[string]int{}
	b.state(patternState{places: []uint32{uint32(b.prog.Start)}, before: -1})
	for s := 0; s < len(b.queue); s++ {
		stuck := true
		for _, r := range b.marks {
			to := accepted
			if s != accepted {
				to = b.step(b.queue[s], r)
			}
			if stuck = stuck && to == s; len(b.queue) > maxStates || len(b.next) > maxEntries {
				return nil, tooLarge
			}
			b.next = append(b.next, uint16(to))
		}
		_, ends := b.follow(b.queue[s], -1)
		b.ends = append(b.ends, s == accepted || ends)
		b.stuck = append(b.stuck, stuck)
	}
	return &b.pattern, nil
}

// state returns the number of a state, a new one if it is not known.
func (b *tableBuilder) state(s patternState) int {
	key := binary.AppendVarint(nil, int64(s.before))
	for _, place := range s.places {
		key = binary.AppendUvarint(key, uint64(place))
	}
	n, ok := b.states[string(key)]
	if !ok {
		n = len(b.queue)
		b.states[string(key)] = n
		b.queue = append(b.queue, s)
	}
	return n
}

// step returns the state behind a character.
func (b *tableBuilder) step(s patternState, r rune) int {
	places, match := b.follow(s, r)
	if match {
		return accepted
	}
	next := patternState{places: append(slices.Clone(places), uint32(b.prog.Start)), before: ' '}
	if b.words && syntax.IsWordChar(r) {
		next.before = 'a'
	}
	slices.Sort(next.places)
	next.places = slices.Compact(next.places)
	return b.state(next)
}

// follow returns the places behind a character, -1 for the end of the text, and whether the pattern
// matches what is before it. The places are valid until the next call.
func (b *tableBuilder) follow(s patternState, r rune) (places []uint32, match bool) {
	clear(b.visited)
	flags := syntax.EmptyOpContext(s.before, r)
	stack := append(b.stack[:0], s.places...)
	places = b.behind[:0]
	for len(stack) > 0 {
		place := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if b.visited[place] {
			continue
		}
		b.visited[place] = true
		switch in := &b.prog.Inst[place]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, in.Out, in.Arg)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, in.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(in.Arg)&^flags == 0 {
				stack = append(stack, in.Out)
			}
		case syntax.InstMatch:
			match = true
		case syntax.InstFail:
		default:
			if r >= 0 && in.MatchRune(r) {
				places = append(places, in.Out)
			}
		}
	}
	b.stack, b.behind = stack, places
	return places, match
}

// A translator writes a pattern of ECMAScript in Go's syntax.
type translator struct {
	in      string
	out     strings.Builder
	inClass bool
	ranged  bool // in a class, the last character was a hyphen that may make a range
}

// Classes of ECMAScript that Go has others for.
const (
	spaces    = `\t\n\v\f\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}`
	notSpaces = `\x{0}-\x{8}\x{e}-\x{1f}!-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}` +
		`\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}`
	anyChar = `[^\n\r\x{2028}\x{2029}]`
)

// translate returns a pattern in Go's syntax, with the same meaning.
func translate(pattern string) (string, error) {
	if len(pattern) > maxPattern {
		return "", patternError("it is longer than " + strconv.Itoa(maxPattern) + " bytes")
	}
	t := translator{in: pattern}
	for t.in != "" {
		var err error
		switch {
		case t.in[0] == '\\':
			err = t.escape()
		case t.inClass:
			t.classChar()
		default:
			err = t.char()
		}
		if err != nil {
			return "", err
		}
	}
	return t.out.String(), nil
}

// take writes the next bytes as they are.
func (t *translator) take(n int) { t.write(n, t.in[:n]) }

// write moves over the next bytes and writes a text for them.
func (t *translator) write(n int, text string) {
	t.in = t.in[n:]
	t.out.WriteString(text)
	t.ranged = false
}

// classChar translates a character in a class.
func (t *translator) classChar() {
	switch t.in[0] {
	case ']':
		t.inClass = false
		t.take(1)
	case '[':
		t.write(1, `\[`)
	case '-':
		t.take(1)
		t.ranged = true
	default:
		t.take(1)
	}
}

// char translates a character outside of classes.
func (t *translator) char() error {
	switch t.in[0] {
	case '.':
		t.write(1, anyChar)
	case '[':
		n := 1
		if strings.HasPrefix(t.in, "[^") {
			n = 2
		}
		if strings.HasPrefix(t.in[n:], "]") {
			return patternError("an empty class is not supported")
		}
		t.inClass = true
		t.take(n)
	case '(':
		return t.group()
	default:
		t.take(1)
	}
	return nil
}

func (t *translator) group() error {
	switch {
	case !strings.HasPrefix(t.in, "(?"):
		t.take(1)
	case strings.HasPrefix(t.in, "(?:"):
		t.take(3)
	case strings.HasPrefix(t.in, "(?="), strings.HasPrefix(t.in, "(?!"), strings.HasPrefix(t.in, "(?<="), strings.HasPrefix(t.in, "(?<!"):
		return patternError("looking ahead or back is not supported")
	case strings.HasPrefix(t.in, "(?<"):
		t.take(3)
	default:
		return patternError("flags in a group are not supported")
	}
	return nil
}

// escape translates what begins with a backslash.
func (t *translator) escape() error {
	if len(t.in) == 1 {
		return patternError("it ends in a backslash")
	}
	switch c := t.in[1]; c {
	case 'd', 'D', 'w', 'W', 't', 'n', 'r', 'f', 'v':
		t.take(2)
	case 's', 'S':
		return t.space(c)
	case 'b', 'B':
		return t.boundary(c)
	case '0':
		if len(t.in) > 2 && '0' <= t.in[2] && t.in[2] <= '9' {
			return patternError("an octal escape is not supported")
		}
		t.write(2, `\x00`)
	case 'x':
		return t.code(2, 2)
	case 'u':
		return t.unicode()
	case 'c':
		if len(t.in) < 3 || !isLetter(t.in[2]) {
			return patternError(`\c must be followed by a letter`)
		}
		t.write(3, codePoint(rune(t.in[2]%32)))
	case 'p', 'P':
		return t.property()
	default:
		return t.identity()
	}
	return nil
}

// identity translates the escape of a character that stands for itself.
func (t *translator) identity() error {
	r, n := utf8.DecodeRuneInString(t.in[1:])
	if isLetter(t.in[1]) || '1' <= r && r <= '9' {
		return patternError(`\` + string(r) + " is not supported")
	}
	t.write(1+n, codePoint(r))
	return nil
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func codePoint(r rune) string { return `\x{` + strconv.FormatInt(int64(r), 16) + `}` }

func (t *translator) space(c byte) error {
	class := spaces
	if c == 'S' {
		class = notSpaces
	}
	if !t.inClass {
		t.write(2, "["+class+"]")
		return nil
	}
	if t.ranged || strings.HasPrefix(t.in[2:], "-") && !strings.HasPrefix(t.in[2:], "-]") {
		return patternError("a range from or to white space is not supported")
	}
	t.write(2, class)
	return nil
}

func (t *translator) boundary(c byte) error {
	switch {
	case !t.inClass:
		t.take(2)
	case c == 'b':
		t.write(2, `\x08`)
	default:
		return patternError(`\B in a class is not supported`)
	}
	return nil
}

// code translates an escape with a number of hexadecimal digits from a position on.
func (t *translator) code(from, digits int) error {
	r, ok := hex(t.in, from, digits)
	if !ok || utf16Half(r) {
		return patternError("it has an invalid escape")
	}
	t.write(from+digits, codePoint(r))
	return nil
}

func hex(text string, from, digits int) (rune, bool) {
	if digits == 0 || digits > 6 || len(text) < from+digits {
		return 0, false
	}
	n, err := strconv.ParseUint(text[from:from+digits], 16, 32)
	return rune(n), err == nil && n <= unicode.MaxRune
}

func utf16Half(r rune) bool { return 0xD800 <= r && r <= 0xDFFF }

func (t *translator) unicode() error {
	if strings.HasPrefix(t.in[2:], "{") {
		end := strings.IndexByte(t.in, '}')
		r, ok := hex(t.in, 3, max(end-3, 0))
		if end < 0 || !ok || utf16Half(r) {
			return patternError("it has an invalid escape")
		}
		t.write(end+1, codePoint(r))
		return nil
	}
	high, ok := hex(t.in, 2, 4)
	if !ok || !utf16Half(high) {
		return t.code(2, 4)
	}
	low, ok := hex(t.in, 8, 4)
	if !ok || t.in[6:8] != `\u` || high >= 0xDC00 || low < 0xDC00 || low > 0xDFFF {
		return patternError("it has an unpaired surrogate")
	}
	t.write(12, codePoint((high-0xD800)<<10|(low-0xDC00)+0x10000))
	return nil
}

func (t *translator) property() error {
	end := strings.IndexByte(t.in, '}')
	if !strings.HasPrefix(t.in[2:], "{") || end < 0 || strings.Contains(t.in[:end], "^") {
		return patternError("it has an invalid property of characters")
	}
	name := t.in[3:end]
	for _, prefix := range []string{"Script=", "sc=", "General_Category=", "gc="} {
		name = strings.TrimPrefix(name, prefix)
	}
	t.write(end+1, t.in[:2]+"{"+name+"}")
	return nil
}

// A Pattern is a regular expression of ECMAScript. It is immutable.
type Pattern struct {
	table *pattern
	text  string
}

// CompilePattern compiles a pattern as that of a schema is compiled. The error says why it is
// refused.
func CompilePattern(text string) (*Pattern, error) {
	translated, err := translate(text)
	if err != nil {
		return nil, err
	}
	table, err := compilePattern(translated)
	if err != nil {
		return nil, err
	}
	return &Pattern{table, text}, nil
}

// MatchString reports whether a part of a text matches.
func (p *Pattern) MatchString(text string) bool { return p.table.matches([]byte(text)) }

// String returns the pattern as it was compiled.
func (p *Pattern) String() string { return p.text }
