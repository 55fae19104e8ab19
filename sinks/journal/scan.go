package journal

import (
	"bufio"
	"errors"
	"io"
)

// A scanner reads the lines of a segment and tells good ones from damaged ones.
// A line whose number does not rise is damaged too: it is an old block of the
// disk that has come up again.
type scanner struct {
	r   *bufio.Reader
	buf []byte // of a line that is longer than the reader's buffer

	line []byte // with its newline; valid until the next call
	seq  uint64 // of the line, if it is good
	good bool

	last    uint64 // the highest number of a good line
	lines   int    // good ones
	damaged int    // the others
	tail    int    // damaged bytes since the last good line
}

// newScanner reads from r lines numbered from first on.
func newScanner(r io.Reader, first uint64) *scanner {
	return &scanner{r: bufio.NewReaderSize(r, 256<<10), last: max(first, 1) - 1}
}

// next reads a line, good or damaged, and returns io.EOF after the last. Blank
// lines are passed over: to a reader of JSON lines they are nothing.
func (s *scanner) next() error {
	for {
		if err := s.read(); err != nil {
			return err
		}
		if string(s.line) != "\n" {
			break
		}
	}
	s.seq, s.good = checkLine(s.line)
	s.good = s.good && s.seq > s.last
	if s.good {
		s.last, s.tail = s.seq, 0
		s.lines++
	} else {
		s.damaged++
		s.tail += len(s.line)
	}
	return nil
}

// read gets one line, the last of which may lack its newline.
func (s *scanner) read() (err error) {
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

// used is the highest number that may have been given out: as many short lines
// as fit may be lost in the damaged bytes at the end.
func (s *scanner) used() uint64 { return s.last + uint64((s.tail+minLine-1)/minLine) }
