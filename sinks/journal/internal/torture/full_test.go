//go:build torture && linux

package torture

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A disk that is full refuses, and takes events again soon after there is room,
// without a restart.
func TestADiskThatIsFullAndFreed(t *testing.T) {
	const writers, goal = 4, 2 * time.Second
	for form, ahead := range forms {
		t.Run(form, func(t *testing.T) {
			d, o := newDisk(t, 128), newOracle()
			do := crashTask(d.dir(), "full", ahead)
			do.Writers = writers
			c := start(t, do, 2)
			c.awaitAcks(t, 500)
			free := d.fill(t)
			c.await(t, 20*time.Second, "refuse", func() bool { return len(c.failures) > writers })
			refused := c.acked()
			time.Sleep(1200 * time.Millisecond) // it tries again, and fails
			require.Less(t, c.acked()-refused, 4*writers, "a full disk refuses")
			freed := time.Now()
			free()
			c.awaitAcks(t, 1)
			back := time.Since(freed)
			c.awaitAcks(t, 500)
			c.hush()
			d.cut(t)
			c.kill()
			d.restart(t)
			o.add(c)
			v := o.requireKept(t, d.dir())
			require.Less(t, back, goal, "back after the disk was freed")
			t.Logf("%d refused, back %v after it was freed; then a power cut: %v", len(c.failures), back.Round(time.Millisecond), v)
		})
	}
}
