package journal

import (
	"bytes"
	"errors"
	"path/filepath"
	"sync/atomic"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// With Options.WriteAhead, a goroutine fills the file of the next segment with newlines
// while the committer writes the present one. The committer takes that file over when it
// starts the next segment (takeAhead); if it is not complete by then, the segment is appended
// to, until a complete one is ready.

const (
	blankBlock = 256 << 10 // bytes per write
	blankFlush = 1 << 20   // bytes per flush: small, so that other flushes get their turn
)

// aheadName is the name of the file ahead. It is that of a temporary file: what a crash
// leaves of it is removed by the next Open.
var aheadName = entry{0, extSealed}.name() + extTemporary

// ahead is the state of the file ahead. Only the committer calls its methods.
type ahead struct {
	outcome  chan error // of the goroutine that fills the file; nil if none runs
	stop     atomic.Bool
	complete bool // the file is filled and flushed
}

// ready reports whether the file is complete.
func (a *ahead) ready() bool {
	select {
	case err := <-a.outcome:
		a.outcome, a.complete = nil, err == nil
	default:
	}
	return a.complete
}

// prepareAhead starts to fill a file, unless there is one already or it would leave too
// little space for the active segment.
func (s *store) prepareAhead() {
	if !s.opts.WriteAhead || s.ahead.outcome != nil || s.ahead.complete || !s.hasSpaceAhead() {
		return
	}
	outcome := make(chan error, 1)
	s.ahead.outcome = outcome
	go func() {
		err := writeBlankFile(s.fs, s.aheadPath(), s.opts.SegmentBytes, &s.ahead.stop)
		if err != nil && !errors.Is(err, errStopped) {
			s.log.Warn("journal: writing a file ahead failed", "error", err)
		}
		outcome <- err
	}()
}

func (s *store) aheadPath() string { return filepath.Join(s.dir, aheadName) }

// hasSpaceAhead reports whether a file ahead, and a segment that is appended to meanwhile,
// leave the disk above the low-water mark.
func (s *store) hasSpaceAhead() bool {
	free, total, err := s.fs.Free(s.dir)
	return err != nil || free-2*s.opts.SegmentBytes >= max(s.opts.lowWater(total), 0)
}

// takeAhead gives the file ahead the name of a segment, and opens it. It creates the name
// first, because a file that has it already must not be replaced.
func (s *store) takeAhead(name string) (osfs.File, error) {
	s.ahead.complete = false
	f, err := s.fs.Create(name)
	if err != nil {
		return nil, errors.Join(err, s.fs.Remove(s.aheadPath()))
	}
	if err := errors.Join(f.Close(), s.fs.Rename(s.aheadPath(), name)); err != nil {
		return nil, errors.Join(err, s.fs.Remove(name), s.fs.Remove(s.aheadPath()))
	}
	if f, err = s.fs.Overwrite(name); err != nil {
		return nil, errors.Join(err, s.fs.Remove(name))
	}
	return f, nil
}

// dropAhead stops the goroutine that fills the file, and removes the file.
func (s *store) dropAhead() {
	s.ahead.stop.Store(true)
	if s.ahead.outcome != nil {
		s.ahead.complete = <-s.ahead.outcome == nil
	}
	if !s.ahead.complete || s.owner.verify() != nil {
		return
	}
	if err := s.fs.Remove(s.aheadPath()); err != nil {
		s.log.Warn("journal: file written ahead not removed; the next Open will remove it", "error", err)
	}
}

var errStopped = errors.New("stopped")

// writeBlankFile makes a durable file of newlines, or none.
func writeBlankFile(fsys osfs.FS, name string, size int64, stop *atomic.Bool) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	block := bytes.Repeat([]byte{'\n'}, int(min(size, blankBlock)))
	for at := int64(0); at < size && err == nil; at += int64(len(block)) {
		if stop.Load() {
			err = errStopped
			break
		}
		_, err = f.Write(block[:min(size-at, int64(len(block)))])
		if (at+int64(len(block)))%blankFlush == 0 && err == nil {
			err = f.Sync()
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(name))
	}
	return nil
}
