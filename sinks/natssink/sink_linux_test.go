package natssink

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
)

func TestNew(t *testing.T) {
	t.Parallel()
	n := inProcess(t, nil)
	_, js := connect(t, n.url())
	create := func(t *testing.T, change func(*jetstream.StreamConfig)) Options {
		o := named(Options{})
		config := jetstream.StreamConfig{Name: o.Stream, Subjects: []string{o.Prefix + ".>"}, Duplicates: time.Hour, AllowAtomicPublish: true}
		change(&config)
		_, err := js.CreateStream(t.Context(), config)
		require.NoError(t, err)
		return o
	}

	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		_, err := New(t.Context(), n.url(), &Options{Stream: "MISSING", Replicas: 3})
		require.ErrorContains(t, err, `natssink: stream MISSING: does not exist; create it, such as with the configuration {"name":"MISSING","subjects":["inlet.\u003e"]`)
		require.ErrorContains(t, err, `"num_replicas":3`)
		require.ErrorContains(t, err, `"allow_atomic":true`)
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		for want, change := range map[string]func(*jetstream.StreamConfig){
			"persist_mode async": func(c *jetstream.StreamConfig) {
				c.PersistMode, c.AllowAtomicPublish = jetstream.AsyncPersistMode, false
			},
			"no_ack":            func(c *jetstream.StreamConfig) { c.NoAck = true },
			"has the subjects":  func(c *jetstream.StreamConfig) { c.Subjects = []string{"elsewhere.>"} },
			"allow_msg_counter": func(c *jetstream.StreamConfig) { c.AllowMsgCounter = true },
		} {
			o := create(t, change)
			_, err := New(t.Context(), n.url(), &o)
			require.ErrorContains(t, err, want)
		}
		mirror := named(Options{})
		source := create(t, func(*jetstream.StreamConfig) {})
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: mirror.Stream, Mirror: &jetstream.StreamSource{Name: source.Stream}})
		require.NoError(t, err)
		_, err = New(t.Context(), n.url(), &mirror)
		require.ErrorContains(t, err, "is a mirror")
	})
	t.Run("durability", func(t *testing.T) {
		t.Parallel()
		for _, row := range []struct {
			storage jetstream.StorageType
			sync    bool
			want    inlet.Durability
		}{
			{jetstream.MemoryStorage, false, inlet.DurabilityMemory},
			{jetstream.MemoryStorage, true, inlet.DurabilityMemory},
			{jetstream.FileStorage, false, inlet.DurabilityOSBuffer},
			{jetstream.FileStorage, true, inlet.DurabilityFsync},
		} {
			o := create(t, func(c *jetstream.StreamConfig) { c.Storage = row.storage })
			o.SyncAlways = row.sync
			require.Equal(t, row.want, open(t, n.url(), o).Durability())
		}
		for replicas, want := range map[int]inlet.Durability{
			1: inlet.DurabilityOSBuffer, 2: inlet.DurabilityOSBuffer, 3: inlet.DurabilityReplicated, 5: inlet.DurabilityReplicated,
		} {
			require.Equal(t, want, new(Sink).durabilityOf(&jetstream.StreamConfig{Replicas: replicas}))
		}
	})
	t.Run("said in the log", func(t *testing.T) {
		t.Parallel()
		for want, change := range map[string]func(*jetstream.StreamConfig){
			"discards its oldest messages": func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 },
			"maxBytes=1000":                func(c *jetstream.StreamConfig) { c.MaxBytes = 1000 },
			"maxMsgsPerSubject=10":         func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 10 },
			"no consumer":                  func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
			"duplicateWindow=1m":           func(c *jetstream.StreamConfig) { c.Duplicates = time.Minute },
			"does not have allow_atomic":   func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false },
		} {
			var log testkit.Log
			o := create(t, change)
			o.Logger = log.Logger()
			open(t, n.url(), o)
			require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
			require.Contains(t, log.String(), want)
		}
		var log testkit.Log
		o := create(t, func(c *jetstream.StreamConfig) { c.MaxMsgs, c.Discard = 1000, jetstream.DiscardNew })
		o.Logger = log.Logger()
		open(t, n.url(), o)
		require.Empty(t, log.String())
	})
	t.Run("several at once", func(t *testing.T) {
		t.Parallel()
		o := named(Options{})
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				sink, err := New(t.Context(), n.url(), &o)
				if err != nil {
					t.Error(err)
					return
				}
				if err := sink.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("a connection of the caller's", func(t *testing.T) {
		t.Parallel()
		nc, _ := connect(t, n.url())
		o := named(Options{})
		sink := made(t, nc, o)
		require.NoError(t, sink.Write(t.Context(), events("m", 3)))
		require.NoError(t, sink.Close(t.Context()))
		require.True(t, nc.IsConnected(), "Close leaves it")
		require.False(t, sink.inbox.sub.IsValid())
	})
	t.Run("a connection that the caller has closed", func(t *testing.T) {
		t.Parallel()
		nc, _ := connect(t, n.url())
		o := named(Options{})
		sink := made(t, nc, o)
		nc.Close()
		err := sink.Write(t.Context(), events("m", 3))
		require.Error(t, err)
		require.False(t, inlet.IsPermanent(err))
		require.Error(t, sink.Check(t.Context()))
		require.NoError(t, sink.Close(t.Context()))
	})
	t.Run("a user without permission to publish", func(t *testing.T) {
		t.Parallel()
		n := inProcess(t, func(o *server.Options) {
			o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: []string{"$JS.API.>"}},
			}}}
		})
		var log testkit.Log
		sink := open(t, "nats://u:p@"+strings.TrimPrefix(n.url(), "nats://"), Options{Logger: log.Logger(), AckTimeout: 100 * time.Millisecond})
		err := sink.Write(t.Context(), events("m", 30))
		require.ErrorIs(t, err, errTimeout)
		require.False(t, inlet.IsPermanent(err))
		require.Eventually(t, func() bool { return strings.Contains(log.String(), "ermissions") }, patience, tick)
		require.NoError(t, sink.Close(t.Context()))
		require.Less(t, strings.Count(log.String(), "connection has an error"), 15, "not for each message")
	})
	t.Run("a context that is done at any moment", func(t *testing.T) {
		t.Parallel()
		nc, _ := connect(t, n.url())
		sink := open(t, n.url(), Options{})
		before := nc.NumSubscriptions()
		for i := range 200 {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				for range i * 50 {
					runtime.Gosched()
				}
				cancel()
			}()
			o := sink.opts
			made, err := New(ctx, nc, &o)
			if err == nil {
				require.NoError(t, made.Close(t.Context()))
			}
			age(sink)
			found := sink.refresh(ctx)
			require.NotNil(t, found)
			<-ctx.Done()
		}
		require.Eventually(t, func() bool { return nc.NumSubscriptions() <= before+1 }, patience, tick, "only that of the client for answers")
	})
	t.Run("password", func(t *testing.T) {
		t.Parallel()
		n := inProcess(t, func(o *server.Options) { o.Username, o.Password = "u", "hunter2" })
		_, err := New(t.Context(), "nats://u:hunter3@"+strings.TrimPrefix(n.url(), "nats://"), nil)
		require.ErrorContains(t, err, "Authorization")
		require.NotContains(t, err.Error(), "hunter")
		option := nats.UserInfo("u", "hunter2")
		connected, err := nats.Connect("nats://u:hunter2@"+strings.TrimPrefix(n.url(), "nats://"), nats.ReconnectBufSize(-1), nats.Timeout(patience))
		require.NoError(t, err)
		t.Cleanup(connected.Close)
		o := named(Options{})
		over := made(t, connected, o)
		require.NoError(t, over.Close(t.Context()))
		for _, sink := range []*Sink{over, open(t, n.url(), Options{Connect: []nats.Option{option}})} {
			echo := errors.New("nats: Parse Error: 'CONNECT u:hunter2'")
			require.NotContains(t, sink.classify(t.Context(), "write", false, echo).Error(), "hunter2")
		}
		sink := open(t, "nats://u:hunter2@"+strings.TrimPrefix(n.url(), "nats://"), Options{})
		require.NoError(t, sink.Write(t.Context(), events("m", 1)))
		for _, text := range []string{sink.String(), fmt.Sprintf("%v %+v %#v", sink, sink, sink)} {
			require.NotContains(t, text, "hunter2")
			require.Contains(t, text, sink.opts.Stream)
		}
	})
}

func TestWrite(t *testing.T) {
	t.Parallel()
	n := inProcess(t, nil)
	_, js := connect(t, n.url())

	t.Run("messages", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{})
		e := event("a b")
		e.Source = &inlet.Source{ID: "shop.example"}
		require.NoError(t, sink.Write(t.Context(), []*inlet.Event{e, event("c")}))
		s, err := js.Stream(t.Context(), sink.opts.Stream)
		require.NoError(t, err)
		m, err := s.GetMsg(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, sink.opts.Prefix+".shop%2Eexample.track", m.Subject)
		require.Equal(t, "shop.example:a%20b", m.Header.Get("Nats-Msg-Id"))
		require.Equal(t, string(e.AppendJSON(nil)), string(m.Data))
	})
	t.Run("batches", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{})
		list := events("m", 2500)
		require.NoError(t, sink.Write(t.Context(), list))
		require.Equal(t, Stats{Stored: 2500, Batches: 3}, sink.Stats())
		require.Equal(t, ids(list), ids(read(t, js, sink.opts.Stream)))
		require.NoError(t, sink.Write(t.Context(), list[:1]), "alone it is no batch")
		require.Equal(t, Stats{Stored: 2500, Duplicates: 1, Batches: 3, Single: 1}, sink.Stats())
	})
	t.Run("by bytes", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{MaxBytes: 10_000})
		list := events("m", 100)
		require.NoError(t, sink.Write(t.Context(), list))
		require.Greater(t, sink.Stats().Batches, uint64(5))
		require.Equal(t, ids(list), ids(read(t, js, sink.opts.Stream)))
	})
	t.Run("duplicates anywhere", func(t *testing.T) {
		t.Parallel()
		for _, stored := range [][]int{{0}, {99}, {50}, {0, 1, 2, 3, 4}, {20, 40, 60, 80}, {0, 99}, {97, 98, 99}, every(100, 1), every(100, 2), every(100, 7)} {
			sink := open(t, n.url(), Options{})
			list := events("m", 100)
			there := map[string]bool{}
			for _, i := range stored {
				require.NoError(t, sink.Write(t.Context(), list[i:i+1]))
				there[list[i].MessageID] = true
			}
			require.NoError(t, sink.Write(t.Context(), list))
			stats := sink.Stats()
			require.Equal(t, uint64(100), stats.Stored)
			require.Equal(t, uint64(len(stored)), stats.Duplicates)
			fresh := []string{}
			for _, e := range list {
				if !there[e.MessageID] {
					fresh = append(fresh, e.MessageID)
				}
			}
			require.Equal(t, fresh, ids(read(t, js, sink.opts.Stream))[len(stored):], "in order")
		}
	})
	t.Run("twice in a Write", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{})
		list := events("m", 60)
		require.NoError(t, sink.Write(t.Context(), append(append(list[:40:40], list[10:30]...), list[40:]...)))
		require.Equal(t, ids(list), ids(read(t, js, sink.opts.Stream)))
		require.Equal(t, uint64(20), sink.Stats().Duplicates)
	})
	t.Run("too large", func(t *testing.T) {
		t.Parallel()
		for _, payload := range []int{600_000, 1_048_400, 1_200_000} { // the last two are more than the server accepts
			sink := open(t, n.url(), Options{})
			list := events("m", 7)
			list[3].Properties = []byte(`{"x":"` + strings.Repeat("x", payload) + `"}`)
			err := sink.Write(t.Context(), list)
			want := ids(list)
			if payload > 1_000_000 {
				requireOnly(t, err, 3)
				want = append(want[:3:3], want[4:]...)
				require.Equal(t, uint64(1), sink.Stats().Refused)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, want, ids(read(t, js, sink.opts.Stream)))
		}
	})
	t.Run("a limit of the stream that New has not seen", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{})
		config := reconfigure(t, js, sink, func(c *jetstream.StreamConfig) { c.MaxMsgSize = 2000 })
		require.EqualValues(t, 2000, config.MaxMsgSize)
		list := events("m", 50)
		list[0].Properties = []byte(`{"x":"` + strings.Repeat("x", 3000) + `"}`)
		list[49].Properties = list[0].Properties
		requireOnly(t, sink.Write(t.Context(), list[:40]), 0)
		requireOnly(t, sink.Write(t.Context(), list[40:]), 9)
		list[20].MessageID, list[20].Properties = "middle", list[0].Properties
		reread(t, sink)
		requireOnly(t, sink.Write(t.Context(), list[10:30]), 10)
		require.Len(t, read(t, js, sink.opts.Stream), 48)
	})
	t.Run("a message in the middle is too large", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{})
		hold(sink)
		reconfigure(t, js, sink, func(c *jetstream.StreamConfig) { c.MaxMsgSize = 2000 })
		list := events("m", 50)
		list[25].Properties = []byte(`{"x":"` + strings.Repeat("x", 3000) + `"}`)
		err := sink.Write(t.Context(), list)
		require.Equal(t, codeIncomplete, codeOf(err), "the server does not say which")
		require.False(t, inlet.IsPermanent(err))
		require.True(t, sink.stream.Load().stale.Load(), "so that the limit is read again")
		reread(t, sink)
		requireOnly(t, sink.Write(t.Context(), list), 25)
	})
	t.Run("atomic batches are switched off and on", func(t *testing.T) {
		t.Parallel()
		var log testkit.Log
		sink := open(t, n.url(), Options{Logger: log.Logger()})
		hold(sink)
		reconfigure(t, js, sink, func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false })
		for i := range 3 {
			require.NoError(t, sink.Write(t.Context(), events(fmt.Sprint(i), 10)))
		}
		require.Equal(t, Stats{Stored: 30, Single: 30}, sink.Stats())
		require.Equal(t, 1, strings.Count(log.String(), "no atomic batches"), log.String())
		require.Contains(t, log.String(), "10174")
		reconfigure(t, js, sink, func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = true })
		reread(t, sink)
		require.NoError(t, sink.Write(t.Context(), events("on", 10)))
		require.Equal(t, uint64(1), sink.Stats().Batches)
	})
	t.Run("a stream that is full", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{})
		reconfigure(t, js, sink, func(c *jetstream.StreamConfig) { c.MaxMsgs, c.Discard = 10, jetstream.DiscardNew })
		require.NoError(t, sink.Write(t.Context(), events("a", 8)))
		err := sink.Write(t.Context(), events("b", 5))
		require.Equal(t, 10077, codeOf(err), err)
		require.False(t, inlet.IsPermanent(err))
		require.ErrorContains(t, err, "the stream is full")
		require.Len(t, read(t, js, sink.opts.Stream), 8, "the batch is not stored in part")
		reconfigure(t, js, sink, func(c *jetstream.StreamConfig) { c.MaxMsgs = 20 })
		require.NoError(t, sink.Write(t.Context(), events("b", 5)))
	})
	t.Run("sealed", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{})
		reconfigure(t, js, sink, func(c *jetstream.StreamConfig) { c.Sealed = true })
		for _, count := range []int{1, 5} {
			err := sink.Write(t.Context(), events("m", count))
			require.Equal(t, 10109, codeOf(err), err)
			require.False(t, inlet.IsPermanent(err))
		}
		_, err := New(t.Context(), n.url(), &sink.opts)
		require.ErrorContains(t, err, "is sealed")
	})
	t.Run("deleted", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{})
		require.NoError(t, js.DeleteStream(t.Context(), sink.opts.Stream))
		for _, count := range []int{1, 5} {
			err := sink.Write(t.Context(), events("m", count))
			require.ErrorIs(t, err, errNoResponders)
			require.False(t, inlet.IsPermanent(err))
		}
		err := sink.Check(t.Context())
		require.Equal(t, 10059, codeOf(err), err)
		again := made(t, n.url(), sink.opts)
		require.NoError(t, sink.Write(t.Context(), events("m", 5)))
		require.NoError(t, sink.Check(t.Context()))
		require.NoError(t, again.Close(t.Context()))
	})
	t.Run("less durable than declared", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{})
		sink.durability = inlet.DurabilityReplicated // as if it had three replicas before
		require.ErrorIs(t, sink.Check(t.Context()), errWeak)
		reread(t, sink)
		err := sink.Write(t.Context(), events("m", 5))
		require.ErrorIs(t, err, errWeak)
		require.False(t, inlet.IsPermanent(err))
		sink.durability = inlet.DurabilityOSBuffer
		reread(t, sink)
		require.NoError(t, sink.Write(t.Context(), events("m", 5)), "it is as it was")
	})
	t.Run("another stream", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{})
		reconfigure(t, js, sink, func(c *jetstream.StreamConfig) { c.Subjects = []string{"else." + sink.opts.Prefix} })
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: sink.opts.Stream + "B", Subjects: []string{sink.opts.Prefix + ".>"}, AllowAtomicPublish: true,
		})
		require.NoError(t, err)
		for _, count := range []int{1, 5} {
			err = sink.Write(t.Context(), events("m", count))
			require.ErrorIs(t, err, errOtherStream)
			require.False(t, inlet.IsPermanent(err))
		}
	})
	t.Run("concurrent", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{MaxConcurrent: 4})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { // each event by two of them, in different parts
				list := events(fmt.Sprint(i/2), 50)
				for from := i % 2 * 7; from < 50; {
					part := list[from:min(from+20, 50)]
					err := sink.Write(t.Context(), part)
					if inlet.IsPermanent(err) {
						t.Error(err)
						return
					}
					if err == nil {
						from += len(part)
					}
				}
			})
		}
		wg.Wait()
		seen := map[string]bool{}
		for _, id := range ids(read(t, js, sink.opts.Stream)) {
			require.False(t, seen[id])
			seen[id] = true
		}
		require.Len(t, seen, 200)
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		o := named(Options{})
		sink := made(t, n.url(), o)
		require.NoError(t, sink.Close(t.Context()))
		require.NoError(t, sink.Close(t.Context()))
		require.ErrorIs(t, sink.Write(t.Context(), events("m", 1)), inlet.ErrClosed)
		require.ErrorIs(t, sink.Check(t.Context()), inlet.ErrClosed)
	})
}

// TestLimits has a server that accepts small batches only.
func TestLimits(t *testing.T) {
	t.Parallel()
	n := inProcess(t, func(o *server.Options) {
		o.JetStreamLimits = server.JSLimitOpts{MaxBatchSize: 30, MaxBatchInflightPerStream: 1, MaxBatchTimeout: time.Hour}
	})
	nc, js := connect(t, n.url())
	t.Run("size", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{})
		list := events("m", 200)
		require.NoError(t, sink.Write(t.Context(), list))
		require.Equal(t, ids(list), ids(read(t, js, sink.opts.Stream)))
		require.LessOrEqual(t, sink.limit.Load(), int64(30))
		before := sink.Stats().Batches
		require.NoError(t, sink.Write(t.Context(), events("n", 50)))
		require.Equal(t, before+(50+uint64(sink.limit.Load())-1)/uint64(sink.limit.Load()), sink.Stats().Batches, "it has learned the limit")
	})
	t.Run("in flight", func(t *testing.T) {
		t.Parallel()
		sink := open(t, n.url(), Options{})
		m := nats.NewMsg(sink.opts.Prefix + ".a.b") // another client's batch, which it does not end
		m.Header.Set(headerBatch, "other")
		m.Header.Set(headerSequence, "1")
		_, err := nc.RequestMsg(m, patience)
		require.NoError(t, err)
		err = sink.Write(t.Context(), events("m", 10))
		require.Equal(t, 10210, codeOf(err), err)
		wait, ok := inlet.RetryDelay(err)
		require.True(t, ok)
		require.Equal(t, time.Second, wait)
	})
}

// TestAnswers has a server without streams, on which the test answers as one. Each code and each
// answer that is not understood is temporary, or what its row says.
func TestAnswers(t *testing.T) {
	t.Parallel()
	n := inProcess(t, func(o *server.Options) { o.JetStream = false })
	type answers func(m *nats.Msg) (text string)
	stream := func(t *testing.T, answer answers) *Sink {
		o := named(Options{AckTimeout: time.Minute})
		nc, _ := connect(t, n.url())
		_, err := nc.Subscribe("$JS.API.STREAM.INFO."+o.Stream, func(m *nats.Msg) {
			_ = m.Respond(fmt.Appendf(nil, `{"type":"io.nats.jetstream.api.v1.stream_info_response","config":{"name":%q,"subjects":["%s.>"],`+
				`"retention":"limits","storage":"file","discard":"old","num_replicas":1,"duplicate_window":6000000000000,"allow_atomic":true},"state":{}}`, o.Stream, o.Prefix))
		})
		require.NoError(t, err)
		_, err = nc.Subscribe(o.Prefix+".>", func(m *nats.Msg) {
			if text := answer(m); m.Reply != "" && text != "" {
				_ = m.Respond([]byte(text))
			}
		})
		require.NoError(t, err)
		require.NoError(t, nc.Flush())
		sink := made(t, n.url(), o)
		t.Cleanup(func() { require.NoError(t, sink.Close(context.Background())) })
		return sink
	}
	code := func(code int) string {
		return fmt.Sprintf(`{"error":{"code":400,"err_code":%d,"description":"d"},"stream":"S","seq":0}`, code)
	}

	t.Run("codes", func(t *testing.T) {
		t.Parallel()
		var now atomic.Int64
		sink := stream(t, func(*nats.Msg) string { return code(int(now.Load())) })
		for _, code := range temporaryCodes {
			now.Store(int64(code))
			for _, count := range []int{1, 3, 20} {
				sink.stream.Load().atomic.Store(true)
				sink.limit.Store(maxBatch)
				err := sink.Write(t.Context(), events("m", count))
				require.Error(t, err, code)
				for _, err := range inlet.ItemErrors(err, count) {
					require.Equal(t, code, codeOf(err), err)
					require.False(t, inlet.IsPermanent(err), code)
				}
			}
		}
		for _, code := range []int64{10054, 10097} {
			now.Store(code)
			err := sink.Write(t.Context(), events("m", 20))
			for _, err := range inlet.ItemErrors(err, 20) {
				require.True(t, inlet.IsPermanent(err), "each was written alone: %v", err)
			}
		}
	})
	t.Run("not understood", func(t *testing.T) {
		t.Parallel()
		var now atomic.Value
		sink := stream(t, func(*nats.Msg) string { return now.Load().(string) })
		for _, text := range []string{
			`{`, `[]`, `{}`, `"ok"`, `null`, `{"stream":""}`, `{"stream":"S","error":{}}`, "\x00", `{"stream":7}`,
			`{"stream":"OTHER","seq":1}`, `{"stream":"OTHER","seq":1,"batch":"b","count":3}`,
		} {
			now.Store(text)
			for _, count := range []int{1, 3} {
				err := sink.Write(t.Context(), events("m", count))
				require.Error(t, err, text)
				require.False(t, inlet.IsPermanent(err), text)
			}
		}
		for _, text := range []string{`{"stream":"%s","seq":1,"batch":"other","count":3}`, `{"stream":"%s","seq":1,"batch":"other","count":2}`} {
			now.Store(fmt.Sprintf(text, sink.opts.Stream))
			require.ErrorIs(t, sink.Write(t.Context(), events("m", 3)), errCount)
		}
	})
	t.Run("a server that does not know batches stores each by itself", func(t *testing.T) {
		t.Parallel()
		var log testkit.Log
		var mu sync.Mutex
		seen := map[string]bool{}
		sink := stream(t, func(m *nats.Msg) string {
			mu.Lock()
			defer mu.Unlock()
			id := m.Header.Get("Nats-Msg-Id")
			again := seen[id]
			seen[id] = true
			return fmt.Sprintf(`{"stream":%q,"seq":1,"duplicate":%v}`, streamOf(m), again)
		})
		sink.log = log.Logger()
		require.NoError(t, sink.Write(t.Context(), events("m", 20)))
		require.Equal(t, uint64(20), sink.Stats().Single)
		require.Len(t, seen, 20)
		require.Contains(t, log.String(), "does not know atomic batches")
	})
	t.Run("some of those that are published by themselves fail", func(t *testing.T) {
		t.Parallel()
		sink := stream(t, func(m *nats.Msg) string {
			switch m.Header.Get("Nats-Msg-Id") {
			case "web:m-3":
				return code(10054)
			case "web:m-5":
				return code(10008)
			}
			return fmt.Sprintf(`{"stream":%q,"seq":1}`, streamOf(m))
		})
		sink.stream.Load().atomic.Store(false)
		var batch *inlet.BatchError
		require.ErrorAs(t, sink.Write(t.Context(), events("m", 8)), &batch)
		require.Len(t, batch.Items, 2)
		require.Equal(t, 3, batch.Items[0].Index)
		require.True(t, inlet.IsPermanent(batch.Items[0].Err))
		require.Equal(t, 5, batch.Items[1].Index)
		require.False(t, inlet.IsPermanent(batch.Items[1].Err))
	})
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		var arrived atomic.Value // what to do once a message is there
		arrived.Store(func() {})
		sink := stream(t, func(*nats.Msg) string { arrived.Load().(func())(); return "" })
		for _, count := range []int{1, 3} {
			sink.opts.AckTimeout = time.Hour
			ctx, cancel := context.WithCancel(t.Context())
			arrived.Store(func() { cancel() })
			err := sink.Write(ctx, events("m", count))
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorContains(t, err, "the outcome is unknown")
			sink.opts.AckTimeout = 20 * time.Millisecond
			err = sink.Write(t.Context(), events("m", count))
			require.ErrorIs(t, err, errTimeout)
			require.False(t, inlet.IsPermanent(err))
		}
		sink.inbox.mu.Lock()
		defer sink.inbox.mu.Unlock()
		require.Empty(t, sink.inbox.calls, "no Write waits")
	})
}

// streamOf returns the name of the stream that [named] has chosen with the prefix of a message.
func streamOf(m *nats.Msg) string {
	prefix, _, _ := strings.Cut(m.Subject, ".")
	return "S" + prefix[1:]
}

// every returns every k-th number below n.
func every(n, k int) (list []int) {
	for i := 0; i < n; i += k {
		list = append(list, i)
	}
	return list
}

// requireOnly requires that one event is permanently refused, and no other fails.
func requireOnly(t *testing.T, err error, index int) {
	t.Helper()
	batch, ok := errors.AsType[*inlet.BatchError](err)
	require.True(t, ok, "%v", err)
	require.Len(t, batch.Items, 1)
	require.Equal(t, index, batch.Items[0].Index)
	require.True(t, inlet.IsPermanent(batch.Items[0].Err), batch.Items[0].Err)
}

// reconfigure changes the stream of a sink, which does not know of it.
func reconfigure(t *testing.T, js jetstream.JetStream, sink *Sink, change func(*jetstream.StreamConfig)) jetstream.StreamConfig {
	t.Helper()
	config, err := sink.config(t.Context())
	require.NoError(t, err)
	change(config)
	s, err := js.UpdateStream(t.Context(), *config)
	require.NoError(t, err)
	return s.CachedInfo().Config
}

// hold keeps what the sink knows about its stream, however long the test takes.
func hold(sink *Sink) { sink.stream.Load().read = time.Now().Add(time.Hour) }

// reread has the sink read the configuration of its stream again, however long that takes.
func reread(t *testing.T, sink *Sink) {
	t.Helper()
	require.Eventually(t, func() bool {
		age(sink)
		return !sink.refresh(t.Context()).stale.Load()
	}, patience, tick)
}

// age makes what the sink knows about its stream old.
func age(sink *Sink) {
	old := sink.stream.Load()
	aged := &stream{maxSize: old.maxSize, weak: old.weak}
	aged.atomic.Store(old.atomic.Load())
	sink.stream.Store(aged)
}
