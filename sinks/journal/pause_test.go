package journal

import (
	"bytes"
	"errors"
	"fmt"
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

// byItem returns an answer that rejects each event permanently with its own text, and accepts
// those whose text is "".
func byItem(text func(id string) string) func([]string) error {
	return func(ids []string) error {
		batch := new(inlet.BatchError)
		for i, id := range ids {
			if t := text(id); t != "" {
				batch.Items = append(batch.Items, inlet.ItemError{Index: i, Err: inlet.Permanent(errors.New(t))})
			}
		}
		if batch.Items == nil {
			return nil
		}
		return batch
	}
}

// pausing runs f with a destination that answers like that, and batches of 10 events.
func pausing(t *testing.T, answer func([]string) error, f func(t *testing.T, j *Journal, to *target, d *Delivery, log *bytes.Buffer)) {
	t.Helper()
	pausingAt(t, &DeliverOptions{MaxEvents: 10}, answer, f)
}

// pausingAt runs f with a destination that answers like that.
func pausingAt(t *testing.T, o *DeliverOptions, answer func([]string) error, f func(t *testing.T, j *Journal, to *target, d *Delivery, log *bytes.Buffer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := new(bytes.Buffer)
		j := openMem(t, memfs.New(), Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
		require.NoError(t, j.Write(t.Context(), events("m", 100)))
		to := &target{answer: answer}
		f(t, j, to, deliver(t, j, to, o), log)
	})
}

func TestPause(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func([]string) error{
		"rejections of each event": byItem(func(string) string { return "no such plan" }),
		"rejections of each event, with what differs": byItem(func(id string) string {
			return "event " + id + " (attempt 4711 of job 8f3a): no such plan"
		}),
		"rejections of whole requests": func([]string) error { return inlet.Permanent(errDown) },
	} {
		t.Run("after "+name, func(t *testing.T) {
			t.Parallel()
			pausing(t, answer, func(t *testing.T, _ *Journal, to *target, d *Delivery, log *bytes.Buffer) {
				time.Sleep(25 * time.Minute)
				stats := d.Stats()
				require.EqualValues(t, 30, stats.Refused, "three batches")
				require.EqualValues(t, 30, stats.Position)
				require.NotEmpty(t, stats.Paused)
				require.ErrorContains(t, stats.Err, "paused after 30 rejections in the same words: ")
				require.Greater(t, stats.Failures, 20)
				require.False(t, stats.NextTry.IsZero())
				require.Equal(t, 3, strings.Count(log.String(), "level=ERROR"), "at once, and every ten minutes:\n%s", log)
				require.Contains(t, log.String(), "delivery paused")
				require.Contains(t, log.String(), "deadLetters=30 batches=3")

				writes := to.writes()
				last := writes[len(writes)-10:]
				for i, w := range last {
					require.Len(t, w.ids, 1, "a probe is a single event")
					if i > 0 {
						require.LessOrEqual(t, w.at.Sub(last[i-1].at), time.Minute)
					}
				}
				require.Less(t, len(writes), 130)

				to.answers(nil)
				drain(t, d)
				require.Len(t, to.ids(), 70)
				stats = d.Stats()
				require.Empty(t, stats.Paused)
				require.NoError(t, stats.Err)
				require.EqualValues(t, 30, stats.Refused)
				require.EqualValues(t, 100, stats.Delivered)
				require.Contains(t, log.String(), "delivery no longer paused")
			})
		})
	}
	t.Run("not after", func(t *testing.T) {
		t.Parallel()
		for name, text := range map[string]func(id string) string{
			"words that differ": func(id string) string {
				return strings.Repeat("no ", 1+len(strings.TrimLeft(id, "m-"))%2) + string('a'+id[len(id)-1]-'0')
			},
			"a good one in each batch": func(id string) string {
				if strings.HasSuffix(id, "7") {
					return ""
				}
				return "no such plan"
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				pausing(t, byItem(text), func(t *testing.T, _ *Journal, _ *target, d *Delivery, log *bytes.Buffer) {
					drain(t, d)
					require.NotContains(t, log.String(), "level=ERROR")
				})
			})
		}
	})
	t.Run("ends", func(t *testing.T) {
		t.Parallel()
		t.Run("with other words", func(t *testing.T) {
			t.Parallel()
			pausing(t, everything, func(t *testing.T, _ *Journal, to *target, d *Delivery, _ *bytes.Buffer) {
				time.Sleep(10 * time.Minute)
				to.answers(byItem(func(id string) string { return "no " + string('a'+id[len(id)-1]-'0') }))
				drain(t, d)
				require.EqualValues(t, 100, d.Stats().Refused)
			})
		})
		t.Run("at a good event in the batch", func(t *testing.T) {
			t.Parallel()
			good := byItem(func(id string) string {
				if id == "m-37" {
					return ""
				}
				return errDown.Error()
			})
			pausing(t, good, func(t *testing.T, _ *Journal, to *target, d *Delivery, _ *bytes.Buffer) {
				time.Sleep(time.Hour)
				require.Equal(t, []string{"m-37"}, to.ids())
				require.EqualValues(t, 69, d.Stats().Refused, "the bad ones around it, and three batches more")
			})
		})
		t.Run("at a good event that comes later", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				j := openMem(t, memfs.New(), Options{})
				to := &target{answer: byItem(func(id string) string {
					if id == "good" {
						return ""
					}
					return "no such plan"
				})}
				d := deliver(t, j, to, nil)
				for i := range 14 {
					write(t, j, fmt.Sprintf("bad-%d", i))
					synctest.Wait()
					time.Sleep(time.Second)
				}
				require.NotEmpty(t, d.Stats().Paused)
				require.EqualValues(t, 10, d.Stats().Refused, "one by one, ten are needed")
				write(t, j, "good", "bad-20")
				drain(t, d)
				require.Equal(t, []string{"good"}, to.ids())
				stats := d.Stats()
				require.EqualValues(t, 15, stats.Refused)
				require.EqualValues(t, 16, stats.Delivered, "what was added to the batch counts")
				require.Empty(t, stats.Paused)
				require.Equal(t, append(numbered("bad-", 14), "good", "bad-20"), firstSeen(to), "in order")
			})
		})
	})
	t.Run("never", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{})
			require.NoError(t, j.Write(t.Context(), events("m", 100)))
			d := deliver(t, j, &target{answer: everything}, &DeliverOptions{MaxEvents: 5, PauseAfter: -1})
			drain(t, d)
			require.EqualValues(t, 100, d.Stats().Refused)
		})
	})
	t.Run("does not end", func(t *testing.T) {
		t.Parallel()
		t.Run("with a Redrive that is rejected in other words", func(t *testing.T) {
			t.Parallel()
			pausing(t, everything, func(t *testing.T, _ *Journal, to *target, d *Delivery, _ *bytes.Buffer) {
				time.Sleep(time.Minute)
				letters := numbered("m-", 30)
				to.answers(byItem(func(id string) string {
					if slices.Contains(letters, id) {
						return "no address"
					}
					return errDown.Error()
				}))
				n, err := d.Redrive(t.Context(), nil)
				require.NoError(t, err)
				require.Zero(t, n)
				require.NotEmpty(t, d.Stats().Paused)
				time.Sleep(time.Hour)
				require.EqualValues(t, 30, d.Stats().Position)
				require.EqualValues(t, 60, d.Stats().Refused, "each of the letters again")
			})
		})
		t.Run("when its events are skipped", func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 2, 10} {
				pausingAt(t, &DeliverOptions{MaxEvents: size}, everything, func(t *testing.T, _ *Journal, _ *target, d *Delivery, log *bytes.Buffer) {
					time.Sleep(time.Hour)
					before := d.Stats().Refused
					for range 15 {
						require.NoError(t, d.Skip(t.Context()))
					}
					time.Sleep(time.Hour)
					stats := d.Stats()
					require.EqualValues(t, before+15, stats.Refused)
					require.NotEmpty(t, stats.Paused)
					require.NotContains(t, log.String(), "no longer paused")
				})
			}
		})
		t.Run("after MaxAttempts", func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 2, 10} {
				for _, attempts := range []int{1, 2} {
					o := &DeliverOptions{MaxEvents: size, MaxAttempts: attempts}
					pausingAt(t, o, everything, func(t *testing.T, _ *Journal, _ *target, d *Delivery, log *bytes.Buffer) {
						time.Sleep(24 * time.Hour)
						stats := d.Stats()
						require.EqualValues(t, max(3*size, pauseEvents), stats.Refused)
						require.NotEmpty(t, stats.Paused)
						require.Empty(t, stats.Blocking, "no event is at fault")
						require.NotContains(t, log.String(), "blocked by an event")
					})
				}
			}
		})
	})
	t.Run("loses nothing in a power cut", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, to := memfs.New(), &target{answer: everything}
			j := openMem(t, m, Options{})
			require.NoError(t, j.Write(t.Context(), events("m", 40)))
			d := deliver(t, j, to, &DeliverOptions{MaxEvents: 10})
			time.Sleep(time.Hour)
			to.answers(func([]string) error { // takes one probe, and is down
				to.answers(down)
				return nil
			})
			time.Sleep(time.Hour)
			require.Len(t, to.ids(), 1)
			require.Empty(t, d.Stats().Paused)
			again := new(target)
			drain(t, deliver(t, openMem(t, m.PowerCut(), Options{}), again, nil))
			require.Len(t, again.ids(), 10, "the batch, with the event that was taken")
		})
	})
	t.Run("stops", func(t *testing.T) {
		t.Parallel()
		pausing(t, everything, func(t *testing.T, j *Journal, to *target, d *Delivery, _ *bytes.Buffer) {
			time.Sleep(5 * time.Minute)
			require.NoError(t, d.Stop(t.Context()))
			to.answers(nil)
			drain(t, deliver(t, j, to, nil))
			require.Len(t, to.ids(), 70)
		})
	})
}

// firstSeen returns the ids that were written to a target, in the order of their first time.
func firstSeen(to *target) (ids []string) {
	for _, w := range to.writes() {
		for _, id := range w.ids {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func TestWordsOf(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ text, id, name, want string }{
		{"", "", "", ""},
		{"no plan", "a", "", "no plan"},
		{"a bad plan", "a", "", "bad plan"},
		{`event "b7e1-cafe" of 12: no plan`, "b7e1-cafe", "", "event of no plan"},
		{`event "Order Completed" has no plan`, "", "Order Completed", "event has no plan"},
		{`event \"Signed Up\" has no plan`, "", "Signed Up", "event has no plan"},
		{"error# 4hs8: no plan", "", "", "error no plan"},
		{"événement 7 refusé", "", "", "événement refusé"},
	} {
		require.Equal(t, row.want, wordsOf(row.text, &inlet.Event{MessageID: row.id, Name: row.name}), row.text)
	}
}
