//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/inlet-go/inlet/internal/bench"
)

// patience is how long a client waits for any answer.
const patience = time.Minute

// A client polls its connections: a server that has to wake its client pays for that, and pays
// more the slower it is. Not for concurrent use.
type client struct {
	connections []*connection
	requests    []request
	made        int          // requests made so far
	sent        int          // events sent so far: the next one has this number
	acked       map[int]bool // numbers of the events whose request was answered with 200
}

// A request is the bytes of a request, and where the numbers of its events are.
type request struct {
	bytes []byte
	ids   []int
}

// digits is how many digits the number of an event has, at the end of its messageId.
const digits = 12

// A connection has at most one request that waits for its answer.
type connection struct {
	fd      int
	waiting bool
	ended   bool
	request []byte
	rest    []byte // of the request, to be written
	first   int    // number of its first event
	events  int
	answer  []byte
	read    []byte
}

// requestsOf makes requests of bodies, as a library on a server sends them. They do not ask for a
// compressed answer: Benthos would make a gzip writer for each, at ten times the cost of the rest.
func requestsOf(f *form, path string, bodies [][]byte) ([]request, error) {
	mark := []byte(`"messageId":"ajs-next-`)
	const uuid = 36
	all := make([]request, len(bodies))
	for i, body := range bodies {
		body, err := f.encode(body)
		if err != nil {
			return nil, err
		}
		head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: collect.example.com\r\nContent-Length: %d\r\n"+
			"Accept: */*\r\nAuthorization: Basic %s\r\nContent-Type: %s\r\nUser-Agent: analytics-node-next/latest\r\n\r\n",
			path, len(body), basic(bench.WriteKey), f.contentType)
		all[i].bytes = append([]byte(head), body...)
		for at := 0; ; {
			next := bytes.Index(all[i].bytes[at:], mark)
			if next < 0 {
				break
			}
			at += next + len(mark)
			all[i].ids = append(all[i].ids, at+uuid-digits)
		}
		if len(all[i].ids) == 0 {
			return nil, errors.New("a body without a messageId")
		}
	}
	return all, nil
}

func basic(user string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, "")
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Basic ")
}

// dial opens n connections to a port of the loopback.
func dial(port, n int, requests []request) (*client, error) {
	c := &client{requests: requests, acked: map[int]bool{}}
	for range n {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.connections = append(c.connections, &connection{fd: fd, read: make([]byte, 16<<10)})
		err = errors.Join(
			syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}),
			syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
			syscall.SetNonblock(fd, true),
		)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

func (c *client) close() error {
	var all []error
	for _, conn := range c.connections {
		all = append(all, syscall.Close(conn.fd))
	}
	c.connections = nil
	return errors.Join(all...)
}

// send sends n requests over all connections and returns when each is answered with 200.
func (c *client) send(n int) error {
	return c.poll(func() bool { n--; return n >= 0 }, nil)
}

// sendUntilKilled sends without an end. When so many requests are answered it calls kill, with
// others on their way, and then reads what answers there are until each connection has ended.
func (c *client) sendUntilKilled(answers int, kill func() error) error {
	killed := false
	return c.poll(func() bool { return !killed }, func(answered int) (bool, error) {
		if answers -= answered; answers > 0 || killed {
			return killed, nil
		}
		killed = true
		return true, kill()
	})
}

// poll looks at one connection after the other. It begins a request on each that has none while
// more says so, and returns when none waits for an answer. After each round it calls
// answered, which may be nil, with the number of answers in it; once that returns true, connections
// may end.
func (c *client) poll(more func() bool, answered func(n int) (mayEnd bool, err error)) error {
	mayEnd, last := false, time.Now()
	for {
		answers, waiting, err := c.round(more, mayEnd)
		if err != nil || !waiting {
			return err
		}
		if answered != nil {
			if mayEnd, err = answered(answers); err != nil {
				return err
			}
		}
		switch {
		case answers > 0:
			last = time.Now()
		case time.Since(last) > patience:
			return fmt.Errorf("no answer within %v", patience)
		default:
			pause()
		}
	}
}

// round looks at each connection once. It returns how many answers came, and whether any
// connection waits for one.
func (c *client) round(more func() bool, mayEnd bool) (answers int, waiting bool, err error) {
	for _, conn := range c.connections {
		if conn.ended || !conn.waiting && !more() {
			continue
		}
		if !conn.waiting {
			c.begin(conn)
		}
		done, err := c.advance(conn)
		switch {
		case err != nil && !mayEnd:
			return 0, false, err
		case err != nil:
			conn.ended = true
		case done:
			answers++
		}
		waiting = waiting || !conn.ended
	}
	return answers, waiting, nil
}

// pause leaves the processor to the kernel, which has files to write, for a moment. The clock
// ends it and not the server.
func pause() { _ = syscall.Nanosleep(&syscall.Timespec{Nsec: 20_000}, nil) }

// begin gives a connection the next request, with the next numbers.
func (c *client) begin(conn *connection) {
	r := &c.requests[c.made%len(c.requests)]
	c.made++
	conn.request = append(conn.request[:0], r.bytes...)
	conn.rest, conn.waiting, conn.answer = conn.request, true, conn.answer[:0]
	conn.first, conn.events = c.sent, len(r.ids)
	for _, at := range r.ids {
		copy(conn.request[at:at+digits], fmt.Appendf(nil, "%0*d", digits, c.sent))
		c.sent++
	}
}

// advance writes and reads what can be, and reports whether the answer is complete.
func (c *client) advance(conn *connection) (done bool, err error) {
	for len(conn.rest) > 0 {
		n, err := syscall.Write(conn.fd, conn.rest)
		if again(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		conn.rest = conn.rest[n:]
	}
	n, err := syscall.Read(conn.fd, conn.read)
	switch {
	case again(err):
		return false, nil
	case err != nil:
		return false, err
	case n == 0:
		return false, errors.New("the server has closed the connection")
	}
	conn.answer = append(conn.answer, conn.read[:n]...)
	if done, err = complete(conn.answer); !done || err != nil {
		return false, err
	}
	conn.waiting = false
	for i := range conn.events {
		c.acked[conn.first+i] = true
	}
	return true, nil
}

func again(err error) bool { return err == syscall.EAGAIN || err == syscall.EINTR }

// complete reports whether an answer is there, which must be a 200 with a Content-Length.
func complete(answer []byte) (bool, error) {
	head, body, ok := bytes.Cut(answer, []byte("\r\n\r\n"))
	if !ok {
		return false, nil
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		return false, fmt.Errorf("answered with %q", answer)
	}
	_, length, ok := bytes.Cut(head, []byte("\r\nContent-Length: "))
	if !ok {
		return false, fmt.Errorf("no Content-Length in %q", answer)
	}
	length, _, _ = bytes.Cut(length, []byte("\r\n"))
	n, err := strconv.Atoi(string(length))
	return len(body) >= n, err
}
