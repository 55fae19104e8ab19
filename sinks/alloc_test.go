package sinks_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinks"
)

// small is the largest call that needs no allocation for the indices of its events.
const small = 64

// A frugal decorator, and what each of its Writes of up to small events may
// allocate.
type frugal struct {
	name   string
	sink   inlet.Sink
	budget float64
}

func frugals(t testing.TB) []frugal {
	all := func(*inlet.Event) bool { return true }
	odd := func(e *inlet.Event) bool { return e.MessageID[len(e.MessageID)-1]%2 == 1 }
	a, b := sinks.Leg{Name: "a", Sink: nowhere}, sinks.Leg{Name: "b", Sink: nowhere}
	return []frugal{
		{"a filter that keeps all", newFilter(t, nowhere, all), 0},
		{"a filter that drops half", newFilter(t, nowhere, odd), 1},
		{"a route to one sink", newRoute(t, nowhere, sinks.Rule{Name: "all", Match: all, Sink: nowhere}), 0},
		{"a route to two sinks", newRoute(t, nowhere, sinks.Rule{Name: "odd", Match: odd, Sink: nowhere}), 9},
		{"a transform", newTransform(t, nowhere, unchanged), 3},
		{"a fanout to one leg", newFanout(t, nil, a), 4},
		{"a fanout to two legs", newFanout(t, nil, a, b), 6},
	}
}

func TestAllocations(t *testing.T) {
	if testing.CoverMode() != "" || testkit.Race {
		t.Skip("the race detector and coverage allocate themselves")
	}
	for _, tt := range frugals(t) {
		t.Run(tt.name, func(t *testing.T) {
			batch := distinct(small)
			got := testing.AllocsPerRun(150, func() { require.NoError(t, tt.sink.Write(t.Context(), batch)) })
			t.Logf("%.0f allocations", got)
			require.LessOrEqual(t, got, tt.budget)
		})
	}
}

// BenchmarkDecorators measures the cost per event, over sinks without cost.
func BenchmarkDecorators(b *testing.B) {
	for _, tt := range frugals(b) {
		for _, size := range []int{1, 100} {
			b.Run(tt.name+"/events="+strconv.Itoa(size), func(b *testing.B) {
				batch := distinct(size)
				b.ReportAllocs()
				for b.Loop() {
					if err := tt.sink.Write(b.Context(), batch); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/event")
			})
		}
	}
}
