package journal

import (
	"bytes"
	"encoding/json"
	"hash/crc32"
	"strconv"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/wire"
)

// A line is an event in canonical form, to which the journal adds two members at the end, so
// at fixed distances from its last byte:
//
//	,"_seq":"0000000000000123","_c":"9ae0daaf"}\n
//
// The writer's goroutine encodes the event and a trailer of zeros (appendLine), and computes
// the checksum up to the sequence number. The committer, which alone knows the numbers, only
// fills in the digits and completes the checksum (completeLine). checkLine verifies a line
// without parsing JSON.
const (
	seqMember = `,"_seq":"`
	crcMember = `,"_c":"`
	lineEnd   = "\"}\n"

	seqDigits = 16
	crcDigits = 8

	maxSeq uint64 = 1e16 - 1 // the highest number that the digits can hold

	seqTail    = seqDigits + len(`"`)                      // the part of it that the checksum covers
	crcTail    = len(crcMember) + crcDigits + len(lineEnd) // what the checksum does not cover
	trailerLen = len(seqMember) + seqTail + crcTail
	minLine    = len(`{"type":""`) + trailerLen
)

// trailer is the end of a line before the digits are filled in.
const trailer = seqMember + "0000000000000000" + `"` + crcMember + "00000000" + lineEnd

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A lineSlot locates a line that the committer has to complete.
type lineSlot struct {
	end int    // offset after the line's last byte
	crc uint32 // of the line up to the digits of its sequence number
}

// appendLine appends the line of e, with zeros for its sequence number and checksum.
func appendLine(dst []byte, e *inlet.Event) ([]byte, lineSlot) {
	start := len(dst)
	dst = appendEvent(dst, e)
	dst = append(dst[:len(dst)-len("}")], trailer...)
	covered := dst[start : len(dst)-crcTail-seqTail]
	return dst, lineSlot{len(dst), crcOf(covered)}
}

func crcOf(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

// completeLine writes the sequence number and the checksum into the line at the end of buf.
func completeLine(buf []byte, crc uint32, seq uint64) {
	tail := buf[len(buf)-crcTail-seqTail:]
	for i := seqDigits - 1; i >= 0; i-- {
		tail[i] = byte('0' + seq%10)
		seq /= 10
	}
	crc = crc32.Update(crc, castagnoli, tail[:seqTail])
	putHex(tail[seqTail+len(crcMember):], crc)
}

func putHex(dst []byte, v uint32) {
	for i := crcDigits - 1; i >= 0; i-- {
		dst[i] = "0123456789abcdef"[v&15]
		v >>= 4
	}
}

// checkLine returns the sequence number of a line, and whether the line, with its newline, is
// complete and undamaged.
func checkLine(line []byte) (seq uint64, ok bool) {
	if len(line) < minLine {
		return 0, false
	}
	body, tail := line[:len(line)-crcTail], line[len(line)-crcTail:]
	var want [crcDigits]byte
	putHex(want[:], crc32.Checksum(body, castagnoli))
	if string(tail[:len(crcMember)]) != crcMember ||
		string(tail[len(crcMember):len(tail)-len(lineEnd)]) != string(want[:]) ||
		string(tail[len(tail)-len(lineEnd):]) != lineEnd {
		return 0, false
	}
	return lineSeq(body)
}

// lineSeq reads the sequence number, which is at the end of what the checksum covers.
func lineSeq(body []byte) (uint64, bool) {
	at := len(body) - seqTail
	if string(body[at-len(seqMember):at]) != seqMember || body[len(body)-1] != '"' {
		return 0, false
	}
	seq, err := strconv.ParseUint(string(body[at:len(body)-1]), 10, 64)
	return seq, err == nil
}

// parseLine returns the event of a line that was checked, without the members that the
// journal added. It overwrites the line.
func parseLine(line []byte) (*inlet.Event, error) {
	data := line[:len(line)-trailerLen+1]
	data[len(data)-1] = '}'
	e := new(inlet.Event)
	if err := e.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	return e, nil
}

// appendEvent appends the canonical form of e without members named _seq and _c, which an
// event has that was read from a journal's file: no name may occur twice in a line.
func appendEvent(dst []byte, e *inlet.Event) []byte {
	if !mayBeReserved(e.Extra) {
		return e.AppendJSON(dst)
	}
	own := *e
	own.Extra = withoutReserved(e.Extra)
	return own.AppendJSON(dst)
}

// mayBeReserved reports whether the object may have a member with a name of the journal's,
// possibly escaped.
func mayBeReserved(object []byte) bool {
	return len(object) > 0 && (bytes.Contains(object, []byte(`_seq"`)) ||
		bytes.Contains(object, []byte(`_c"`)) || bytes.Contains(object, []byte(`\u`)))
}

// withoutReserved returns the object without the members _seq and _c. The others stay as they are
// written: nothing here decodes a name and encodes it again.
func withoutReserved(object json.RawMessage) json.RawMessage {
	members, err := wire.Members(object)
	if err != nil {
		return object
	}
	kept := append(make(json.RawMessage, 0, len(object)), '{')
	for _, m := range members {
		if name := string(m.Name()); name != canonical.Sequence && name != canonical.Checksum {
			kept = wire.AppendMember(kept, len("{"), m.RawName, m.Value)
		}
	}
	if len(kept) == len("{") {
		return nil
	}
	return append(kept, '}')
}
