package httpsink

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

func TestDial(t *testing.T) {
	t.Parallel()
	t.Run("address", func(t *testing.T) {
		t.Parallel()
		for address, public := range map[string]bool{
			"93.184.215.14:443": true, "[2606:4700::1111]:443": true,
			"10.0.0.1:443": false, "127.0.0.1:443": false, "169.254.169.254:80": false, "[::1]:443": false,
			"[::ffff:192.168.0.1]:443": false, "[fe80::1%lo]:443": false, "[64:ff9b::a00:1]:443": false,
			"events.example:443": false, "": false,
		} {
			err := controlPublic("tcp", address, nil)
			require.Equal(t, public, err == nil, "%s: %v", address, err)
		}
	})
	// A name whose address is public when it is checked, and private when it is
	// connected to, is refused: the check is on the connection.
	t.Run("name that resolves to a private address", func(t *testing.T) {
		t.Parallel()
		for _, address := range []string{"10.1.2.3", "127.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "::ffff:10.0.0.1"} {
			s, err := New("https://rebound.example", "key", &Options{resolver: resolving(netip.MustParseAddr(address))})
			require.NoError(t, err)
			err = s.Write(t.Context(), oneEvent())
			require.ErrorContains(t, err, "is not an address on the public internet", address)
			require.False(t, inlet.IsPermanent(err))
		}
	})
	t.Run("environment proxy", func(t *testing.T) {
		t.Parallel()
		require.Nil(t, newTransport(new(Options)).Proxy)
	})
}

// The sink's own transport connects to a server by pipes, so that both are in one bubble.
func TestConnections(t *testing.T) {
	t.Parallel()
	t.Run("reused after every response", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			statuses := []int{200, 400, 429, 500, 302, 204}
			requests := 0
			s, opened, _ := newPiped(t, nil, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(statuses[requests%len(statuses)])
				_, _ = w.Write(make([]byte, 20_000))
				requests++
			})
			for range 3 * len(statuses) {
				_ = s.Write(t.Context(), oneEvent())
			}
			require.Equal(t, 3*len(statuses), requests)
			require.EqualValues(t, 1, opened.Load())
			require.NoError(t, s.Close(t.Context()))
		})
	})
	t.Run("idle ones are closed by Close", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, opened, closed := newPiped(t, nil, func(http.ResponseWriter, *http.Request) {})
			require.NoError(t, s.Write(t.Context(), oneEvent()))
			synctest.Wait()
			require.Zero(t, closed.Load())
			require.NoError(t, s.Close(t.Context()))
			synctest.Wait()
			require.EqualValues(t, 1, opened.Load())
			require.EqualValues(t, 1, closed.Load())
		})
	})
	t.Run("used ones are closed by the last Write", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			s, opened, closed := newPiped(t, &Options{MaxEvents: 1}, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-release
			})
			var wg sync.WaitGroup
			for range 4 { // of two requests each: the second begins after Close
				wg.Go(func() { require.NoError(t, s.Write(t.Context(), append(oneEvent(), oneEvent()...))) })
			}
			synctest.Wait()
			require.EqualValues(t, 4, opened.Load())
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			require.ErrorIs(t, s.Close(ctx), context.DeadlineExceeded)
			require.Zero(t, closed.Load())
			close(release)
			wg.Wait()
			synctest.Wait()
			require.Equal(t, opened.Load(), closed.Load())
			require.NoError(t, s.Close(t.Context()))
		})
	})
}

func oneEvent() []*inlet.Event {
	return []*inlet.Event{{
		Type: inlet.TypeAlias, MessageID: "m", ReceivedAt: time.Now(), Source: &inlet.Source{ID: "web"},
	}}
}

// newPiped returns a sink whose own transport connects to a server by pipes, and counts of
// the connections. Call it in a bubble.
func newPiped(t *testing.T, o *Options, h http.HandlerFunc) (s *Sink, opened, closed *atomic.Int64) {
	t.Helper()
	opts := o.copied()
	opts.AllowHTTP = true
	s, err := New("http://events.example", "key", &opts)
	require.NoError(t, err)
	p := pipes{make(chan net.Conn), make(chan struct{})}
	s.ownTransport.DialContext = p.dial
	opened, closed = new(atomic.Int64), new(atomic.Int64)
	server := &http.Server{Handler: h, ConnState: func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
		case http.StateClosed:
			closed.Add(1)
		}
	}}
	go func() { _ = server.Serve(p) }()
	t.Cleanup(func() { _ = server.Close() })
	return s, opened, closed
}

// pipes is a listener whose connections are pipes within the process.
type pipes struct {
	connections chan net.Conn
	closed      chan struct{}
}

func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.connections <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for the next connection.
func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (p pipes) Close() error {
	close(p.closed)
	return nil
}

// Addr returns an address without meaning.
func (p pipes) Addr() net.Addr { return new(net.TCPAddr) }

// resolving returns a resolver whose server has one address for every name.
func resolving(ip netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe() // a stream, as TCP: each message after its length
		go func() {
			defer server.Close()
			query := make([]byte, 512)
			n, err := server.Read(query)
			for err == nil && n < 2 {
				var more int
				more, err = server.Read(query[n:])
				n += more
			}
			if err == nil {
				_, _ = server.Write(dnsAnswer(query[2:n], ip))
			}
		}()
		return client, nil
	}}
}

// dnsAnswer answers a query with an address, if it asks for one of its kind.
func dnsAnswer(query []byte, ip netip.Addr) []byte {
	const header, typeA, typeAAAA = 12, 1, 28
	end := header
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	question := query[header : end+5]
	kind, data := byte(typeA), ip.AsSlice()
	if !ip.Is4() {
		kind = typeAAAA
	}
	answers := byte(0)
	if question[len(question)-3] == kind {
		answers = 1
	}
	message := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0}, question...)
	if answers == 1 {
		message = append(message, 0xc0, header, 0, kind, 0, 1, 0, 0, 0, 60, 0, byte(len(data)))
		message = append(message, data...)
	}
	return append([]byte{byte(len(message) >> 8), byte(len(message))}, message...)
}
