// Standalone is a complete ingestion server in one process, with the API at one address and the
// events in one directory. It is the shortest program that "inlet serve" is made of, which has
// more options: see docs/COMMANDS.md. A host of your own is made of the public packages, as
// examples/mount is.
//
//	go run ./examples/standalone
//
// It prints a write key and a curl command that sends an event. SIGINT or SIGTERM stops it
// gracefully; a second one ends it immediately.
//
// It cannot be copied: package internal/server belongs to this module. A program of your own begins
// with examples/mount, which has all that is public.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/inlet-go/inlet/internal/server"
)

func main() {
	c := server.Config{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	flag.StringVar(&c.Addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	flag.StringVar(&c.Dir, "dir", "./inlet-data", "`directory` of the events")
	flag.Func("key", "a write `key` to accept; repeat it for more (default: one that is generated at\nthe first start and kept in the directory)", c.AddKey)
	if flag.Parse(); flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := c.Run(server.UntilSignal(os.Interrupt, syscall.SIGTERM), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "standalone:", err)
		os.Exit(1)
	}
}
