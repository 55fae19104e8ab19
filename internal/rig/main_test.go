//go:build rig && linux

package rig

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Where healthy requests were slow, the machine may have been busy with something else, and the
// attack is repeated. Memory is judged every time.
var (
	long     = flag.Duration("for", 2*time.Second, "how long each kind of attack takes")
	attempts = flag.Int("attempts", 3, "how often to attack at most while healthy requests are slow")
)

// inletBinary is the path of cmd/inlet, which is built once.
var inletBinary string

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(role) {
	case "mount":
		err = serveMount(os.Args[1])
	case "healthy":
		err = sendHealthy(os.Args[1], os.Args[2])
	default:
		os.Exit(buildAndRun(m))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		os.Exit(1)
	}
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rig")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	inletBinary = filepath.Join(dir, "inlet")
	build := exec.Command("go", "build", "-o", inletBinary, "../../cmd/inlet")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	report(os.Stdout)
	return code
}
