package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
)

// How damage is found.
//
// A scanner reads a segment line by line and classifies each line. A line is good if its
// checksum is right and its number is higher than those before; a line whose number is not
// is an old block of the disk that has reappeared. Every other line is damaged. If only the
// newline of a line is damaged, it seems to continue with the next line; repairNewline finds
// that out, so that one damaged byte costs one event at most. Blank lines are skipped.
//
// Recovery needs to know where the damage is: a damaged tail (a write that was cut short) is
// cut off, and damage before a good line means that the good lines have to be copied.

// A scanner reads the lines of a segment.
type scanner struct {
	r    *bufio.Reader
	buf  []byte // of a line that is longer than the reader's buffer
	rest []byte // what follows a line whose newline was damaged

	max uint64 // the highest number that is believed

	line []byte // with its newline; valid until the next call
	seq  uint64 // of the line, if it is good
	good bool

	offset        int64  // offset after the line
	last          uint64 // the highest number of a good line
	lines         int    // number of good lines
	goodEnd       int64  // offset after the last good line
	damaged       int    // number of damaged lines
	damagedTail   int    // damaged bytes after the last good line
	damagedBefore int    // number of damaged lines before it
	damagedEnd    int64  // offset after the last damaged line
}

// maxSpan is how far the number of a line may be above the first of its file. Far more lines
// than a file can hold are needed to get there.
const maxSpan uint64 = 1 << 40

// newScanner reads from r lines numbered from first on.
func newScanner(r io.Reader, first uint64) *scanner {
	s := &scanner{r: bufio.NewReaderSize(nil, 256<<10)}
	s.reset(r, first)
	return s
}

// reset makes s read from another reader, with the memory that it has.
func (s *scanner) reset(r io.Reader, first uint64) {
	*s = scanner{r: s.r, buf: s.buf[:0], max: min(first+maxSpan, maxSeq), last: max(first, 1) - 1}
	s.r.Reset(r)
}

// next reads a line, good or damaged, and returns io.EOF after the last one.
func (s *scanner) next() error {
	for {
		if err := s.readLine(); err != nil {
			return err
		}
		s.offset += int64(len(s.line))
		if string(s.line) != "\n" {
			break
		}
		s.skipBlank()
	}
	s.classify()
	return nil
}

// classify decides whether the line is good, and counts it.
func (s *scanner) classify() {
	s.seq, s.good = checkLine(s.line)
	if !s.good {
		s.repairNewline()
	}
	s.good = s.good && s.seq > s.last && s.seq <= s.max
	if s.good {
		s.last, s.damagedTail, s.damagedBefore, s.goodEnd = s.seq, 0, s.damaged, s.offset
		s.lines++
	} else {
		s.damaged++
		s.damagedTail += len(s.line)
		s.damagedEnd = s.offset
	}
}

// repairNewline splits the line if it begins with a good one whose newline alone is damaged.
func (s *scanner) repairNewline() {
	end := lineWithin(s.line)
	if end == 0 {
		return
	}
	s.rest = s.line[end:]
	s.offset -= int64(len(s.rest))
	s.line = s.line[:end]
	s.line[end-1] = '\n'
	s.seq, s.good = checkLine(s.line)
	s.damaged++
}

// lineWithin returns the length of the line at the beginning of data that is complete except
// for its newline, or 0 if there is none.
func lineWithin(data []byte) (end int) {
	crc, done := uint32(0), 0
	for {
		i := bytes.Index(data[done:], []byte(crcMember))
		at := done + i
		if i < 0 || at+crcTail > len(data) {
			return 0
		}
		crc = crc32.Update(crc, castagnoli, data[done:at])
		if line := data[:at+crcTail]; endsWith(line, crc) && json.Valid(line[:len(line)-1]) {
			return len(line)
		}
		done = at + 1
		crc = crc32.Update(crc, castagnoli, data[at:done])
	}
}

// endsWith reports whether a line, except for its newline, ends with the checksum.
func endsWith(line []byte, crc uint32) bool {
	var want [crcDigits]byte
	putHex(want[:], crc)
	tail := line[len(line)-crcTail+len(crcMember):]
	return string(tail[:crcDigits]) == string(want[:]) && string(tail[crcDigits:len(tail)-1]) == lineEnd[:len(lineEnd)-1]
}

// readLine reads one line. The last one may lack its newline.
func (s *scanner) readLine() (err error) {
	if s.line, s.rest = s.rest, nil; len(s.line) > 0 {
		return nil
	}
	s.buf = s.buf[:0]
	s.line, err = s.r.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		s.buf = append(s.buf, s.line...)
		s.line, err = s.r.ReadSlice('\n')
	}
	if len(s.buf) > 0 {
		s.buf = append(s.buf, s.line...)
		s.line = s.buf
	}
	if errors.Is(err, io.EOF) && len(s.line) > 0 {
		return nil
	}
	return err
}

// blank is a block of newlines for comparison: a file that was written ahead has millions
// of them.
var blank = bytes.Repeat([]byte{'\n'}, 4<<10)

// skipBlank skips the blank lines that come next and are buffered already.
func (s *scanner) skipBlank() {
	for {
		next, _ := s.r.Peek(min(s.r.Buffered(), len(blank)))
		n := len(next)
		if !bytes.Equal(next, blank[:n]) {
			for n = 0; next[n] == '\n'; n++ {
			}
		}
		_, _ = s.r.Discard(n) // they are buffered
		s.offset += int64(n)
		if n < len(blank) {
			return
		}
	}
}

// maxSeq returns the highest number that may have been used: the damaged tail may have held
// as many lines of the shortest length as fit.
func (s *scanner) maxSeq() uint64 { return s.last + uint64((s.damagedTail+minLine-1)/minLine) }
