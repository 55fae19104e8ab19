package inspector

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks/journal"
)

// Linger is how long events are captured after the last viewer has left, so that one that connects
// again misses nothing.
const Linger = 30 * time.Second

// Options configure [New]. A nil pointer means all defaults. Authorize has none, so New fails for
// nil.
type Options struct {
	// Authorize reports whether a request may see events. It is called for each request, and may
	// be called concurrently. [Loopback] is one for development. Required.
	Authorize func(*http.Request) bool
	// Control reports whether a request that Authorize accepts may also use the buttons of
	// destinations. Defaults to nil: there are no buttons.
	Control func(*http.Request) bool

	// Destinations returns the stats of the destinations to show, such as
	// [journal.Journal.Deliveries]. It is called once a second while somebody watches. Defaults to
	// none.
	Destinations func() []journal.DeliveryStats
	// Delivery returns the running delivery of a name, or nil, for the buttons "stop", "skip" and
	// "redrive". Defaults to nil: there are no such buttons.
	Delivery func(name string) *journal.Delivery
	// Start starts the delivery of a name again, for the button "start". Defaults to nil: there is
	// no such button.
	Start func(ctx context.Context, name string) error

	// Plan returns the statistics of a tracking plan to show, as [plan.Judge.Stats] does. It is
	// called once a second while somebody watches. Defaults to none.
	Plan func() plan.Stats

	// API returns the URL below which clients send events, such as "https://in.example", for "Copy
	// as curl". It is called for each load of the page. Defaults to where the page is.
	API func() string
	// Unmasked shows e-mail addresses and IP addresses as they are. Defaults to false.
	Unmasked bool
	// MaxRows is how many rows are kept. Defaults to 500.
	MaxRows int
	// MaxBytes is how many bytes of events are kept. Defaults to 4 MiB.
	MaxBytes int
	// MaxViewers is how many viewers may be connected at the same time; a further one is answered
	// 503. Defaults to 20.
	MaxViewers int
	// PerName is how many rows of each event name of each source are shown each second. Defaults
	// to 20.
	PerName int
	// Rows is how many rows are shown each second in all. Defaults to 200.
	Rows int
	// Logger receives the buttons that were pressed. Defaults to [slog.Default].
	Logger *slog.Logger
}

// withDefaults returns a filled copy. The error names every field at fault.
func (o *Options) withDefaults() (Options, error) {
	var f Options
	if o != nil {
		f = *o
	}
	f.MaxRows = cmp.Or(f.MaxRows, 500)
	f.MaxBytes = cmp.Or(f.MaxBytes, 4<<20)
	f.MaxViewers = cmp.Or(f.MaxViewers, 20)
	f.PerName = cmp.Or(f.PerName, 20)
	f.Rows = cmp.Or(f.Rows, 200)
	f.Logger = cmp.Or(f.Logger, slog.Default())
	return f, check.Options("inspector", "Options",
		check.NotNil("Authorize", f.Authorize == nil),
		check.AtLeast("MaxRows", f.MaxRows, 1),
		check.AtMost("MaxRows", f.MaxRows, 100_000),
		check.AtLeast("MaxBytes", f.MaxBytes, maxDetail),
		check.AtLeast("MaxViewers", f.MaxViewers, 1),
		check.AtLeast("PerName", f.PerName, 1),
		check.AtLeast("Rows", f.Rows, 1),
	)
}

// Loopback accepts requests that come from this machine and are for it: their address is a loopback
// address and their host is one too, or "localhost". So a web page elsewhere cannot read the
// inspector through the browser of a developer, by a name that leads to this machine. It is for
// development: behind a proxy on the same machine, every request comes from it.
func Loopback(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() || forwarded(r.Header) {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	to, err := netip.ParseAddr(trimBrackets(host))
	return err == nil && to.Unmap().IsLoopback()
}

// forwarded reports whether a proxy has sent the request on.
func forwarded(h http.Header) bool {
	for _, name := range [...]string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}

func trimBrackets(host string) string {
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}
