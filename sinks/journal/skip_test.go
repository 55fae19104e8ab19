package journal

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestSkip(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		wait   time.Duration // before the first Skip
		bad    []string
		skips  int
		parked []string
	}{
		{"an event that was probed for long", time.Hour, []string{"c"}, 1, []string{"c"}},
		{"an event that was tried with others only", time.Millisecond, []string{"c"}, 1, []string{"c"}},
		{"the first event", time.Hour, []string{"a"}, 1, []string{"a"}},
		{"the last event", time.Hour, []string{"e"}, 1, []string{"e"}},
		{"one after the other", time.Hour, []string{"b", "c", "e"}, 3, []string{"b", "c", "e"}},
		{"a destination that is down", time.Hour, []string{"a", "b", "c", "d", "e"}, 5, []string{"a", "b", "c", "d", "e"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, to := memfs.New(), &target{answer: failing(tt.bad...)}
				j := openMem(t, m, Options{})
				d := deliver(t, j, to, &DeliverOptions{MaxEvents: 10})
				require.NoError(t, j.Write(t.Context(), named("a", "b", "c", "d", "e")))
				time.Sleep(tt.wait)
				synctest.Wait()
				for range tt.skips {
					require.NoError(t, d.Skip(t.Context()))
					synctest.Wait()
				}
				drain(t, d)
				require.ErrorIs(t, d.Skip(t.Context()), ErrNotBlocked, "nothing fails any more")
				require.EqualValues(t, len(tt.parked), d.Stats().Refused)
				require.Empty(t, d.Stats().Blocking)
				closeNow(t, j)
				require.ErrorIs(t, d.Skip(t.Context()), inlet.ErrClosed)
				reasons := reasonsOf(t, m, "d")
				require.Len(t, reasons, len(tt.parked))
				for _, id := range tt.parked {
					require.Equal(t, "skipped: "+errDown.Error(), reasons[id])
				}
				require.Len(t, to.ids(), 5-len(tt.parked))
			})
		})
	}
	t.Run("a batch that no event fails", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			to := &target{answer: func(ids []string) error {
				if len(ids) > 1 {
					return errDown
				}
				return nil
			}}
			j := openMem(t, memfs.New(), Options{})
			d := deliver(t, j, to, &DeliverOptions{MinBackoff: time.Hour})
			require.NoError(t, j.Write(t.Context(), named("a", "b", "c")))
			synctest.Wait()
			require.ErrorIs(t, d.Skip(t.Context()), ErrNotBlocked)
			require.Equal(t, []string{"a", "b", "c"}, to.ids(), "tried without a wait")
		})
	})
	t.Run("the letter cannot be stored", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			letters := &target{answer: down}
			to := &target{answer: failing("a")}
			j := openMem(t, memfs.New(), Options{})
			d := deliver(t, j, to, &DeliverOptions{DeadLetter: letters})
			write(t, j, "a", "b")
			time.Sleep(time.Hour)
			synctest.Wait()
			require.ErrorIs(t, d.Skip(t.Context()), errDown)
			require.Empty(t, to.ids())
			letters.answers(nil)
			require.NoError(t, d.Skip(t.Context()))
			drain(t, d)
			require.Equal(t, []string{"a"}, letters.ids())
			require.Equal(t, []string{"b"}, to.ids())
		})
	})
	t.Run("a Write that does not return", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			to := &target{answer: func([]string) error { <-release; return nil }}
			j := openMem(t, memfs.New(), Options{})
			d := deliver(t, j, to, nil)
			write(t, j, "a")
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, d.Skip(ctx), context.DeadlineExceeded)
			close(release)
			drain(t, d)
			require.Equal(t, []string{"a"}, to.ids())
		})
	})
	t.Run("the delivery ends", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, release := memfs.New(), make(chan struct{})
			to := &target{answer: func([]string) error { <-release; return errDown }}
			j := openMem(t, m, Options{})
			d := deliver(t, j, to, nil)
			write(t, j, "a")
			synctest.Wait()
			outcome := make(chan error)
			go func() { outcome <- d.Skip(t.Context()) }()
			synctest.Wait()
			go func() { _ = d.Stop(t.Context()) }()
			synctest.Wait()
			close(release)
			if err := <-outcome; err != nil {
				require.ErrorIs(t, err, inlet.ErrClosed)
			}
			<-d.done
		})
	})
	t.Run("several, of a delivery that is cancelled", func(t *testing.T) {
		t.Parallel()
		for range 20 { // what is ready at once is taken in any order
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				to := &target{answer: func(ids []string) error {
					if len(ids) == 1 {
						<-release
					}
					return errDown
				}}
				j := openMem(t, memfs.New(), Options{})
				d := deliver(t, j, to, &DeliverOptions{MinBackoff: time.Hour})
				require.NoError(t, j.Write(t.Context(), named("a", "b")))
				synctest.Wait()
				outcomes := make(chan error, 2)
				for range cap(outcomes) {
					go func() { outcomes <- d.Skip(t.Context()) }()
				}
				synctest.Wait()
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				require.Error(t, d.Stop(ctx))
				close(release)
				for range cap(outcomes) {
					require.ErrorIs(t, <-outcomes, inlet.ErrClosed)
				}
			})
		}
	})
}

func TestMaxAttempts(t *testing.T) {
	t.Parallel()
	for _, attempts := range []int{0, 1, 3} {
		synctest.Test(t, func(t *testing.T) {
			m, to := memfs.New(), &target{answer: failing("c", "d")}
			j := openMem(t, m, Options{})
			d := deliver(t, j, to, &DeliverOptions{MaxAttempts: attempts})
			require.NoError(t, j.Write(t.Context(), named("a", "b", "c", "d", "e")))
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			if attempts == 0 {
				require.Equal(t, []string{"a", "b"}, to.ids(), "blocked for as long as it takes")
				require.Equal(t, "c", d.Stats().Blocking)
				require.Equal(t, "web", d.Stats().BlockingSource)
				return
			}
			drain(t, d)
			require.Equal(t, []string{"a", "b", "e"}, to.ids())
			alone := 0
			for _, call := range to.writes() {
				if slices.Equal(call.ids, []string{"c"}) {
					alone++
				}
			}
			require.Equal(t, attempts, alone)
			require.EqualValues(t, 2, d.Stats().Refused)
			require.Empty(t, d.Stats().Blocking)
			closeNow(t, j)
			reasons := reasonsOf(t, m, "d")
			require.Len(t, reasons, 2)
			require.Contains(t, reasons["c"], "given up after")
			require.Contains(t, reasons["d"], errDown.Error())
		})
	}
	t.Run("an outage that is shorter", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			to := &target{answer: down}
			j := openMem(t, memfs.New(), Options{})
			d := deliver(t, j, to, &DeliverOptions{MaxAttempts: 100})
			write(t, j, "a", "b")
			time.Sleep(5 * time.Minute)
			to.answers(nil)
			drain(t, d)
			require.Equal(t, []string{"a", "b"}, to.ids())
		})
	})
	t.Run("replay", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			to, letters := &target{answer: failing("b")}, new(target)
			j := openMem(t, memfs.New(), Options{})
			require.NoError(t, j.Write(t.Context(), named("a", "b", "c")))
			_, err := j.Replay(t.Context(), to, &DeliverOptions{MaxAttempts: 2})
			require.ErrorContains(t, err, `event "b" given up after 2 attempts`)
			_, err = j.Replay(t.Context(), to, &DeliverOptions{MaxAttempts: 2, DeadLetter: letters})
			require.NoError(t, err)
			require.Equal(t, []string{"b"}, letters.ids())
		})
	})
	_, err := openMem(t, memfs.New(), Options{}).Deliver("d", new(target), &DeliverOptions{MaxAttempts: -1})
	require.ErrorContains(t, err, "MaxAttempts")
}

// The event that blocks a destination is named, and not only once.
func TestBlockedIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, to := new(bytes.Buffer), &target{answer: failing("c")}
		j := openMem(t, memfs.New(), Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
		d := deliver(t, j, to, nil)
		require.NoError(t, j.Write(t.Context(), named("a", "b", "c")))
		time.Sleep(time.Hour)
		synctest.Wait()
		require.NoError(t, d.Stop(t.Context()))
		lines := 0
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "blocked by an event") {
				require.Contains(t, line, "messageId=c source=web")
				lines++
			}
		}
		require.Greater(t, lines, 20)
		require.LessOrEqual(t, lines, 60, "once a minute")
	})
}
