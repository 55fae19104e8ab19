package bench

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A poller is a client that never sleeps: it looks at its connections in turn. A server that has
// to wake its client pays for that, the more the slower it is itself.
type poller struct {
	requests    [][]byte
	next        int
	connections []*polled
	took        []time.Duration // of each request of the last send, in the order of the answers
}

// A polled connection waits for a response or has a part of a request to send.
type polled struct {
	socket int
	unsent []byte
	buf    []byte // that the response is read into
	read   int
	busy   bool
	began  time.Time
}

// poll opens n keep-alive connections.
func poll(tb testing.TB, address string, n int, requests [][]byte) *poller {
	tb.Helper()
	at, err := netip.ParseAddrPort(address)
	require.NoError(tb, err)
	p := &poller{requests: requests}
	for range n {
		socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		require.NoError(tb, err)
		tb.Cleanup(func() { _ = syscall.Close(socket) })
		require.NoError(tb, syscall.Connect(socket, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}))
		require.NoError(tb, syscall.SetsockoptInt(socket, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
		require.NoError(tb, syscall.SetNonblock(socket, true))
		p.connections = append(p.connections, &polled{socket: socket, buf: make([]byte, 4<<10)})
	}
	return p
}

// send sends n requests over all connections. Each waits for the response to one before it sends
// the next.
func (p *poller) send(n int) error {
	p.took = p.took[:0]
	for left, done := n, 0; done < n; {
		for _, c := range p.connections {
			if !c.busy && left > 0 {
				left--
				p.next++
				c.busy, c.unsent, c.began = true, p.requests[p.next%len(p.requests)], time.Now()
			}
			if !c.busy {
				continue
			}
			if err := c.step(); err != nil {
				return err
			}
			if !c.busy {
				done++
				p.took = append(p.took, time.Since(c.began))
			}
		}
	}
	return nil
}

// step sends or reads what can be sent or read now.
func (c *polled) step() error {
	if len(c.unsent) > 0 {
		n, err := syscall.Write(c.socket, c.unsent)
		if n > 0 {
			c.unsent = c.unsent[n:]
		}
		return unlessLater(err)
	}
	n, err := syscall.Read(c.socket, c.buf[c.read:])
	if err != nil {
		return unlessLater(err)
	}
	if n == 0 {
		return io.ErrUnexpectedEOF
	}
	c.read += n
	return c.finish()
}

// unlessLater returns the error of a system call, nil if the call is to be made again later.
func unlessLater(err error) error {
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return nil
	}
	return err
}

var (
	headerEnd     = []byte("\r\n\r\n")
	contentLength = []byte("\r\nContent-Length: ")
)

// finish ends the wait if the response is complete. It must be a 200 with a Content-Length.
func (c *polled) finish() error {
	header, body, found := bytes.Cut(c.buf[:c.read], headerEnd)
	if !found {
		return nil
	}
	_, length, found := bytes.Cut(header, contentLength)
	if !bytes.HasPrefix(header, []byte("HTTP/1.1 200 ")) || !found {
		return fmt.Errorf("answered with %q", c.buf[:c.read])
	}
	length, _, _ = bytes.Cut(length, []byte("\r\n"))
	if len(body) >= number10(length) {
		c.busy, c.read = false, 0
	}
	return nil
}
