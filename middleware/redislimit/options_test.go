package redislimit

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/middleware"
)

var quiet = slog.New(slog.DiscardHandler)

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		target string
		o      *Options
		err    string
	}{
		{"every field out of range", "redis://127.0.0.1:1", &Options{Prefix: strings.Repeat("p", 101), Lease: 1, MaxKeys: -1},
			"redislimit: Options: len(Prefix) is 101, must be at most 100\nLease is 1ns, must be at least 1ms\nMaxKeys is -1, must be at least 1"},
		{"too long a lease", "redis://127.0.0.1:1", &Options{Lease: time.Minute}, "redislimit: Options: Lease is 1m0s, must be at most 10s"},
		{"another scheme", "http://127.0.0.1", nil, "redislimit: URL: redis: invalid URL scheme: http"},
		{"no URL, and no password in the error", "redis://:s3cret@[::1", nil, `redislimit: URL: parse "[hidden]": missing ']' in host`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(t.Context(), tt.target, tt.o)
			require.EqualError(t, err, tt.err)
		})
	}
	t.Run("no client", func(t *testing.T) {
		t.Parallel()
		_, err := NewWithClient(nil, nil)
		require.EqualError(t, err, "redislimit: client is nil")
		_, err = NewWithClient(nil, &Options{Lease: 1})
		require.ErrorContains(t, err, "Lease is 1ns")
	})
	t.Run("its name", func(t *testing.T) {
		t.Parallel()
		l, err := New(t.Context(), "redis://user:s3cret@127.0.0.1:1/0", &Options{Logger: quiet})
		require.NoError(t, err)
		defer l.Close()
		require.Equal(t, "redislimit(127.0.0.1:1)", l.String())
	})
}

func TestTable(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 63, 64, 1000} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			t.Parallel()
			table := newTable(most)
			busy := middleware.Charge{Policy: "p", Name: "busy"}
			first := table.lookup(&busy)
			for i := range 5000 {
				name := []byte(fmt.Sprint(i))
				table.lookup(&middleware.Charge{Policy: "p", Name: string(name), IP: netip.MustParseAddr("203.0.113.7")})
				if most == 1000 {
					require.Same(t, first, table.lookup(&busy), "a key that is in use stays")
				}
			}
			require.LessOrEqual(t, table.len(), most)
		})
	}
}

// A long name takes no more memory than another, and is a key of its own.
func TestLongNames(t *testing.T) {
	t.Parallel()
	table := newTable(1000)
	long := strings.Repeat("n", 8000)
	a, b := table.lookup(&middleware.Charge{Name: long}), table.lookup(&middleware.Charge{Name: long + "n"})
	require.NotSame(t, a, b)
	require.Same(t, a, table.lookup(&middleware.Charge{Name: long}))
	require.NotSame(t, a, table.lookup(&middleware.Charge{}))
	for i := range table.shards {
		for k := range table.shards[i].entries {
			require.LessOrEqual(t, len(k.name), longName)
		}
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	asked := request{buckets: [3]asked{{rate: 1, burst: 10, needed: 1, take: 1, want: 2}}}
	parse := func(values ...string) error {
		_, err := parseAnswer(values, &asked)
		return err
	}
	for _, good := range [][]string{
		{"1", "1", "9.000000", "0", "0", "0", "0"}, {"1", "3", "-5", "0", "0", "0", "0"}, {"0", "0", "0.5", "0", "0", "0", "0"},
	} {
		require.NoError(t, parse(good...), good)
	}
	for _, bad := range [][]string{
		{"1", "nan", "1", "0", "0", "0", "0"}, {"1", "inf", "1", "0", "0", "0", "0"}, {"1", "4", "1", "0", "0", "0", "0"},
		{"1", "0.5", "1", "0", "0", "0", "0"}, {"1", "-1", "1", "0", "0", "0", "0"}, {"1", "1", "nan", "0", "0", "0", "0"},
		{"1", "1", "11", "0", "0", "0", "0"}, {"1", "1", "-inf", "0", "0", "0", "0"}, {"1", "1", "1", "1", "0", "0", "0"},
		{"0", "nan", "1", "0", "0", "0", "0"}, {"2", "1", "1", "0", "0", "0", "0"}, {"", "1", "1", "0", "0", "0", "0"},
	} {
		require.Error(t, parse(bad...), bad)
	}
	err := parse("1")
	require.EqualError(t, err, "the answer has 1 values, must have 7")
	err = parse("1", "x", "1", "1", "1", "1", "1")
	require.ErrorContains(t, err, `parsing "x"`)
}

// A zone may have any characters.
func TestZone(t *testing.T) {
	t.Parallel()
	key := func(ip, name string) string {
		return storedKey("p:", &middleware.Charge{Policy: "a", IP: netip.MustParseAddr(ip), Name: name})
	}
	require.NotEqual(t, key("fe80::1%a", "b|c"), key("fe80::1%a|b", "c"))
	require.NotEqual(t, key("fe80::1%a", "b"), key("fe80::1", "b"))
	require.NotEqual(t, key("fe80::1%a", "b"), key("fe80::1%b", "b"))
	require.Less(t, len(key("fe80::1%"+strings.Repeat("z", 5000), "b")), 100)
}

// FuzzStoredKey: keys that differ are stored under names that differ.
func FuzzStoredKey(f *testing.F) {
	f.Add("default", "web", uint32(0), "default", "web", uint32(1))
	f.Add("a", "b|c", uint32(0), "a|b", "c", uint32(0))
	f.Add("a", strings.Repeat("n", 201), uint32(0), "a", strings.Repeat("n", 202), uint32(0))
	f.Fuzz(func(t *testing.T, policy, name string, ip uint32, otherPolicy, otherName string, otherIP uint32) {
		a, b := fuzzed(policy, name, ip), fuzzed(otherPolicy, otherName, otherIP)
		require.Equal(t, a == b, storedKey("p:", &a) == storedKey("p:", &b), "%q and %q", storedKey("p:", &a), storedKey("p:", &b))
	})
}

// fuzzed returns a charge with a policy of the characters that one may have.
func fuzzed(policy, name string, ip uint32) middleware.Charge {
	c := middleware.Charge{Policy: strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, policy), Name: name}
	if ip > 0 {
		c.IP = netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)})
	}
	return c
}
