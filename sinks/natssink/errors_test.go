package natssink

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	s := &Sink{secrets: sinkkit.NewSecrets("[secret]", "hunter2")}
	api := func(code int) error {
		return &jetstream.APIError{Code: 400, ErrorCode: jetstream.ErrorCode(code), Description: "d"}
	}

	t.Run("permanent only for an event alone", func(t *testing.T) {
		t.Parallel()
		for _, err := range []error{api(10054), api(10097), nats.ErrMaxPayload} {
			require.True(t, inlet.IsPermanent(s.classify(t.Context(), "write", true, err)))
			require.False(t, inlet.IsPermanent(s.classify(t.Context(), "write", false, err)))
		}
	})
	t.Run("temporary", func(t *testing.T) {
		t.Parallel()
		for _, code := range temporaryCodes {
			err := s.classify(t.Context(), "write", true, api(code))
			require.False(t, inlet.IsPermanent(err), code)
			require.ErrorContains(t, err, fmt.Sprint(code))
			require.Equal(t, code, codeOf(err))
		}
		for _, err := range []error{
			errNoResponders, errNoAnswer, errTimeout, errDisconnected, errOtherStream, errCount, errOldServer, nats.ErrReconnectBufExceeded,
			nats.ErrConnectionClosed, nats.ErrConnectionDraining, nats.ErrTimeout, nats.ErrAuthorization, nats.ErrPermissionViolation,
		} {
			require.False(t, inlet.IsPermanent(s.classify(t.Context(), "write", true, err)))
		}
	})
	t.Run("waits", func(t *testing.T) {
		t.Parallel()
		for _, code := range []int{10167, 10210, 10211} {
			wait, ok := inlet.RetryDelay(s.classify(t.Context(), "write", false, api(code)))
			require.True(t, ok)
			require.Equal(t, time.Second, wait)
		}
	})
	t.Run("password", func(t *testing.T) {
		t.Parallel()
		err := s.classify(t.Context(), "write", true, fmt.Errorf("cannot use hunter2: %w", api(10054)))
		require.NotContains(t, err.Error(), "hunter2")
		require.True(t, inlet.IsPermanent(err), "the class is that of the error, whatever its text")
	})
	t.Run("context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := s.classify(ctx, "write", true, errors.New("closed"))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "unknown")
	})
}

// temporaryCodes are those that the documents list, and one that does not exist.
var temporaryCodes = []int{
	10002, 10008, 10009, 10023, 10047, 10059, 10077, 10109, 10110, 10118, 10158, 10167, 10174, 10175, 10176, 10194, 10199, 10201,
	10210, 10211, 19999,
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		`Stream is "a.b"`:                            {Stream: "a.b"},
		`Stream is "a b"`:                            {Stream: "a b"},
		`Stream is "a/b"`:                            {Stream: "a/b"},
		`Prefix is "a..b"`:                           {Prefix: "a..b"},
		`Prefix is "a.*"`:                            {Prefix: "a.*"},
		`Prefix is "$JS"`:                            {Prefix: "$JS"},
		`Prefix is "a b"`:                            {Prefix: "a b"},
		"Replicas is 6, must be at most 5":           {Replicas: 6},
		"Replicas is -1, must be at least 1":         {Replicas: -1},
		"Window is 1ns, must be at least 100ms":      {Window: 1},
		"MaxBytes is -1, must be at least 1":         {MaxBytes: -1},
		"MaxBytes is 67108865, must be at most 6710": {MaxBytes: 64<<20 + 1},
		"MaxConcurrent is -1, must be at least 1":    {MaxConcurrent: -1},
		"AckTimeout is 1ns, must be at least 1ms":    {AckTimeout: 1},
	} {
		_, err := New(t.Context(), "127.0.0.1:1", &o)
		require.ErrorContains(t, err, "natssink: Options: ")
		require.ErrorContains(t, err, want)
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for _, list := range []string{
		"", "nats://u:hunter2@", "nats://u:hunter2@host:port", "nats://u:hun ter2@[host", "nats://a:1,u:hunter2@b:c", "%hunter2",
		"nats://u:1/hunter2@host", "nats://u:1?hunter2@host", "nats://u:1#hunter2@host",
	} {
		_, err := New(t.Context(), list, nil)
		require.ErrorContains(t, err, "target is not a list of URLs", list)
		require.NotContains(t, err.Error(), "hunter2")
	}
	for _, list := range []string{"nats://u:hunter2@127.0.0.1:1", "hunter2@127.0.0.1:1", "nats://127.0.0.1:1, nats://u:hunter2@127.0.0.1:1"} {
		_, err := New(t.Context(), list, nil)
		require.ErrorContains(t, err, "natssink: connect: ")
		require.NotContains(t, err.Error(), "hunter2")
		require.False(t, inlet.IsPermanent(err))
	}
	_, err := New(t.Context(), (*nats.Conn)(nil), nil)
	require.ErrorContains(t, err, "target is nil")
	_, err = New(t.Context(), &nats.Conn{Opts: nats.Options{ReconnectBufSize: 1 << 20}}, nil)
	require.ErrorContains(t, err, "ReconnectBufSize(-1)")
	hosts, secrets, err := parseURLs("nats://a:4222, u:p%40ss@b,tls://token@c:1")
	require.NoError(t, err)
	require.Equal(t, []string{"a:4222", "b", "c:1"}, hosts)
	require.Subset(t, secrets, []string{"u:p%40ss", "p%40ss", "p@ss", "token"})
	s := new(Sink)
	s.hide("hunter2", "u:hunter2", "hunter22", "")
	require.Equal(t, "[secret] [secret] [secret] u", s.secrets.Hide("u:hunter2 hunter22 hunter2 u"))
	_, secrets, err = parseURLs("nats://u:hunte%722@a")
	require.NoError(t, err)
	require.Subset(t, secrets, []string{"hunte%722", "hunter2"}, "as it is written, and as it is meant")
}

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"inlet.>", "inlet.*.*", "inlet.*.>", ">", "*.>", "*.*.*"} {
		require.True(t, covers(filter, "inlet.*.*"), filter)
	}
	for _, filter := range []string{"inlet", "inlet.*", "inlet.web.*", "inlet.*.track", "other.>", "inlet.*.*.>", "inlet.*.*.*"} {
		require.False(t, covers(filter, "inlet.*.*"), filter)
	}
}

// TestNames requires that different keys never have the same id or the same subject, whatever is in
// them, and that both are valid.
func TestNames(t *testing.T) {
	t.Parallel()
	long := func(last string) string { return string(make([]byte, 700)) + last }
	texts := []string{
		"", "a", "b", "a:b", ":", "a:", ":a", "a%3Ab", "%", "%%", "a b", "a  b", " a", "a ", "a\tb", "a\nb", "a\rb", "a\r\nb", "a\x00b", "a\x7fb",
		"a.b", "*", ">", "a.>", "é", "e\u0301", "日本", "\xff", "%h", long("1"), long("2"), hashed(long("1")), "A",
	}
	valid := regexp.MustCompile(`^inlet\.[A-Za-z0-9_%-]{1,128}\.[A-Za-z0-9_%-]{1,128}$`)
	ids, subjects := map[string]inlet.Event{}, map[string]string{}
	b := batch{subjects: map[subjectKey]string{}}
	for _, source := range texts {
		for _, id := range texts {
			e := inlet.Event{MessageID: id, Source: &inlet.Source{ID: source}, Type: inlet.Type(id)}
			name := messageID(&e)
			_, found := ids[name]
			require.False(t, found, "%q %q", source, id)
			ids[name] = e
			require.LessOrEqual(t, len(name), maxID)
			for i := range len(name) {
				require.True(t, name[i] > ' ' && name[i] != 0x7f, "%q", name)
			}
			subject := b.subject("inlet", &e)
			_, found = subjects[subject]
			require.False(t, found, "%q %q", source, id)
			subjects[subject] = id
			require.True(t, valid.MatchString(subject), subject)
		}
	}
	require.Equal(t, "inlet.my-shop_1.track", b.subject("inlet", &inlet.Event{Type: inlet.TypeTrack, Source: &inlet.Source{ID: "my-shop_1"}}))
	require.Equal(t, "web:8f2c-1", messageID(&inlet.Event{MessageID: "8f2c-1", Source: &inlet.Source{ID: "web"}}))
}

// TestBatchIDs requires that the batches of two connections have different names, whatever the
// prefix of their inboxes is.
func TestBatchIDs(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"_INBOX", strings.Repeat("long.", 40) + "prefix"} {
		nc := &nats.Conn{Opts: nats.Options{InboxPrefix: prefix}}
		seen := map[string]bool{}
		for range 3 {
			b := inbox{prefix: nc.NewInbox() + "."}
			for number := range uint64(3) {
				id := (&call{number: number}).id(&b)
				require.False(t, seen[id], id)
				require.LessOrEqual(t, len(id), 64)
				seen[id] = true
			}
		}
	}
}

// TestAbandoned has a call whose messages are still being sent when a later one of the same Write
// ends in time.
func TestAbandoned(t *testing.T) {
	t.Parallel()
	s := &Sink{opts: Options{AckTimeout: time.Hour}, inbox: inbox{calls: map[uint64]*call{}}}
	w := &write{sink: s, ctx: t.Context()}
	hold := make(chan struct{})
	for _, send := range []func() error{
		func() error { <-hold; return nil },
		func() error { time.Sleep(time.Millisecond); return nil },
	} {
		c := s.inbox.begin(1, false)
		c.fail(errDisconnected)
		w.exchange(c, send)
		require.True(t, w.abandoned, "its memory must not be used again")
	}
	close(hold)
}
