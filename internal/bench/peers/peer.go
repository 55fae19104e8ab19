//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/inlet-go/inlet/internal/bench"
)

// A peer is a server that keeps events in files.
type peer struct {
	name string
	// called is what the table calls it. Empty means its name.
	called string
	// means is what survives after its answer.
	means string
	// start begins to listen on a free port of the loopback, with files below dir, and returns
	// what ends it in good order.
	start func(dir string) (stop func() error, err error)
	// keyless is set if it does not look at the write key.
	keyless bool
	// form is the requests that it reads. Nil means those of Segment's API.
	form *form
	// read passes the ids of the events in a complete line to found. Nil means a line of one
	// event.
	read func(line []byte, found func(id string)) error
}

// A form is how requests are written.
type form struct {
	single, batch string // paths
	contentType   string
	encode        func(body []byte) ([]byte, error)
}

var segment = &form{
	single: "/t/v1/track", batch: "/t/v1/batch", contentType: "application/json",
	encode: func(body []byte) ([]byte, error) { return body, nil },
}

// peers are all of them; the first is what the others are compared with.
func peers() []peer {
	return append([]peer{
		{name: "net/http, buffered file", means: "in memory, up to a second", start: byHand(newBuffered)},
		{name: "net/http, a flush for each request", means: "on the disk", start: byHand(newFlushed)},
		{name: "net/http, group commit", means: "on the disk", start: byHand(bench.OpenGroupCommit)},
		{name: "gin, buffered file", means: "in memory, up to a second", start: withGin},
		{name: "Fiber, buffered file", means: "in memory, up to a second", start: withFiber},
		{name: "Inlet, journal without flushes", means: "in the kernel", start: withInlet(false)},
		{name: "Inlet, journal", means: "on the disk", start: withInlet(true)},
	}, heavyPeers()...)
}

func (p peer) String() string { return cmp.Or(p.called, p.name) }

func (p peer) requests() *form {
	if p.form == nil {
		return segment
	}
	return p.form
}

// kept calls found with the id of each event in the files below dir. What follows the last end of
// a line was torn by a kill, and does not count.
func (p peer) kept(dir string, found func(id string)) error {
	read := p.read
	if read == nil {
		read = readEvent
	}
	return filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !isOutput(name) {
			return err
		}
		return eachLine(name, func(line []byte) error { return read(line, found) })
	})
}

// isOutput reports whether a file has events: the journal also keeps a lock and positions.
func isOutput(name string) bool {
	return strings.HasSuffix(name, ".ndjson") || strings.HasSuffix(name, ".part")
}

func readEvent(line []byte, found func(id string)) error {
	var event struct {
		MessageID string `json:"messageId"`
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return err
	}
	found(event.MessageID)
	return nil
}
