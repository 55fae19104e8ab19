package journal

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
)

func TestLine(t *testing.T) {
	t.Parallel()
	t.Run("form", func(t *testing.T) {
		t.Parallel()
		e := &inlet.Event{Type: inlet.TypeTrack, Name: "Signed Up", MessageID: "m1", UserID: "u1"}
		require.Equal(t,
			`{"type":"track","event":"Signed Up","messageId":"m1","userId":"u1","_seq":"0000000000000123","_c":"f065a893"}`+"\n",
			string(lineOf(e, 123)))
	})
	t.Run("every flipped bit is found", func(t *testing.T) {
		t.Parallel()
		line := lineOf(event("m1"), 42)
		seq, ok := checkLine(line)
		require.True(t, ok)
		require.EqualValues(t, 42, seq)
		for i := range line {
			for mask := 1; mask < 256; mask++ {
				damaged := bytes.Clone(line)
				damaged[i] ^= byte(mask)
				_, ok := checkLine(damaged)
				require.False(t, ok, "byte %d xor %#x", i, mask)
			}
		}
		for n := range line {
			_, ok := checkLine(line[:n])
			require.False(t, ok, "cut to %d bytes", n)
			_, ok = checkLine(line[n+1:])
			require.False(t, ok, "without the first %d bytes", n+1)
		}
	})
	t.Run("members of another journal are replaced", func(t *testing.T) {
		t.Parallel()
		for extra, want := range map[string]string{
			`{"_seq":"0000000000000007","_c":"00000000"}`:   `{"type":"track"`,
			`{"a":1,"_seq":"7","b": "x" , "_c":[1],"c":{}}`: `{"type":"track","a":1,"b":"x","c":{}`,
			`{"\u005fseq":7,"_\u0063":8,"d":"\u00e9"}`:      `{"type":"track","d":"\u00e9"`,
			`{"my_seq":1}`: `{"type":"track","my_seq":1`,
			`{">\u0001":"<&\u2028","\u003c\u0026":1,"a\/b":2,"_\u0073eq":3,"` + "\u2028\x7f" + `":4}`: `{"type":"track",">\u0001":"<&\u2028","\u003c\u0026":1,"a\/b":2,"` + "\u2028\x7f" + `":4`,
			`{"_client":{"_seq":1},"n":12345678901234567890}`:                                         `{"type":"track","_client":{"_seq":1},"n":12345678901234567890`,
		} {
			line := lineOf(&inlet.Event{Type: inlet.TypeTrack, Extra: json.RawMessage(extra)}, 1)
			require.Equal(t, want, string(line[:len(line)-trailerLen]), extra)
		}
	})
}

// FuzzLine checks that every event becomes one good line, which is read back as the same
// event.
func FuzzLine(f *testing.F) {
	f.Add("Order\nCompleted", "u\u2028\x00\xff", `{"a":1,"b":[1.0,{"c":"\u00e9"}]}`, uint64(1))
	f.Add("", `"_c":"00000000"}`, "{\n\t\"a\": \"b\\n\",\r\n \"_seq\":1 }", uint64(9999999999999999))
	f.Add("x", "y", `{}`, uint64(0))
	f.Add("x", "y", "\t {} ", uint64(78))
	f.Fuzz(func(t *testing.T, name, user, object string, seq uint64) {
		if raw := jsontext.Value(object); !raw.IsValid() || raw.Kind() != '{' || seq > 9999999999999999 {
			t.Skip("no event that a sink can be given")
		}
		e := &inlet.Event{Type: inlet.TypeTrack, Name: name, MessageID: "m", UserID: user, Properties: json.RawMessage(object)}
		line := lineOf(e, seq)
		require.Equal(t, len(line)-1, bytes.IndexByte(line, '\n'))
		got, ok := checkLine(line)
		require.True(t, ok)
		require.Equal(t, seq, got)

		var whole inlet.Event
		require.NoError(t, whole.UnmarshalJSON(line))
		var extra struct {
			Seq string `json:"_seq"`
			C   string `json:"_c"`
		}
		require.NoError(t, json.Unmarshal(whole.Extra, &extra))
		require.Len(t, extra.Seq, seqDigits)
		require.Len(t, extra.C, crcDigits)
		require.Equal(t, string(line), string(lineOf(&whole, seq)), "written again, it is the same line")

		parsed, err := parseLine(bytes.Clone(line))
		require.NoError(t, err)
		require.Equal(t, string(e.AppendJSON(nil)), string(parsed.AppendJSON(nil)))
	})
}

func TestLineAllocs(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	batch := events("m", 10)
	ticket := newWriteRequest()
	encode(ticket, batch)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		encode(ticket, batch)
		ticket.number(7)
	}))
}
