package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

func readyCommand() command {
	return command{
		name: "ready", summary: "ask a server whether it is ready", everyVariable: true,
		about: `Asks the server at an address of this machine for /ready, by plain HTTP, and succeeds if the answer
is 200. It is a health check for containers without a shell.`,
		example: "inlet ready -addr :8080",
		run: func(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
			addr := f.String("addr", "127.0.0.1:8080", "`address` that the server listens on")
			return func(ctx context.Context, stdout, _ io.Writer) error { return askReady(ctx, stdout, *addr) }
		},
	}
}

// readyTimeout is how long a server may take to say that it is ready.
const readyTimeout = 5 * time.Second

// askReady returns nil if the server is ready. An address without a host is that of all
// interfaces, of which the loopback interface is one.
func askReady(ctx context.Context, stdout io.Writer, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errUsage("-addr must be HOST:PORT or :PORT")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/ready", nil)
	if err != nil {
		return errUsage(err.Error())
	}
	client := &http.Client{Transport: new(http.Transport), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", r.URL, response.Status)
	}
	fmt.Fprintln(stdout, "ready")
	return nil
}
