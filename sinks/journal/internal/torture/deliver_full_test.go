//go:build torture && linux

package torture

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinktest"
)

// On a full disk neither a cursor nor a dead letter can be kept. That loses
// nothing, and ends soon after there is room.
func TestADiskThatIsFullWhileDelivering(t *testing.T) {
	const goal = 2 * time.Second
	disk, away := newDisk(t, 128), t.TempDir()
	do := calmTask(
		destination{Name: "slow", Dir: away + "/slow", Slow: 20 * time.Millisecond},
		destination{Name: "refuses", Dir: away + "/refuses", Slow: 20 * time.Millisecond, Flaky: sinktest.FlakyOptions{Refuse: 50}},
	)
	do.Batch, do.Rest = 8, time.Millisecond
	x := newRoute(t, disk.mount, do)
	c := x.start(t, 2)
	for _, d := range do.Destinations { // both are behind
		c.awaitReport(t, d.Name, "fall behind", func(r report) bool { return r.Behind > 3000 && r.Saved > 0 })
	}
	free := disk.fill(t)
	c.await(t, 20*time.Second, "fail", func() bool {
		return len(c.failures) > 0 && c.logged(t, "cannot be noted") && c.logged(t, "the letter was not stored")
	})
	time.Sleep(1200 * time.Millisecond)
	full := map[string]report{"slow": c.report("slow"), "refuses": c.report("refuses")}

	freed := time.Now()
	free()
	c.awaitAcks(t, 1)
	acks := time.Since(freed)
	c.awaitReport(t, "slow", "note how far it is", func(r report) bool { return r.Saved > full["slow"].Saved })
	c.awaitReport(t, "refuses", "keep dead letters", func(r report) bool { return r.Refused > full["refuses"].Refused })
	all := time.Since(freed)
	c.hush()
	disk.cut(t)
	c.kill()
	disk.restart(t)
	x.hear(c)
	x.requireNothingLost(t)
	require.Less(t, all, goal)
	t.Logf("acknowledged again %v after the disk was freed, and delivered %v; then a power cut: %v",
		acks.Round(time.Millisecond), all.Round(time.Millisecond), x)
}
