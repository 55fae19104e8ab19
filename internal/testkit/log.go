package testkit

import (
	"log/slog"
	"strings"
	"sync"
)

// A Log is what a logger, or a process, has written. It may be read while more is written.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write adds p.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// Logger returns a logger that writes to the log, of which each record is a line of text.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// String returns everything that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
