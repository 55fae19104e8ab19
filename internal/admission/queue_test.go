package admission_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/admission"
)

// A slowSink completes one write after another, each in a given time.
type slowSink struct {
	queue    *admission.Queue
	takes    time.Duration
	free     time.Time // when the last write ends
	inFlight atomic.Int64
}

// offer has a write arrive now. It is refused if the queue is full.
func (s *slowSink) offer() {
	now := time.Now()
	if s.queue.Full(now) {
		return
	}
	if s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(s.takes)
	few := s.queue.Begin(0, now)
	s.inFlight.Add(1)
	time.AfterFunc(s.free.Sub(now), func() {
		s.queue.End(0, now, few)
		s.inFlight.Add(-1)
	})
}

// run offers writes at three times the rate that the sink completes, and returns how many are in
// flight on average.
func (s *slowSink) run(d time.Duration) (average float64) {
	n := 0.
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(s.takes / 3) {
		s.offer()
		average += float64(s.inFlight.Load())
		n++
	}
	return average / n
}

// A write waits for about the time that the queue was given, whatever the sink can do, also after
// the sink has become slower or faster.
func TestQueueLength(t *testing.T) {
	t.Parallel()
	const wait = 50 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		s := &slowSink{queue: admission.NewQueue(wait), takes: time.Millisecond}
		s.offer()
		time.Sleep(time.Second) // now the queue knows how long a write takes at rest
		s.run(time.Second)      // finds the pace
		for range 3 {
			for _, takes := range []time.Duration{time.Millisecond, 200 * time.Microsecond, 3 * time.Millisecond} {
				s.takes = takes
				s.run(3 * time.Second)
				average := s.run(3 * time.Second)
				fits := max(16, float64(wait/takes)) // in flight, if each waits for as long as it may
				t.Logf("%v for each write: %.0f in flight, of %.0f", takes, average, fits)
				require.InDelta(t, 1.1, average/fits, 0.5)
			}
		}
	})
}
