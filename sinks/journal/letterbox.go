package journal

import (
	"context"
	"path/filepath"

	"github.com/inlet-go/inlet"
)

const letterDir = "dead"

// A letterbox keeps what a destination refuses for good, in a journal of its own,
// which is opened for the first letter. Only the delivery's goroutine uses it.
type letterbox struct {
	dir  string
	opts Options
	box  *Journal
}

func newLetterbox(j *Journal, name string) *letterbox {
	o := &j.opts
	return &letterbox{
		dir:  filepath.Join(j.dir, letterDir, name),
		opts: Options{LowWater: o.LowWater, Logger: o.Logger, fs: o.fs},
	}
}

// Write stores letters.
func (l *letterbox) Write(ctx context.Context, letters []*inlet.Event) (err error) {
	if l.box == nil {
		l.box, err = Open(l.dir, &l.opts)
	}
	if err != nil {
		return err
	}
	return l.box.Write(ctx, letters)
}

func (l *letterbox) close() error {
	if l.box == nil {
		return nil
	}
	return l.box.Close(context.Background())
}
