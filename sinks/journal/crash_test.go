package journal

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A child process is this test binary, told by the environment to write to a
// journal and to print what is acknowledged until it is killed.
const (
	childEnv   = "INLET_JOURNAL_CHILD"
	childRound = "INLET_JOURNAL_ROUND"
)

// runChild writes from many goroutines, some events one by one and some in
// batches, and prints the ids of those that are acknowledged.
func runChild(dir string) int {
	j, err := Open(dir, &Options{SegmentBytes: 1 << 20})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var out sync.Mutex
	var writers sync.WaitGroup
	for w := range 16 {
		writers.Go(func() {
			for i := 0; ; i++ {
				batch := events(fmt.Sprintf("r%s-w%d-%d", os.Getenv(childRound), w, i), 1+i%3)
				if j.Write(context.Background(), batch) != nil {
					return
				}
				var acks strings.Builder
				for _, e := range batch {
					acks.WriteString(e.MessageID + "\n")
				}
				out.Lock()
				os.Stdout.WriteString(acks.String())
				out.Unlock()
			}
		})
	}
	writers.Wait()
	return 1
}

func TestWhatIsAcknowledgedSurvivesAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("several seconds of writing and killing")
	}
	dir := t.TempDir()
	acked := map[string]bool{}
	for round, procs := range []int{1, 2, 8} {
		for _, id := range killRound(t, dir, round, procs) {
			acked[id] = true
		}
		j, err := Open(dir, nil)
		require.NoError(t, err)
		found := map[string]bool{}
		for _, id := range stored(t, j) {
			require.False(t, found[id], "%s is stored twice", id)
			found[id] = true
		}
		for id := range acked {
			require.True(t, found[id], "%s was acknowledged and is gone", id)
		}
		t.Logf("round %d, GOMAXPROCS %d: %d acknowledged, %d stored, %+v", round, procs, len(acked), len(found), j.Stats())
		require.NoError(t, j.Close(t.Context()))
	}
}

// killRound returns what a child acknowledged before it was killed.
func killRound(t *testing.T, dir string, round, procs int) []string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+dir, childRound+"="+strconv.Itoa(round), "GOMAXPROCS="+strconv.Itoa(procs))
	child.Stderr = os.Stderr
	pipe, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	kill := time.AfterFunc(700*time.Millisecond, func() { child.Process.Kill() })
	defer kill.Stop()
	acked := readAcks(pipe)
	_ = child.Wait() // killed
	require.NotEmpty(t, acked)
	return acked
}

// readAcks returns the lines of r that are whole.
func readAcks(r io.Reader) (acked []string) {
	for b := bufio.NewReader(r); ; {
		line, err := b.ReadString('\n')
		if err != nil {
			return acked
		}
		acked = append(acked, strings.TrimSuffix(line, "\n"))
	}
}
