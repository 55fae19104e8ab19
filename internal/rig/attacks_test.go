//go:build rig && linux

package rig

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// connections is how many an attack has.
const connections = 64

// What healthy requests must find.
const (
	maxHealthyP99 = 250 * time.Millisecond
	minStored     = 0.95
)

// An attack is a kind of requests that are made to cost more than their size.
type attack struct {
	name        string
	mount       bool   // of the documented mount instead of the standalone server
	connections int    // 64 by default
	missed      string // why healthy requests next to it may be slow, if they may; of frames, not stored either
	do          func(a *attacker) func(net.Conn)
}

// sent is an attack with the same request again and again.
func sent(name string, f form) attack {
	return attack{name: name, do: func(a *attacker) func(net.Conn) { return a.repeat(f.bytes()) }}
}

var (
	frames   = "net/http starts 6,400 concurrent requests, more than MaxInFlight"
	refusals = gzipped("/v1/batch", true, `{"batch":[`+strings.Repeat("1,", 2_499)+`1]}`)
	waiting  = form{path: "/v1/batch", body: []byte(`{"batch":[`), announced: 1_000}
	imported = gzipped("/v1/import", true, mergedDefaults(13_000))
)

// attacks are the kinds. The first ones were found to work once; the others are variants of
// them.
func attacks() []attack {
	return []attack{
		sent("defaults of 13 kB merged into 2,500 events", imported),
		sent("4 MiB of small members without a key", gzipped("/v1/import", false, smallMembers())),
		sent("defaults with many names", gzipped("/v1/batch", true, manyDefaults("", batchSize))),
		sent("defaults with many names in escapes", gzipped("/v1/batch", true, manyDefaults(`\u006e`, batchSize))),
		sent("an import with many names in escapes", gzipped("/v1/import", true, manyDefaults(`\u006e`, importSize))),
		sent("9,999 names and then repeats, without a key", gzipped("/v1/batch", false, firstItem())),
		{name: "bodies that never end", connections: 1_000, do: func(a *attacker) func(net.Conn) { return a.waiting(waiting.bytes()) }},
		{name: "bodies that never end, over HTTP/2", mount: true, missed: frames, do: func(a *attacker) func(net.Conn) { return a.overHTTP2(waiting, 1<<16, false) }},
		{name: "answers that are not read", do: func(a *attacker) func(net.Conn) { return a.unread(refusals.bytes()) }},
		{name: "answers that are not read, over HTTP/2", mount: true, missed: frames, do: func(a *attacker) func(net.Conn) { return a.overHTTP2(refusals, 0, true) }},
		sent("14 bytes that claim to be 4 MiB", form{path: "/v1/batch", header: []string{"Content-Encoding", "gzip"}, body: lyingTrailer()}),
		sent("2,500 refused events", refusals),
		sent("a query with 20,000 levels", form{method: http.MethodGet, path: "/events?a" + strings.Repeat("[b]", 20_000) + "=1"}),
		sent("2,500 empty events", gzipped("/v1/batch", true, `{"batch":[`+strings.Repeat("{},", 2_499)+`{}]}`)),
		// variants
		sent("defaults of 1 kB merged into 2,500 events", gzipped("/v1/import", true, mergedDefaults(1_000))),
		sent("zstd bombs", form{path: "/v1/import", key: true, header: []string{"Content-Encoding", "zstd"}, body: zstdBomb(64 << 20)}),
		sent("pixels with an event in data", form{method: http.MethodGet, path: "/v1/pixel/track?data=" + base64.RawURLEncoding.EncodeToString([]byte(`{"writeKey":"`+writeKey+`","type":"track","event":"E","userId":"u","properties":{`+numbered(`"#":{}`, 3_000)+`}}`))}),
		sent("migrated events with three devices", form{
			path: "/events/batch?tc_s=1&token=" + writeKey, header: []string{"Content-Encoding", "gzip"}, body: compress(acts()),
		}),
		sent("events 190 levels deep", gzipped("/v1/import", true, nested())),
		sent("texts of escapes and invalid UTF-8", gzipped("/v1/import", true, escapes())),
		{name: "60 kB of headers", missed: "net/http reads headers before it calls a handler", do: func(a *attacker) func(net.Conn) {
			return a.repeat(form{path: "/v1/track", header: headers(1_500), body: []byte("{}")}.bytes())
		}},
		{name: "imports that are cut off", do: func(a *attacker) func(net.Conn) {
			return a.aborted(form{path: "/v1/import", key: true, body: []byte(smallMembers())}.bytes())
		}},
		{name: "events for which the sink panics", mount: true, do: func(a *attacker) func(net.Conn) {
			return a.repeat(gzipped("/v1/import", true, `{"batch":[`+repeated(`{"type":"track","event":"panic","userId":"u"}`, 60_000)+`]}`).bytes())
		}},
		{name: "defaults of 13 kB merged, over HTTP/2", mount: true, missed: frames, do: func(a *attacker) func(net.Conn) { return a.overHTTP2(imported, 1<<16, true) }},
		sent("ordinary imports of 4 MiB", form{path: "/v1/import", key: true, body: ordinaryImport()}),
	}
}

// headers returns n short headers.
func headers(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("X-%d", i), "0123456789012345678901234567890")
	}
	return all
}

// A result is what an attack did.
type result struct {
	attack         *attack
	base, resident int64 // resident memory, before it and at most
	killed         bool
	healthy        *health
	attacker       *attacker
}

// slow reports whether healthy requests had to wait, or were not stored.
func (r *result) slow() bool {
	return r.healthy.P99 > maxHealthyP99 || r.healthy.stored() < minStored
}

var results []*result

// TestAttacks attacks a server of its own with each kind. The kinds run one after another.
func TestAttacks(t *testing.T) {
	kinds := attacks()
	for i := range kinds {
		t.Run(kinds[i].name, func(t *testing.T) {
			var r *result
			for n := 0; n == 0 || n < *attempts && r.slow() && kinds[i].missed == ""; n++ {
				r = kinds[i].run(t)
				require.False(t, r.killed, "the server ended")
				require.LessOrEqual(t, r.resident, int64(maxResident), "resident memory")
			}
			if kinds[i].missed == "" {
				require.LessOrEqual(t, r.healthy.P99, maxHealthyP99, "p99 of healthy requests")
			}
			if kinds[i].missed != frames {
				require.GreaterOrEqual(t, r.healthy.stored(), minStored, "healthy requests: %v", r.healthy)
			}
		})
	}
}

func (k *attack) run(t *testing.T) *result {
	t.Helper()
	s := start(t, !k.mount)
	a := &attacker{address: s.address, until: time.Now().Add(*long)}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		a.attack(cmp.Or(k.connections, connections), k.do(a))
	}()
	watched := s.watch(t)
	r := &result{attack: k, base: s.base, attacker: a, healthy: healthy(t, s.address, *long)}
	<-stopped
	r.resident, r.killed = watched(), s.hasEnded() || s.cgroup.killed(t) > 0
	results = append(results, r)
	a.first.Range(func(status, answer any) bool { t.Log(status, answer); return true })
	s.stop()
	if r.killed {
		t.Logf("%.2000s", s.log)
	}
	return r
}

// watch looks at the resident memory of the server all the time, which cannot be read once it
// has ended. The result stops that and returns the highest.
func (s *server) watch(t *testing.T) (stop func() int64) {
	ended, highest := make(chan struct{}), make(chan int64)
	go func() {
		most := s.base
		for {
			most = max(most, s.resident(t))
			select {
			case <-ended:
				highest <- most
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(ended)
		return <-highest
	}
}

// report prints the results as a table.
func report(w io.Writer) {
	if len(results) == 0 {
		return
	}
	fmt.Fprintf(w, "\n| attack for %v | resident, MiB | healthy p50 / p99, ms | healthy | requests | answers |\n|---|--:|--:|---|--:|---|\n", *long)
	for _, r := range results {
		ended := ""
		if r.killed {
			ended = ", killed"
		}
		fmt.Fprintf(w, "| %s | %d → %d%s | %d / %d | %v | %d | %s |\n", r.attack.name, r.base>>20, r.resident>>20, ended,
			r.healthy.P50.Milliseconds(), r.healthy.P99.Milliseconds(), r.healthy, r.attacker.requests.Load(), r.attacker.outcomes())
	}
}
