package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// oddEvents accepts the events with an odd number at the end of their id.
func oddEvents(e *inlet.Event) bool {
	return strings.Contains("13579", e.MessageID[len(e.MessageID)-1:])
}

// A namer is a target that notes the name of each Write, "first-last: ids".
type namer struct {
	target
	names []string
}

func (n *namer) Write(ctx context.Context, events []*inlet.Event) error {
	name := "none"
	if first, last, ok := BatchSeq(ctx); ok {
		name = fmt.Sprintf("%d-%d", first, last)
	}
	for _, e := range events {
		name += " " + e.MessageID
	}
	n.mu.Lock()
	n.names = append(n.names, name)
	n.mu.Unlock()
	return n.target.Write(ctx, events)
}

func (n *namer) named() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.names)
}

func TestBatchSeq(t *testing.T) {
	t.Parallel()
	run := func(name string, f func(t *testing.T, j *Journal)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { f(t, openMem(t, memfs.New(), Options{})) })
		})
	}
	run("batches", func(t *testing.T, j *Journal) {
		to := &namer{}
		write(t, j, "a", "b", "c", "d", "e")
		drain(t, deliver(t, j, to, &DeliverOptions{MaxEvents: 2}))
		require.Equal(t, []string{"1-2 a b", "3-4 c d", "5-5 e"}, to.named())
	})
	run("with a filter", func(t *testing.T, j *Journal) {
		to := &namer{}
		write(t, j, "0", "1", "2", "3", "4", "5")
		drain(t, deliver(t, j, to, &DeliverOptions{MaxEvents: 2, Filter: oddEvents}))
		require.Equal(t, []string{"2-4 1 3", "6-6 5"}, to.named())
	})
	run("halves of a batch with a rejected event", func(t *testing.T, j *Journal) {
		to := &namer{}
		to.answers(func(ids []string) error {
			if slices.Contains(ids, "b") {
				return inlet.Permanent(errDown)
			}
			return nil
		})
		write(t, j, "a", "b", "c", "d")
		drain(t, deliver(t, j, to, nil))
		require.Equal(t, []string{"1-4 a b c d", "1-2 a b", "1-1 a", "2-2 b", "3-4 c d"}, to.named())
	})
	run("the rest of a batch has no numbers unless it is in one piece", func(t *testing.T, j *Journal) {
		to := &namer{}
		to.answers(refuses(errDown, "a", "c"))
		write(t, j, "a", "b", "c")
		d := deliver(t, j, to, nil)
		synctest.Wait()
		to.answers(refuses(errDown, "c"))
		time.Sleep(time.Minute)
		to.answers(nil)
		drain(t, d)
		require.Equal(t, "1-3 a b c", to.named()[0])
		require.Equal(t, "none a c", to.named()[1])
		require.Equal(t, "3-3 c", to.named()[2])
	})
	run("replay", func(t *testing.T, j *Journal) {
		write(t, j, "a", "b", "c")
		for _, letters := range []inlet.Sink{nil, &target{}} {
			to := &namer{}
			_, err := j.Replay(t.Context(), to, &DeliverOptions{Start: FromSeq(2), DeadLetter: letters})
			require.NoError(t, err)
			require.Equal(t, []string{"2-3 b c"}, to.named())
		}
	})
	run("redrive, whose numbers are those of the letters", func(t *testing.T, j *Journal) {
		to := &namer{}
		to.answers(refuses(inlet.Permanent(errDown), "b"))
		write(t, j, "a", "b")
		d := deliver(t, j, to, nil)
		drain(t, d)
		to.answers(nil)
		n, err := d.Redrive(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		require.Equal(t, []string{"1-2 a b", "none b"}, to.named())
	})
	run("outside", func(t *testing.T, _ *Journal) {
		_, _, ok := BatchSeq(t.Context())
		require.False(t, ok)
	})
}

func TestStableBatches(t *testing.T) {
	t.Parallel()
	stable := DeliverOptions{StableBatches: true, MaxEvents: 4}
	run := func(name string, f func(t *testing.T, m *memfs.FS)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { f(t, memfs.New()) })
		})
	}
	// crash ends a Deliver whose first Write fails, and returns the disk as a power cut leaves it.
	crash := func(t *testing.T, m *memfs.FS, o DeliverOptions, ids ...string) (after *memfs.FS, first string) {
		j := openMem(t, m, Options{})
		to := &namer{}
		to.answers(down)
		write(t, j, ids...)
		deliver(t, j, to, &o)
		synctest.Wait()
		return m.PowerCut(), to.named()[0]
	}

	run("a restart cuts the batch again as it was", func(t *testing.T, m *memfs.FS) {
		left, first := crash(t, m, stable, "a", "b", "c")
		require.Equal(t, "1-3 a b c", first)
		j, to := openMem(t, left, Options{}), &namer{}
		write(t, j, "d", "e", "f", "g", "h")
		drain(t, deliver(t, j, to, &stable))
		require.Equal(t, []string{"1-3 a b c", "4-7 d e f g", "8-8 h"}, to.named())
	})
	run("without it a restart cuts anew", func(t *testing.T, m *memfs.FS) {
		o := DeliverOptions{MaxEvents: 4}
		left, first := crash(t, m, o, "a", "b", "c")
		require.Equal(t, "1-3 a b c", first)
		j, to := openMem(t, left, Options{}), &namer{}
		write(t, j, "d", "e")
		drain(t, deliver(t, j, to, &o))
		require.Equal(t, []string{"1-4 a b c d", "5-5 e"}, to.named())
	})
	run("also with other limits", func(t *testing.T, m *memfs.FS) {
		left, _ := crash(t, m, stable, "a", "b", "c")
		j, to := openMem(t, left, Options{}), &namer{}
		write(t, j, "d", "e")
		o := DeliverOptions{StableBatches: true, MaxEvents: 2, MinEvents: 2, MaxDelay: time.Hour}
		d := deliver(t, j, to, &o)
		synctest.Wait()
		require.Equal(t, []string{"1-3 a b c", "4-5 d e"}, to.named())
		drain(t, d)
	})
	run("also after several crashes", func(t *testing.T, m *memfs.FS) {
		first := "1-3 a b c"
		for i := range 4 {
			var got string
			if i == 0 {
				m, got = crash(t, m, stable, "a", "b", "c")
			} else {
				m, got = crash(t, m, stable, fmt.Sprint("later", i))
			}
			require.Equal(t, first, got)
		}
	})
	run("after Stop during a wait for another attempt", func(t *testing.T, m *memfs.FS) {
		j, to := openMem(t, m, Options{}), &namer{}
		to.answers(down)
		write(t, j, "a", "b")
		d := deliver(t, j, to, &stable)
		synctest.Wait()
		require.NoError(t, d.Stop(t.Context()))
		to.answers(nil)
		write(t, j, "c")
		drain(t, deliver(t, j, to, &stable))
		require.Equal(t, []string{"1-2 a b", "1-2 a b", "3-3 c"}, to.named())
	})
	run("what a pause adds is noted", func(t *testing.T, m *memfs.FS) {
		j, to := openMem(t, m, Options{}), &namer{}
		to.answers(func([]string) error { return inlet.Permanent(errors.New("wrong destination")) })
		o := DeliverOptions{StableBatches: true, MaxEvents: 10, PauseAfter: 1}
		require.NoError(t, j.Write(t.Context(), events("m", 10)))
		d := deliver(t, j, to, &o)
		drain(t, d)
		write(t, j, "a", "b")
		time.Sleep(time.Minute)
		require.NotEmpty(t, d.Stats().Paused)
		write(t, j, "c")
		time.Sleep(10 * time.Minute)
		left := m.PowerCut()
		j, to = openMem(t, left, Options{}), &namer{}
		write(t, j, "e")
		drain(t, deliver(t, j, to, &o))
		require.Equal(t, []string{"11-13 a b c", "14-14 e"}, to.named())
	})
	run("nothing is written that is not noted", func(t *testing.T, m *memfs.FS) {
		full := new(memfs.Switch)
		m.Fault = func(op, name string, size int) (int, error) {
			if full.IsOn() && op == "write" && strings.Contains(name, cursorDir) {
				return 0, errNoSpace
			}
			return size, nil
		}
		j, to := openMem(t, m, Options{}), &namer{}
		d := deliver(t, j, to, &stable)
		full.Set(true)
		write(t, j, "a")
		time.Sleep(time.Minute)
		require.Empty(t, to.named())
		require.ErrorContains(t, d.Stats().Err, "batch not noted")
		full.Set(false)
		drain(t, d)
		require.Equal(t, []string{"1-1 a"}, to.named())
	})
	run("a batch whose events are gone", func(t *testing.T, m *memfs.FS) {
		require.NoError(t, newCursors(m, memfs.Dir).save("d", cursor{seq: 0, holds: true, batch: 400}))
		j, to := openMem(t, m, Options{}), &namer{}
		write(t, j, "a", "b", "c", "d", "e")
		drain(t, deliver(t, j, to, &stable))
		require.Equal(t, []string{"1-4 a b c d", "5-5 e"}, to.named())
	})
	run("all of whose events the filter excludes now", func(t *testing.T, m *memfs.FS) {
		left, _ := crash(t, m, stable, "0", "2", "4")
		j, to := openMem(t, left, Options{}), &namer{}
		o := stable
		o.Filter = oddEvents
		d := deliver(t, j, to, &o)
		synctest.Wait()
		write(t, j, "1", "3")
		drain(t, d)
		require.Equal(t, []string{"1", "3"}, to.ids())
	})
}
