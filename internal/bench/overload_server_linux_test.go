package bench

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
)

// What the sink of the overload benchmarks can do: so many writes at a time, each
// of so long. The others wait in it, as they do for a disk or a database.
const (
	slowWrites    = 8
	slowWriteTime = 2 * time.Millisecond
)

// A slowSink stores nothing, slowly.
type slowSink struct {
	places chan struct{}
	events atomic.Int64
}

func (s *slowSink) Write(_ context.Context, events []*inlet.Event) error {
	s.places <- struct{}{}
	time.Sleep(slowWriteTime)
	<-s.places
	s.events.Add(int64(len(events)))
	return nil
}

// newOverloaded returns the documented mount around a handler with a slow sink.
func newOverloaded() (http.Handler, error) {
	handler, err := inlet.New(&slowSink{places: make(chan struct{}, slowWrites)}, nil)
	if err != nil {
		return nil, err
	}
	return allLayers()(handler), nil
}
