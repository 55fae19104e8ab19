package httpsink

import (
	"context"
	"net"
	"net/netip"
	"testing"
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
			err = s.Write(t.Context(), []*inlet.Event{{
				Type: inlet.TypeAlias, MessageID: "m", ReceivedAt: time.Now(), Source: &inlet.Source{ID: "web"},
			}})
			require.ErrorContains(t, err, "is not an address on the public internet", address)
			require.False(t, inlet.IsPermanent(err))
		}
	})
	t.Run("environment proxy", func(t *testing.T) {
		t.Parallel()
		require.Nil(t, newTransport(new(Options)).Proxy)
	})
}

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
