//go:build linux

package main

import (
	"fmt"
	"os"
)

func main() {
	if serveIfAsked() {
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}
