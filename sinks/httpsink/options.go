package httpsink

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// Options configure [New]. A nil pointer means all defaults.
type Options struct {
	// MaxEvents is the maximum number of events in a request. Defaults to 500.
	MaxEvents int
	// MaxBytes is the maximum size of a request's JSON in bytes, before compression. An
	// event that exceeds it alone is sent to /v1/import. Defaults to 490,000, just below the
	// 500 KB that Segment accepts, whether a KB is 1000 or 1024 bytes.
	MaxBytes int
	// MaxEventBytes is the maximum size of an event's JSON in bytes. A larger event is
	// permanently rejected without being sent. Defaults to 4,190,208, what another Inlet
	// accepts by /v1/import, or to what fits into MaxBytes if that is set.
	MaxEventBytes int

	// MaxConcurrent is the maximum number of requests in flight; further Writes wait.
	// Defaults to 16.
	MaxConcurrent int
	// Timeout limits a request, from connecting to the end of the response, unless the
	// context of the Write has an earlier deadline. Defaults to 10 seconds.
	Timeout time.Duration
	// ConnectTimeout limits each of the two steps of connecting: name lookup and TCP,
	// and TLS. To the receiver, the time they take looks like a difference between the
	// clocks. Defaults to 2 seconds, so that both together stay below the 5 seconds
	// that Inlet regards as noise.
	ConnectTimeout time.Duration
	// MaxRetryAfter limits the wait that a response may ask for. Defaults to 5 minutes.
	MaxRetryAfter time.Duration

	// DisableCompression sends bodies uncompressed, for receivers that do not support
	// gzip. Defaults to false.
	DisableCompression bool
	// Plain sends only what Segment documents, to receivers that refuse a member of a
	// request's root that they do not know. Defaults to false: another Inlet gets there what
	// it needs to store equal events.
	Plain bool
	// AllowHTTP permits an endpoint without TLS: the events and the write key are then
	// readable on the network. Defaults to false.
	AllowHTTP bool
	// AllowPrivate permits connections to addresses that are not on the public
	// internet: this machine, private networks. Defaults to false.
	AllowPrivate bool
	// TLSConfig is for receivers whose certificate is from a private authority, or that
	// require client certificates. It is copied; its MinVersion must not be below TLS
	// 1.2. Defaults to nil: the roots of the system.
	TLSConfig *tls.Config
	// Transport sends the requests, for example through a proxy. The caller is then
	// responsible for what the sink's own transport does: AllowPrivate, TLSConfig,
	// ConnectTimeout and proxies. The sink still requires https, does not follow
	// redirects, and applies Timeout and the limit on how much of a response is read.
	// The caller closes the transport. Defaults to nil: a transport of the sink.
	Transport http.RoundTripper

	// Durability states what a 200 of the receiver guarantees, which the response does not
	// show: for an Inlet with a journal, [inlet.DurabilityFsync]. Defaults to
	// [inlet.DurabilityUnknown].
	Durability inlet.Durability

	imports  bool          // events that exceed MaxBytes may be sent as imports
	resolver *net.Resolver // set by tests; nil is the system's
}

// maxImport is what an event may have in a request to /v1/import of another Inlet, of which
// 4 MiB are accepted.
const maxImport = 4<<20 - 4096

// copied returns a copy of o, of the zero value if o is nil.
func (o *Options) copied() (c Options) {
	if o != nil {
		c = *o
	}
	return c
}

// setDefaults fills in the fields that are zero.
func (o *Options) setDefaults() {
	o.MaxEvents = cmp.Or(o.MaxEvents, 500)
	o.imports = o.MaxBytes == 0 || o.MaxEventBytes > o.MaxBytes
	o.MaxBytes = cmp.Or(o.MaxBytes, 490_000)
	o.MaxEventBytes = cmp.Or(o.MaxEventBytes, maxImport)
	o.MaxConcurrent = cmp.Or(o.MaxConcurrent, 16)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 2*time.Second)
	o.MaxRetryAfter = cmp.Or(o.MaxRetryAfter, 5*time.Minute)
	o.TLSConfig = o.TLSConfig.Clone()
}

// limits returns the limits of requests, without their envelopes.
func (o *Options) limits() limits {
	envelope := envelopeSize
	if o.Plain {
		envelope = plainEnvelope
	}
	return limits{o.MaxEvents, o.MaxBytes - envelope, o.MaxEventBytes}
}

// check returns the faults of all fields, as they are before [Options.setDefaults].
func (o *Options) check() error {
	var maxBytes, tlsConfig, minVersion error
	if o.MaxBytes != 0 {
		maxBytes = check.AtLeast("MaxBytes", o.MaxBytes, plainEnvelope+1) // one byte of an event
	}
	if o.TLSConfig != nil && o.Transport != nil {
		tlsConfig = check.Fault("TLSConfig", "has no effect together with Transport")
	}
	if c := o.TLSConfig; c != nil && c.MinVersion != 0 && c.MinVersion < tls.VersionTLS12 {
		minVersion = check.Fault("TLSConfig.MinVersion", "is below TLS 1.2")
	}
	return check.Options("httpsink", "Options",
		check.AtLeast("MaxEvents", o.MaxEvents, 0),
		maxBytes,
		check.AtLeast("MaxEventBytes", o.MaxEventBytes, 0),
		check.AtLeast("MaxConcurrent", o.MaxConcurrent, 0),
		check.AtLeast("Timeout", o.Timeout, 0),
		check.AtLeast("ConnectTimeout", o.ConnectTimeout, 0),
		check.AtLeast("MaxRetryAfter", o.MaxRetryAfter, 0),
		tlsConfig,
		minVersion,
		check.AtLeast("Durability", o.Durability, inlet.DurabilityUnknown),
		check.AtMost("Durability", o.Durability, inlet.DurabilityReplicated),
	)
}
