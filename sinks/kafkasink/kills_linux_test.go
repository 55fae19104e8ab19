package kafkasink

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal"
)

// TestKills kills brokers, which keep their data, while events are written: as the sink in front,
// whose acknowledgement is that of the handler.
func TestKills(t *testing.T) {
	t.Parallel()
	b := startBroker(t, &broker{Dir: t.TempDir(), Settings: map[string]string{"min.insync.replicas": "2"}})
	sink, err := New(t.Context(), b.addresses(), &Options{Timeout: time.Minute, Durability: inlet.DurabilityReplicated})
	require.NoError(t, err)
	defer closeNow(sink)
	const kills, writes = 3, 10 // of each writer after each kill
	reached := make(chan struct{}, 1)
	finished := make(chan struct{})
	var acknowledged map[string]bool
	go func() {
		defer close(finished)
		acknowledged = writeUntil(t, sink, 4, func(n int) bool {
			if n%(4*writes) == 4*writes/2 {
				reached <- struct{}{}
			}
			return n >= 4*writes*kills
		})
	}()
	for range kills {
		<-reached
		b.kill()
		b.run(t)
	}
	<-finished
	stored := read(t, b.addresses(), defaultTopic)
	requireStored(t, stored, acknowledged)
	requireOrder(t, stored)
	require.Len(t, acknowledged, 4*writes*kills*10)
}

// TestInFront has the sink as that of a handler: a 200 means that the event is replicated.
func TestInFront(t *testing.T) {
	t.Parallel()
	b := startBroker(t, &broker{Dir: t.TempDir(), Settings: map[string]string{"min.insync.replicas": "2"}})
	sink, err := New(t.Context(), b.addresses(), nil)
	require.NoError(t, err)
	defer closeNow(sink)
	h, err := inlet.New(sink, &inlet.Options{RequireDurability: inlet.DurabilityReplicated})
	require.NoError(t, err)
	post := func(id string) int {
		body := strings.NewReader(fmt.Sprintf(`{"userId":"u1","event":"Signed Up","messageId":%q}`, id))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, inlet.WithSource(httptest.NewRequest(http.MethodPost, "/v1/track", body), &inlet.Source{ID: "web"}))
		return w.Code
	}
	require.Equal(t, http.StatusOK, post("m-1"))
	b.kill()
	normal := shorten(sink)
	require.Equal(t, http.StatusServiceUnavailable, post("m-2"))
	require.Error(t, inlet.Check(t.Context(), sink))
	normal()
	b.run(t)
	require.Equal(t, http.StatusOK, post("m-2"), "the client sends it again")
	require.NoError(t, inlet.Check(t.Context(), sink))
	requireStored(t, read(t, b.addresses(), defaultTopic), map[string]bool{"m-1": true, "m-2": true})
}

// TestBehindJournal delivers from a journal to brokers that are down at first.
func TestBehindJournal(t *testing.T) {
	t.Parallel()
	b := startBroker(t, &broker{Dir: t.TempDir()})
	sink, err := New(t.Context(), b.addresses(), &Options{Durability: inlet.DurabilityOSBuffer})
	require.NoError(t, err)
	defer closeNow(sink)
	b.kill()
	normal := shorten(sink)
	stored, err := journal.Open(t.TempDir(), nil)
	require.NoError(t, err)
	defer stored.Close(context.Background())
	failed := make(chan struct{}, 100)
	delivery, err := stored.Deliver("kafka", inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
		err := sink.Write(ctx, events)
		if err != nil {
			failed <- struct{}{}
		}
		return err
	}), &journal.DeliverOptions{MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	require.NoError(t, err)
	list := events("m", 100)
	require.NoError(t, stored.Write(t.Context(), list), "a 200 does not depend on the brokers")
	<-failed
	normal()
	b.run(t)
	require.NoError(t, delivery.Drain(t.Context()))
	all := map[string]bool{}
	for _, e := range list {
		all[e.MessageID] = true
	}
	requireStored(t, read(t, b.addresses(), defaultTopic), all)
}
