//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "peers: processes are pinned to processors, which only Linux can do here")
	os.Exit(1)
}
