package admission_test

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/lanes"
)

const (
	turnWait = 300 * time.Millisecond
	bodySize = 60 << 10
)

// A line is requests in front of turns.
type line struct {
	turns *admission.Turns
	first []*admission.Turn // those that hold all turns
	errs  chan error
}

// newLine returns turns that are all taken by bodies which have arrived, in a bubble.
func newLine(t *testing.T, idle *bool) *line {
	t.Helper()
	l := &line{errs: make(chan error, 1000)}
	l.turns = admission.NewTurns(turnWait, 100)
	l.turns.SetIdle(func() bool { return *idle })
	for range l.turns.Work() >> 16 {
		turn := new(admission.Turn)
		require.NoError(t, l.turns.Take(t.Context(), turn, 0, netip.Addr{}, bodySize))
		turn.Arrived(bodySize)
		l.first = append(l.first, turn)
	}
	return l
}

// join has a request wait, whose body has arrived as soon as it is read.
func (l *line) join(ctx context.Context) *admission.Turn {
	turn := new(admission.Turn)
	go func() {
		err := l.turns.Take(ctx, turn, 0, netip.Addr{}, bodySize)
		if err == nil {
			turn.Arrived(bodySize)
		}
		l.errs <- err
	}()
	synctest.Wait()
	return turn
}

// joinSlow has a request wait, whose body does not arrive.
func (l *line) joinSlow(ctx context.Context) *admission.Turn {
	turn := new(admission.Turn)
	go func() { l.errs <- l.turns.Take(ctx, turn, 0, netip.Addr{}, bodySize) }()
	synctest.Wait()
	return turn
}

// results returns what the requests got until now: turns and refusals.
func (l *line) results() (turns, refused int) {
	time.Sleep(admission.YieldTime)
	synctest.Wait()
	for {
		select {
		case err := <-l.errs:
			if err == nil {
				turns++
			} else {
				refused++
			}
		default:
			return turns, refused
		}
	}
}

func TestTurns(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, idle *bool){
		"a request that ends gives its turn to one": func(t *testing.T, idle *bool) {
			l := newLine(t, idle)
			for range 3 {
				l.join(t.Context())
			}
			l.first[0].End()
			l.first[0].End()
			requireResults(t, l, 1, 0)
		},
		"the first is next, and after a quarter of the time the last": func(t *testing.T, idle *bool) {
			l := newLine(t, idle)
			a := l.join(t.Context())
			l.join(t.Context())
			l.first[0].End()
			requireResults(t, l, 1, 0)
			a.End() // so it was the first
			requireResults(t, l, 1, 0)
			l.join(t.Context())
			time.Sleep(turnWait / 2)
			last := l.join(t.Context())
			l.first[1].End()
			requireResults(t, l, 1, 0)
			last.End()
			requireResults(t, l, 1, 0)
		},
		"while the processors are busy, refusals come late and at once": func(t *testing.T, idle *bool) {
			l := newLine(t, idle)
			for range 50 {
				l.join(t.Context())
			}
			time.Sleep(2 * turnWait)
			requireResults(t, l, 0, 0)
			l.first[0].End()
			requireResults(t, l, 0, 0) // they have waited for all their time
			time.Sleep(7 * turnWait)
			requireResults(t, l, 0, 50)
		},
		"while they are idle, what is not worked on does not count": func(t *testing.T, idle *bool) {
			l := newLine(t, idle)
			*idle = true
			for range 50 {
				l.join(t.Context())
			}
			time.Sleep(50 * time.Millisecond)
			requireResults(t, l, 50, 0)
		},
		"a slow body does not count until it has arrived": func(t *testing.T, idle *bool) {
			l := newLine(t, idle)
			for _, turn := range l.first {
				turn.End()
			}
			slow := make([]*admission.Turn, 10*len(l.first))
			for i := range slow {
				slow[i] = l.joinSlow(t.Context())
				time.Sleep(time.Millisecond)
			}
			time.Sleep(50 * time.Millisecond)
			requireResults(t, l, len(slow), 0)
			for _, turn := range slow[:len(l.first)] {
				turn.Arrived(bodySize)
			}
			l.join(t.Context())
			time.Sleep(turnWait / 2)
			requireResults(t, l, 0, 0)
		},
		"a request that does not run yet counts": func(t *testing.T, idle *bool) {
			l := newLine(t, idle)
			turns := []*admission.Turn{new(admission.Turn), new(admission.Turn)}
			for _, turn := range turns {
				l.turns.Give(turn)
			}
			l.join(t.Context()) // so that there is something to look at the processors for
			time.Sleep(turnWait)
			require.Equal(t, len(l.first)+2, l.turns.CountedTurns())
			turns[0].Begin()
			time.Sleep(turnWait)
			require.Equal(t, len(l.first)+1, l.turns.CountedTurns(), "the body has not arrived for a while")
			turns[1].End()
			turns[1].Begin()
			turns[0].Arrived(bodySize)
			require.Equal(t, len(l.first)+1, l.turns.CountedTurns())
			turns[0].End()
		},
		"one look at idle processors gives as much as they do until the next": func(t *testing.T, idle *bool) {
			l := newLine(t, idle)
			var looks atomic.Int64
			l.turns.SetIdle(func() bool { return looks.Add(1) == 5 })
			for range 90 {
				l.join(t.Context())
			}
			time.Sleep(turnWait / 2)
			turns, _ := l.results()
			require.Greater(t, looks.Load(), int64(20))
			require.NotZero(t, turns)
			require.LessOrEqual(t, turns, len(l.first)/8+1)
		},
		"a request that has waited leaves the processors to others once it has its turn": func(t *testing.T, idle *bool) {
			l := newLine(t, idle)
			l.join(t.Context())
			l.first[0].End()
			synctest.Wait()
			require.Empty(t, l.errs)
			requireResults(t, l, 1, 0)
			began := time.Now()
			l.first[1].End()
			l.join(t.Context())
			require.Len(t, l.errs, 1, "what need not wait goes on at once")
			require.Equal(t, began, time.Now())
		},
		"more than may wait": func(t *testing.T, idle *bool) {
			l := newLine(t, idle)
			for range 103 {
				l.join(t.Context())
			}
			requireResults(t, l, 0, 3)
		},
		"a client that goes away": func(t *testing.T, idle *bool) {
			l := newLine(t, idle)
			ctx, cancel := context.WithCancel(t.Context())
			l.join(ctx)
			cancel()
			synctest.Wait()
			require.ErrorIs(t, <-l.errs, context.Canceled)
			l.join(t.Context())
			l.first[0].End()
			requireResults(t, l, 1, 0)
		},
		"no request has a turn forever": func(t *testing.T, idle *bool) {
			l := newLine(t, idle)
			for range 10 {
				time.Sleep(turnWait - 10*time.Millisecond)
				l.join(t.Context())
			}
			turns, _ := l.results()
			require.NotZero(t, turns)
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				test(t, new(bool))
				time.Sleep(time.Minute) // whatever still waits is refused
			})
		})
	}
}

// requireResults requires that so many got turns, and so many were refused.
func requireResults(t *testing.T, l *line, turns, refused int) {
	t.Helper()
	gotTurns, gotRefused := l.results()
	require.Equal(t, [2]int{turns, refused}, [2]int{gotTurns, gotRefused}, "turns and refusals")
}

// A process that is stopped for a long time refuses nothing for that.
func TestTurnsStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		idle, stop := false, atomic.Int64{}
		l := newLine(t, &idle)
		l.turns.SetIdle(func() bool { time.Sleep(time.Duration(stop.Load())); return idle })
		l.join(t.Context())
		time.Sleep(10 * time.Millisecond)
		stop.Store(int64(time.Hour))
		time.Sleep(time.Minute)
		stop.Store(0)
		time.Sleep(59*time.Minute + 20*time.Millisecond)
		requireResults(t, l, 0, 0)
		l.first[0].End()
		requireResults(t, l, 1, 0)
	})
}

// Clients without requests are forgotten, except for the last ones.
func TestTurnsForget(t *testing.T) {
	t.Parallel()
	turns := admission.NewTurns(turnWait, 100)
	for i := range 10_000 {
		var turn admission.Turn
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		require.NoError(t, turns.Take(t.Context(), &turn, 0, addr, 0))
		turn.End()
	}
	require.Zero(t, turns.Clients())
	require.LessOrEqual(t, turns.KnownClients(), 1024)
}

// Lanes have no more turns together than there are, and as many, whatever lanes requests have.
func TestTurnsLanes(t *testing.T) {
	t.Parallel()
	for _, used := range []int{1, 3, lanes.Count} {
		synctest.Test(t, func(t *testing.T) {
			turns := admission.NewTurns(turnWait, 2_000)
			turns.SetIdle(func() bool { return false })
			random := rand.New(rand.NewPCG(uint64(used), 0))
			for range 3 {
				var given atomic.Int64
				var all []*admission.Turn
				for range 2_000 {
					turn, l := new(admission.Turn), lanes.Lane(random.IntN(used))
					all = append(all, turn)
					go func() {
						if turns.Take(t.Context(), turn, l, netip.Addr{}, 4<<10) == nil {
							given.Add(1)
							turn.Arrived(4 << 10)
						}
					}()
					synctest.Wait()
				}
				require.Equal(t, turns.Work()/(8<<10), given.Load(), "each weighs twice 4 KiB")
				require.Equal(t, int64(2_000), turns.Counted()/(8<<10), "with those that wait")
				for _, turn := range all {
					turn.End()
					turn.End()
				}
				time.Sleep(time.Second)
				require.Zero(t, turns.Counted())
			}
		})
	}
}

// Requests that come and go in all lanes, and change lanes with those that wait, leave nothing.
func TestTurnsConcurrently(t *testing.T) {
	t.Parallel()
	turns := admission.NewTurns(time.Second, 1_000)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			held := make([]*admission.Turn, 60)
			for j := range 2_000 {
				turn, at := new(admission.Turn), j%len(held)
				if held[at] != nil {
					held[at].End()
				}
				held[at] = turn
				if turns.Take(t.Context(), turn, lanes.Lane(i), address(byte(i)), 8<<10) != nil {
					continue
				}
				if j%500 == 0 {
					_ = turn.Work(t.Context(), 64<<10, false)
				}
				turn.Arrived(int64(8+j%2) << 10)
			}
			for _, turn := range held {
				turn.End()
			}
		})
	}
	all.Wait()
	require.Zero(t, turns.Counted())
	require.Zero(t, turns.Clients())
}

// A layer may end the turn of a request just before another goroutine, which the layer has left
// behind, takes it. Then that one ends it.
func TestTurnsEndBefore(t *testing.T) {
	t.Parallel()
	turns := admission.NewTurns(time.Second, 10)
	turn := new(admission.Turn)
	require.True(t, turns.TakeAround(turn, turn.End))
	turn.End()
	require.Zero(t, turns.Counted())
	require.Zero(t, turns.Clients())
}

// Few requests never wait, whatever the processors do.
func TestTurnsFew(t *testing.T) {
	t.Parallel()
	turns := admission.NewTurns(turnWait, 100)
	turns.SetIdle(func() bool { return false })
	for range 4 {
		var turn admission.Turn
		require.NoError(t, turns.Take(t.Context(), &turn, 0, netip.Addr{}, 4<<20))
		require.NoError(t, turns.Take(t.Context(), &turn, 0, netip.Addr{}, 4<<20), "it has one already")
	}
	new(admission.Turn).End()
}

func TestOverloads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		o := admission.NewOverloads(slog.New(slog.NewTextHandler(io.Writer(&text), nil)))
		share := &admission.Refusal{Limit: "MaxShare", Reason: "too many"}
		for range 100 {
			o.Log(t.Context(), share)
			o.Log(t.Context(), &admission.Refusal{Limit: "MaxWait", Reason: "busy"})
		}
		require.Equal(t, 2, strings.Count(text.String(), "\n"), "a line for each limit")
		require.Contains(t, text.String(), `level=WARN msg="inlet: overloaded" limit=MaxShare reason="too many" refused=1`)
		time.Sleep(10 * time.Second)
		o.Log(t.Context(), share)
		require.Contains(t, text.String(), `limit=MaxShare reason="too many" refused=100`)
	})
}

// address returns the address of a client.
func address(client byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, client}) }

// A costly request is one whose body turns out to cost more than it was counted with.
type costly struct {
	turn  admission.Turn
	state atomic.Int32
}

// What a costly request has reached.
const (
	waits = iota
	reads
	works
	failed
)

// start has a request of a client ask for a turn, and then to be worked on.
func start(ctx context.Context, turns *admission.Turns, client byte, compressed bool) *costly {
	c := new(costly)
	go func() {
		err := turns.Take(ctx, &c.turn, 0, address(client), 1<<10)
		if err == nil {
			c.state.Store(reads)
			err = c.turn.Work(ctx, 1<<10, compressed)
		}
		if c.state.Store(works); err != nil {
			c.state.Store(failed)
		}
	}()
	synctest.Wait()
	return c
}

// startAll starts many requests of one client.
func startAll(ctx context.Context, turns *admission.Turns, n int, client byte) (all []*costly) {
	for range n {
		all = append(all, start(ctx, turns, client, true))
	}
	return all
}

// in returns those that have reached a state.
func in(all []*costly, state int32) (found []*costly) {
	time.Sleep(admission.YieldTime)
	synctest.Wait()
	for _, c := range all {
		if c.state.Load() == state {
			found = append(found, c)
		}
	}
	return found
}

// A client that sends all it can waits for itself, and others do not wait for it.
func TestTurnsFair(t *testing.T) {
	t.Parallel()
	newTurns := func() *admission.Turns {
		turns := admission.NewTurns(turnWait, 2_000)
		turns.SetIdle(func() bool { return false })
		return turns
	}
	tests := map[string]func(t *testing.T, turns *admission.Turns){
		"another client does not wait behind a thousand requests of one": func(t *testing.T, turns *admission.Turns) {
			startAll(t.Context(), turns, 1_000, 1)
			for range 8 {
				other := start(t.Context(), turns, 2, false)
				require.Equal(t, int32(works), other.state.Load())
				other.turn.End()
			}
		},
		"clients that are alike have no more turns than one": func(t *testing.T, turns *admission.Turns) {
			counted := func(clients int) int {
				var all []*costly
				for i := range 1_000 {
					all = append(all, start(t.Context(), turns, byte(i%clients), false))
				}
				n := len(in(all, works))
				for _, c := range all {
					c.turn.End()
				}
				return n
			}
			one := counted(1)
			require.NotZero(t, one)
			require.InDelta(t, one, counted(250), 1, "250 clients with 4 requests each")
		},
		"when as many others wait, the one that has few is next": func(t *testing.T, turns *admission.Turns) {
			var all []*costly
			for client := range byte(100) { // they take what is left to clients with few, too
				all = append(all, startAll(t.Context(), turns, 8, client)...)
			}
			many := startAll(t.Context(), turns, 100, 200)
			before := len(in(many, works))
			last := start(t.Context(), turns, 201, true)
			require.NotEqual(t, int32(works), last.state.Load())
			for range 1_000 {
				if last.state.Load() == works {
					break
				}
				for _, c := range in(all, works)[:1] {
					c.turn.End()
					c.state.Store(failed)
				}
				synctest.Wait()
			}
			require.Equal(t, int32(works), last.state.Load())
			require.LessOrEqual(t, len(in(many, works)), max(before, 8), "of the client that has many, only the first few")
		},
		"one network of IPv6 is one client, and so are those without an address": func(t *testing.T, turns *admission.Turns) {
			for i := range 100 {
				for _, addr := range []netip.Addr{{}, netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 15: byte(i)})} {
					go func() { _ = turns.Take(t.Context(), new(admission.Turn), 0, addr, -1) }()
				}
			}
			synctest.Wait()
			require.Equal(t, 2, turns.Clients())
		},
		"one costly request is worked on for each processor, and that of another client": func(t *testing.T, turns *admission.Turns) {
			all := startAll(t.Context(), turns, 100, 1)
			processors := int(turns.Work() >> 20)
			working := in(all, works)
			require.Len(t, working, processors)
			another := start(t.Context(), turns, 2, true)
			require.Equal(t, int32(works), another.state.Load())
			another.turn.End()
			for range 50 {
				working[0].turn.End()
				working[0].state.Store(failed)
				working = in(all, works)
				require.Len(t, working, processors)
			}
		},
		"a request that costs what it was counted with does not wait for costly ones": func(t *testing.T, turns *admission.Turns) {
			startAll(t.Context(), turns, 6, 1)
			require.Equal(t, int32(works), start(t.Context(), turns, 1, false).state.Load())
			require.NoError(t, new(admission.Turn).Work(t.Context(), 1<<20, true), "of a request that has asked for no turn")
		},
		"a costly request that turns out to be small gives way at once": func(t *testing.T, turns *admission.Turns) {
			all := startAll(t.Context(), turns, 100, 1)
			for range 100 {
				working := in(all, works)
				if len(working) == 0 {
					break
				}
				for _, c := range working {
					c.turn.Arrived(1 << 10)
					c.state.Store(reads)
				}
			}
			require.Zero(t, len(in(all, waits)))
		},
		"nothing waits forever": func(t *testing.T, turns *admission.Turns) {
			ctx, cancel := context.WithCancel(t.Context())
			all := append(startAll(ctx, turns, 500, 1), startAll(ctx, turns, 8, 2)...)
			gone := startAll(ctx, turns, 8, 3)
			cancel()
			require.Zero(t, len(in(gone, waits)))
			all = append(all, startAll(t.Context(), turns, 1_000, 4)...)
			time.Sleep(10 * time.Second)
			require.Zero(t, len(in(all, waits)))
			require.Zero(t, len(in(all, reads)))
			for _, c := range append(all, gone...) {
				c.turn.End()
			}
			require.Zero(t, turns.Clients(), "clients with requests")
			require.Zero(t, turns.Counted())
		},
		"nothing is refused while the processors have time": func(t *testing.T, turns *admission.Turns) {
			turns.SetIdle(func() bool { return true })
			all := startAll(t.Context(), turns, 200, 1) // each waits for something else in its turn
			time.Sleep(turnWait - 10*time.Millisecond)
			require.Zero(t, len(all)-len(in(all, works)))
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				test(t, newTurns())
				time.Sleep(time.Minute)
			})
		})
	}
}
