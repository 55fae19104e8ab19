//go:build torture && linux

package torture

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"
)

// How long a run is. The defaults are the short form.
var (
	kills = flag.Int("kills", 8, "kills, in chains of four on one directory")
	cuts  = flag.Int("cuts", 12, "power cuts, in chains of three on one file system")
	flips = flag.Int("flips", 60, "flipped bits, one per round")
	seed  = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of what is chosen at random")
)

func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		os.Exit(runChild(config))
	}
	flag.Parse()
	fmt.Println("seed", *seed)
	os.Exit(m.Run())
}

// random returns a source for one test, so that its choices do not depend on which
// other tests run.
func random(t *testing.T) *rand.Rand {
	name := fnv.New64a()
	name.Write([]byte(t.Name()))
	return rand.New(rand.NewPCG(*seed, name.Sum64()))
}

// forms are the two ways in which a journal writes its segments.
var forms = map[string]bool{"appended": false, "written ahead": true}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
}

func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip(name + " is not installed")
	}
}
