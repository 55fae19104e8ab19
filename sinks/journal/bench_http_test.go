package journal_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal"
)

// BenchmarkHTTP sends single events over 64 connections to a handler whose sink
// is a journal, flushed before each answer; client and server share the
// processors. Run with
//
//	go test ./sinks/journal -run '^$' -bench BenchmarkHTTP -benchtime 50000x
func BenchmarkHTTP(b *testing.B) {
	for name, ahead := range map[string]bool{"appended": false, "ahead": true} {
		b.Run(name, func(b *testing.B) {
			const connections = 64
			server := newServer(b, &journal.Options{WriteAhead: ahead})
			clients := make([]*client, connections)
			for i := range clients {
				clients[i] = newClient(b, server, i)
			}
			b.ResetTimer()
			var group sync.WaitGroup
			for i, c := range clients {
				n := (b.N + i) / connections
				group.Go(func() { c.post(n) })
			}
			group.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			report(b, clients)
		})
	}
}

func newServer(b *testing.B, o *journal.Options) string {
	j, err := journal.Open(b.TempDir(), o)
	require.NoError(b, err)
	h, err := inlet.New(j, &inlet.Options{AllowAnonymous: true, RequireDurability: inlet.DurabilityFsync})
	require.NoError(b, err)
	server := httptest.NewServer(h)
	b.Cleanup(func() {
		server.Close()
		require.NoError(b, j.Close(context.Background()))
	})
	return server.Listener.Addr().String()
}

// report reports the latencies, and fails if a client did.
func report(b *testing.B, clients []*client) {
	var all []time.Duration
	for _, c := range clients {
		require.NoError(b, c.err)
		all = append(all, c.took...)
	}
	slices.Sort(all)
	if len(all) > 0 {
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1e3, "p50-ms")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1e3, "p99-ms")
	}
}

// A client posts events on a connection of its own, with little work: it shares the
// processors with the server.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	body string
	host string
	id   int
	took []time.Duration
	err  error
}

func newClient(b *testing.B, addr string, id int) *client {
	conn, err := net.Dial("tcp", addr)
	require.NoError(b, err)
	b.Cleanup(func() { conn.Close() })
	return &client{
		conn: conn, in: bufio.NewReader(conn), host: addr, id: id,
		body: `{"event":"Order Completed","userId":"u1","anonymousId":"a1","messageId":"%s","properties":{"orderId":"50314b8e9bcf000000000000","total":27.5,"currency":"EUR","pad":"` +
			strings.Repeat("x", 300) + `"},"context":{"page":{"url":"https://shop.example/checkout"},"locale":"de-DE"}}`,
	}
}

func (c *client) post(n int) {
	var request []byte
	for i := 0; i < n && c.err == nil; i++ {
		body := fmt.Sprintf(c.body, fmt.Sprintf("m-%03d-%08d", c.id, i))
		request = fmt.Appendf(request[:0], "POST /v1/track HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", c.host, len(body), body)
		began := time.Now()
		if _, c.err = c.conn.Write(request); c.err == nil {
			c.err = c.answer()
		}
		c.took = append(c.took, time.Since(began))
	}
}

// answer reads a response and fails unless its status is 200.
func (c *client) answer() error {
	status, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.Contains(status, []byte(" 200 ")) {
		return errors.New(string(status))
	}
	for length := 0; ; {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			_, err = io.CopyN(io.Discard, c.in, int64(length))
			return err
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			_, _ = fmt.Sscan(string(value), &length)
		}
	}
}
