package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// A client keeps connections to a server and sends requests that were made
// beforehand. It is no net/http client, which would cost more than the server.
type client struct {
	requests    [][]byte
	connections []*connection
	next        atomic.Int64
}

type connection struct {
	net.Conn
	answers *bufio.Reader
}

// dial opens n keep-alive connections.
func dial(tb testing.TB, address string, n int, requests [][]byte) *client {
	tb.Helper()
	c := &client{requests: requests}
	for range n {
		conn, err := net.Dial("tcp", address)
		require.NoError(tb, err)
		tb.Cleanup(func() { _ = conn.Close() })
		c.connections = append(c.connections, &connection{conn, bufio.NewReader(conn)})
	}
	return c
}

// send sends n requests over all connections, each waiting for its answer
// before it sends the next.
func (c *client) send(n int) error {
	var left atomic.Int64
	left.Store(int64(n))
	errs := make(chan error, len(c.connections))
	var wg sync.WaitGroup
	for _, conn := range c.connections {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := conn.roundTrip(c.requests[c.next.Add(1)%int64(len(c.requests))]); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs // nil once it is drained
}

// sendOnEach sends one request over each connection.
func (c *client) sendOnEach() error {
	for _, conn := range c.connections {
		if err := conn.roundTrip(c.requests[0]); err != nil {
			return err
		}
	}
	return nil
}

// roundTrip sends a request and reads its answer, which must be 200 and announce
// its length.
func (c *connection) roundTrip(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	status, err := c.answers.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered with %q", status)
	}
	length := 0
	for {
		line, err := c.answers.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			_, err := c.answers.Discard(length)
			return err
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length = number10(value)
		}
	}
}

func number10(digits []byte) (n int) {
	for _, d := range digits {
		if d >= '0' && d <= '9' {
			n = n*10 + int(d-'0')
		}
	}
	return n
}

// requests puts the bodies into requests to path.
func requests(path string, bodies [][]byte) [][]byte {
	all := make([][]byte, len(bodies))
	for i, body := range bodies {
		var b bytes.Buffer
		fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: collect.example.com\r\nContent-Length: %d\r\n", path, len(body))
		_ = http.Header(clientHeader()).Write(&b)
		b.WriteString("\r\n")
		b.Write(body)
		all[i] = b.Bytes()
	}
	return all
}
