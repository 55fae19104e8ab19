package postgressink

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
)

// The events of a statement, as the binary form of the arrays that it is given.
//
// A column is built by hand, in memory that is reused: the arrays of pgx would need a slice of
// strings for each column and a copy of every payload. The form is that of array_recv: the number
// of dimensions, whether there are nulls, the type of the elements, their number, the lower bound,
// and then each element after its length.

// The types of arrays and of their elements in pg_type.
const (
	oidText             = 25
	oidTimestamptz      = 1184
	oidTextArray        = 1009
	oidTimestamptzArray = 1185
)

const arrayHeader = 5 * 4

// A column is an array of values.
type column struct {
	data  []byte
	nulls bool
	count uint32
}

func (c *column) clear() {
	if c.data == nil {
		c.data = make([]byte, arrayHeader, 4096)
	}
	c.data, c.nulls, c.count = c.data[:arrayHeader], false, 0
}

// addText adds a text, with U+FFFD for U+0000. An empty one is null.
func (c *column) addText(text string) {
	if text == "" {
		c.addNull()
		return
	}
	c.addKey(strings.ReplaceAll(text, "\x00", "\uFFFD"))
}

// addKey adds a text that must not be null.
func (c *column) addKey(text string) {
	c.count++
	c.data = binary.BigEndian.AppendUint32(c.data, uint32(len(text)))
	c.data = append(c.data, text...)
}

func (c *column) addNull() {
	c.count++
	c.nulls = true
	c.data = binary.BigEndian.AppendUint32(c.data, ^uint32(0))
}

// epochSeconds is the zero of times in the binary form.
var epochSeconds = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// addTime adds a time, cut to microseconds. The zero time is null.
func (c *column) addTime(t time.Time) {
	if t.IsZero() {
		c.addNull()
		return
	}
	c.count++
	c.data = binary.BigEndian.AppendUint32(c.data, 8)
	c.data = binary.BigEndian.AppendUint64(c.data, uint64(microseconds(t)))
}

// microseconds returns a time as PostgreSQL has it. One that is out of range becomes one that the
// server refuses: the largest and the smallest number are infinities.
func microseconds(t time.Time) int64 {
	const limit = math.MaxInt64 / 1_000_000
	switch seconds := t.Unix() - epochSeconds; {
	case seconds <= -limit:
		return math.MinInt64 + 1
	case seconds >= limit:
		return math.MaxInt64 - 1
	default:
		return seconds*1_000_000 + int64(t.Nanosecond()/1000)
	}
}

// addPayload adds the canonical form of an event, which takes its place in the array directly.
func (c *column) addPayload(e *inlet.Event, jsonb bool) (replaced bool) {
	c.count++
	start := len(c.data)
	c.data = e.AppendJSON(append(c.data, 0, 0, 0, 0))
	if jsonb {
		replaced = replaceNUL(c.data[start+4:])
	}
	binary.BigEndian.PutUint32(c.data[start:], uint32(len(c.data)-start-4))
	return replaced
}

var escapedNUL, escapedFFFD = []byte(`\u0000`), []byte(`\ufffd`)

// replaceNUL replaces the escape of U+0000 in JSON by that of U+FFFD. An escape begins with a
// backslash that is not itself escaped.
func replaceNUL(text []byte) (replaced bool) {
	if !bytes.Contains(text, escapedNUL) {
		return false
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if bytes.HasPrefix(text[i:], escapedNUL) {
			copy(text[i:], escapedFFFD)
			replaced = true
		}
		i++ // what is escaped
	}
	return replaced
}

// array returns the finished array.
func (c *column) array(element uint32) []byte {
	nulls := uint32(0)
	if c.nulls {
		nulls = 1
	}
	for i, field := range [...]uint32{1, nulls, element, c.count, 1} {
		binary.BigEndian.PutUint32(c.data[4*i:], field)
	}
	return c.data
}

// columnNames are the columns of the table, in the order of their arrays.
var columnNames = [...]string{
	"source_id", "message_id", "received_at", "timestamp", "type", "name", "user_id", "anonymous_id", "group_id", "payload",
}

// columnTypes are the types of the columns, that of payload aside.
var columnTypes = [len(columnNames)]uint32{
	oidText, oidText, oidTimestamptz, oidTimestamptz, oidText, oidText, oidText, oidText, oidText, oidText,
}

// rows are the arrays of a statement.
type rows struct {
	columns  [len(columnNames)]column
	params   [len(columnNames)][]byte
	replaced int // events in whose payload U+0000 was replaced
}

func (r *rows) clear() {
	for i := range r.columns {
		r.columns[i].clear()
	}
	r.replaced = 0
}

// maxPooledRows is how much memory is kept for reuse, in bytes.
const maxPooledRows = 4 << 20

func (r *rows) isLarge() bool { return cap(r.columns[len(r.columns)-1].data) > maxPooledRows }

func (r *rows) add(e *inlet.Event, jsonb bool) {
	c := &r.columns
	c[0].addKey(keyText(e.Source.ID))
	c[1].addKey(keyText(e.MessageID))
	c[2].addTime(e.ReceivedAt)
	c[3].addTime(e.Timestamp)
	c[4].addText(string(e.Type))
	c[5].addText(e.Name)
	c[6].addText(e.UserID)
	c[7].addText(e.AnonymousID)
	c[8].addText(e.GroupID)
	if c[9].addPayload(e, jsonb) {
		r.replaced++
	}
}

// keyText returns a part of a key as the table holds it. One with U+0000 ends in a hash, so that no
// two events get one key.
func keyText(text string) string {
	if !strings.Contains(text, "\x00") {
		return text
	}
	hash := sha256.Sum256([]byte(text))
	return strings.ReplaceAll(text, "\x00", "\uFFFD") + "#" + hex.EncodeToString(hash[:16])
}

// arrays returns the parameters of the statement.
func (r *rows) arrays() [][]byte {
	for i := range r.columns {
		r.params[i] = r.columns[i].array(columnTypes[i])
	}
	return r.params[:]
}

// arrayTypes and arrayFormats describe the parameters: all are binary.
var arrayTypes, arrayFormats = func() (types []uint32, formats []int16) {
	for _, element := range columnTypes {
		array := uint32(oidTextArray)
		if element == oidTimestamptz {
			array = oidTimestamptzArray
		}
		types, formats = append(types, array), append(formats, 1)
	}
	return types, formats
}()

// maxEventBytes is the size of an event that is not sent, by sizeOf: PostgreSQL takes no message or
// value of 1 GiB, and closes the connection.
const maxEventBytes = 512 << 20

// checkSize returns a permanent error if an event is larger than PostgreSQL can take.
func checkSize(events []*inlet.Event) error {
	for _, e := range events {
		if size := sizeOf(e); size > maxEventBytes {
			return inlet.Permanent(fmt.Errorf("postgressink: an event needs about %d bytes, more than %d", size, maxEventBytes))
		}
	}
	return nil
}

// sizeOf estimates the parameters of an event in bytes, never below its raw JSON.
func sizeOf(e *inlet.Event) int {
	return 600 + 2*(len(e.Source.ID)+len(e.MessageID)+len(e.Name)+len(e.UserID)+len(e.AnonymousID)+len(e.GroupID)) +
		len(e.Properties) + len(e.Traits) + len(e.Context) + len(e.Integrations) + len(e.Extra)
}
