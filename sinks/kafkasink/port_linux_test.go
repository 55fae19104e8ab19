package kafkasink

import (
	"context"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// reserve returns a port that no other process gets until the test ends, although brokers that
// listen on it come and go: a socket that does not listen holds it.
func reserve(t testing.TB) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	require.NoError(t, share(uintptr(fd)))
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	address, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	return address.(*syscall.SockaddrInet4).Port
}

// listen listens on a port that is reserved.
func listen(network, address string) (net.Listener, error) {
	var failed error
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		if err := conn.Control(func(fd uintptr) { failed = share(fd) }); err != nil {
			return err
		}
		return failed
	}}
	return config.Listen(context.Background(), network, address)
}

// share lets sockets of the same user share a port.
func share(fd uintptr) error {
	const reusePort = 15 // SO_REUSEPORT, which package syscall lacks
	if err := syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	return syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, reusePort, 1)
}
