package kafkasink

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/inlet-go/inlet"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	header := func(r *kgo.Record) map[string]string {
		all := map[string]string{}
		for _, h := range r.Headers {
			all[h.Key] = string(h.Value)
		}
		return all
	}
	t.Run("all fields", func(t *testing.T) {
		sink := open(t, c, Options{Topic: newTopic(t, c, 1, nil)})
		require.Equal(t, inlet.DurabilityReplicated, sink.Durability())
		list := events("m", 3)
		list[1].UserID, list[1].Type, list[1].Name = "", inlet.TypePage, ""
		list[2].UserID, list[2].AnonymousID = "", ""
		require.NoError(t, sink.Write(t.Context(), list))
		got := records(t, addresses(c), sink.opts.Topic)
		require.Len(t, got, 3)
		for i, key := range []string{"user-0", "a1", "m-2"} {
			require.Equal(t, key, string(got[i].Key))
			require.JSONEq(t, string(list[i].AppendJSON(nil)), string(got[i].Value))
			require.Equal(t, list[i].AppendJSON(nil), got[i].Value)
			require.True(t, got[i].Timestamp.Equal(list[i].ReceivedAt.Truncate(time.Millisecond)))
		}
		require.Equal(t, map[string]string{
			"inlet-source": "web", "inlet-message-id": "m-0", "inlet-type": "track", "inlet-event": "Order Completed",
		}, header(got[0]))
		require.Equal(t, map[string]string{"inlet-source": "web", "inlet-message-id": "m-1", "inlet-type": "page"}, header(got[1]))
		require.Equal(t, Stats{Stored: 3}, sink.Stats())
	})
}
