//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/inlet-go/inlet/internal/bench"
)

// How much is sent: slices of the servers alternate, and each has as many requests as take this
// time when it begins.
const (
	rounds            = 31
	slice             = 50 * time.Millisecond
	singleConnections = 16
	batchConnections  = 8
	batchEvents       = 100
	killAfter         = 2_000 // answers
)

// A load is one kind of request.
type load struct {
	events      int // of a request
	connections int
	path        func(f *form) string
	bodies      [][]byte
}

func loads() []load {
	corpus := bench.Corpus{At: time.Now()}
	return []load{
		{events: 1, connections: singleConnections, path: func(f *form) string { return f.single }, bodies: corpus.Tracks()},
		{events: batchEvents, connections: batchConnections, path: func(f *form) string { return f.batch }, bodies: corpus.Batches(batchEvents)},
	}
}

// A row is what was measured of a peer.
type row struct {
	peer        peer
	cpu, ratios [2]float64 // microseconds of an event, and over the first peer: single, batch
	rates       [2]float64 // events per second
	acked, lost int        // when it was killed
}

// A contender is a server with its client, and what its slices have cost.
type contender struct {
	server    *server
	client    *client
	requests  int // of a slice
	cpu, rate []float64
}

// measure measures all peers and writes the table to w.
func measure(w io.Writer, dir string) error {
	if runtime.NumCPU() < 2 {
		return errors.New("needs a processor for the servers and another for the client")
	}
	var rows []row
	for _, p := range peers() {
		rows = append(rows, row{peer: p})
	}
	again := rows[0]
	again.peer.called = "the first again, for the noise"
	rows = append(rows, again)
	for i, l := range loads() {
		if err := contest(rows, i, l, dir); err != nil {
			return err
		}
	}
	for i := range rows {
		if err := rows[i].kill(loads()[0], dir); err != nil {
			return fmt.Errorf("%s: %w", rows[i].peer, err)
		}
	}
	return write(w, rows)
}

// contest fills in the i-th load of all rows.
func contest(rows []row, i int, l load, dir string) error {
	all := make([]contender, len(rows))
	for k, r := range rows {
		if err := all[k].start(r.peer, l, dir); err != nil {
			return fmt.Errorf("%s: %w", r.peer, err)
		}
	}
	err := onProcessor(1, func() error {
		for range rounds {
			runtime.GC() // the client's own, which has its processor to itself
			for k := range all {
				if err := all[k].slice(); err != nil {
					return fmt.Errorf("%s: %w", rows[k].peer, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for k := range all {
		if err := all[k].end(rows[k].peer); err != nil {
			return fmt.Errorf("%s: %w", rows[k].peer, err)
		}
		events := float64(l.events)
		rows[k].cpu[i] = median(all[k].cpu) / events
		rows[k].rates[i] = median(all[k].rate) * events
		ratios := make([]float64, rounds)
		for n := range ratios {
			ratios[n] = all[k].cpu[n] / all[0].cpu[n]
		}
		rows[k].ratios[i] = median(ratios)
	}
	return nil
}

// start starts a server, and finds how many requests take the time of a slice.
func (c *contender) start(p peer, l load, dir string) (err error) {
	err = onProcessor(0, func() error {
		c.server, err = startServer(p, dir)
		return err
	})
	if err != nil {
		return err
	}
	f := p.requests()
	requests, err := requestsOf(f, l.path(f), l.bodies)
	if err != nil {
		return err
	}
	if c.client, err = dial(c.server.port, l.connections, requests); err != nil {
		return err
	}
	return onProcessor(1, func() error {
		for c.requests = l.connections; ; c.requests *= 2 {
			begin := time.Now()
			if err := c.client.send(c.requests); err != nil {
				return err
			}
			if took := time.Since(begin); took > slice {
				c.requests = int(float64(c.requests) * float64(slice) / float64(took))
				return nil
			}
		}
	})
}

func (c *contender) slice() error {
	before, err := c.server.used()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := c.client.send(c.requests); err != nil {
		return err
	}
	took := time.Since(begin)
	after, err := c.server.used()
	if err != nil {
		return err
	}
	c.cpu = append(c.cpu, float64(after-before)/1000/float64(c.requests))
	c.rate = append(c.rate, float64(c.requests)/took.Seconds())
	return nil
}

// end ends the server in good order, after which all events are in its files.
func (c *contender) end(p peer) error {
	if err := errors.Join(c.client.close(), c.server.end()); err != nil {
		return err
	}
	return c.count(p, 0)
}

// count reads the files of the server and removes them. More than so many acknowledged events
// that are not there are an error.
func (c *contender) count(p peer, most int) error {
	lost, err := c.missing(p)
	if err == nil && lost > most {
		err = fmt.Errorf("%d of %d events are missing", lost, len(c.client.acked))
	}
	return errors.Join(err, os.RemoveAll(c.server.dir))
}

// missing returns how many acknowledged events are not in the files of the server.
func (c *contender) missing(p peer) (n int, err error) {
	missing := make(map[int]bool, len(c.client.acked))
	for id := range c.client.acked {
		missing[id] = true
	}
	var wrong error
	err = p.kept(c.server.dir, func(id string) {
		number, err := strconv.Atoi(id[max(0, len(id)-digits):])
		if err != nil || number >= c.client.sent {
			wrong = fmt.Errorf("an event with the messageId %q, which was not sent", id)
		}
		delete(missing, number)
	})
	return len(missing), errors.Join(err, wrong)
}

// kill kills a server under load and counts what is missing.
func (r *row) kill(l load, dir string) error {
	var c contender
	if err := c.start(r.peer, l, dir); err != nil {
		return err
	}
	err := onProcessor(1, func() error { return c.client.sendUntilKilled(killAfter, c.server.kill) })
	if err != nil {
		return err
	}
	r.acked = len(c.client.acked)
	r.lost, err = c.missing(r.peer)
	return errors.Join(err, c.client.close(), os.RemoveAll(c.server.dir))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func write(w io.Writer, rows []row) error {
	_, err := fmt.Fprintf(w, "%d rounds, %d processors, %s\n\n", rounds, runtime.NumCPU(), runtime.Version())
	table := "| server | after a 200, an event is | µs for an event: single / in a batch of 100 | over the first | events per second | killed: acknowledged / lost |\n" +
		"|---|---|--:|--:|--:|--:|\n"
	for _, r := range rows {
		table += fmt.Sprintf("| %s | %s | %.1f / %.2f | %.2f / %.2f | %.0f / %.0f | %d / %d |\n",
			r.peer, r.peer.means, r.cpu[0], r.cpu[1], r.ratios[0], r.ratios[1], r.rates[0], r.rates[1], r.acked, r.lost)
	}
	_, printed := io.WriteString(w, table)
	return errors.Join(err, printed)
}

// run is main, after the servers.
func run() (err error) {
	debug.SetGCPercent(400) // the client's; servers are processes of their own
	dir, err := os.MkdirTemp("", "peers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return measure(os.Stdout, dir)
}
