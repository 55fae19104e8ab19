package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// demonstrate counts every second while events are sent to a journal, and again when it is
// closed. The sending ends when ctx is done.
func demonstrate(ctx context.Context, db *sql.DB, c config, out io.Writer) (err error) {
	dir, err := os.MkdirTemp(c.temporary, "inlet-query-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sending, stop := context.WithCancel(ctx)
	defer stop()
	s, err := startSender(sending, dir, c)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	err = s.watch(ctx, db, dir, out)
	stop()
	if err := errors.Join(err, s.wait()); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d events are acknowledged, and the journal is closed:\n\n", s.acknowledged.Load())
	return show(ctx, db, dir, out)
}

// watch shows the counts until the sender has finished.
func (s *sender) watch(ctx context.Context, db *sql.DB, dir string, out io.Writer) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return nil
		case <-tick.C:
		}
		fmt.Fprintf(out, "\n%d events are acknowledged, and more are coming:\n\n", s.acknowledged.Load())
		if err := show(ctx, db, dir, out); err != nil {
			return err
		}
	}
}
