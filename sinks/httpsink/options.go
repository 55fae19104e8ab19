package httpsink

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/inlet-go/inlet"
)

// Options are the options of [New]. nil and the zero value stand for the
// defaults.
type Options struct {
	// MaxEvents is the most events of a request. Defaults to 500.
	MaxEvents int
	// MaxBytes is the most bytes of JSON of a request, before compression.
	// Defaults to 490,000, just below the 500 KB that Segment takes, whatever it
	// means by KB.
	MaxBytes int
	// MaxEventBytes is the most bytes of JSON of an event; a larger one is
	// refused for good without being sent. One that leaves no room in MaxBytes is
	// too large in any case. Defaults to 32,768, which is what Segment takes.
	MaxEventBytes int

	// MaxConcurrent is how many requests may be in flight; further Writes wait.
	// Defaults to 16.
	MaxConcurrent int
	// Timeout bounds a request, from its connection to the end of its answer,
	// where the context of the Write has no earlier deadline. Defaults to 10
	// seconds.
	Timeout time.Duration
	// ConnectTimeout bounds each of the two steps of a connection: TCP with the
	// look-up of the name, and TLS. What they take a receiver sees as a
	// difference between the clocks. Defaults to 2 seconds, so that both
	// together stay below the 5 that Inlet takes for noise.
	ConnectTimeout time.Duration
	// MaxRetryAfter is the longest wait that is taken from an answer. Defaults
	// to 5 minutes.
	MaxRetryAfter time.Duration

	// DisableCompression sends bodies as they are, for receivers that do not
	// take gzip. Defaults to false.
	DisableCompression bool
	// AllowHTTP takes an endpoint without TLS: whoever is on the way then reads
	// the events and the write key. Defaults to false.
	AllowHTTP bool
	// AllowPrivate connects to addresses that are not of the public internet,
	// too: of this machine, of a private network. Defaults to false.
	AllowPrivate bool
	// TLSConfig is for receivers with a certificate of a private authority, or
	// that ask for one. It is copied; its MinVersion may not be below TLS 1.2.
	// Defaults to nil: the roots of the system.
	TLSConfig *tls.Config
	// Transport sends the requests instead, such as one that goes through a
	// proxy. What the sink's own does is then the caller's: AllowPrivate,
	// TLSConfig, ConnectTimeout and proxies. What remains is the sink's: https,
	// no redirects, Timeout, and how much of an answer is read. It stays the
	// caller's to close. Defaults to nil: a transport of the sink's own.
	Transport http.RoundTripper

	// Durability is what a 200 of the receiver is worth, which it does not tell:
	// for an Inlet with a journal [inlet.DurabilityFsync]. Defaults to
	// [inlet.DurabilityUnknown].
	Durability inlet.Durability

	resolver *net.Resolver // injected by tests; the system's if nil
}

// withDefaults returns a filled copy. The error names the field at fault.
func (o *Options) withDefaults() (Options, error) {
	var f Options
	if o != nil {
		f = *o
	}
	if err := f.check(); err != nil {
		return f, fmt.Errorf("httpsink: Options.%w", err)
	}
	f.MaxEvents = cmp.Or(f.MaxEvents, 500)
	f.MaxBytes = cmp.Or(f.MaxBytes, 490_000)
	f.MaxEventBytes = min(cmp.Or(f.MaxEventBytes, 32_768), f.MaxBytes-envelopeSize)
	f.MaxConcurrent = cmp.Or(f.MaxConcurrent, 16)
	f.Timeout = cmp.Or(f.Timeout, 10*time.Second)
	f.ConnectTimeout = cmp.Or(f.ConnectTimeout, 2*time.Second)
	f.MaxRetryAfter = cmp.Or(f.MaxRetryAfter, 5*time.Minute)
	f.TLSConfig = f.TLSConfig.Clone()
	return f, nil
}

func (o *Options) check() error {
	switch {
	case o.TLSConfig != nil && o.Transport != nil:
		return errors.New("TLSConfig: has no effect beside a Transport")
	case o.TLSConfig != nil && o.TLSConfig.MinVersion != 0 && o.TLSConfig.MinVersion < tls.VersionTLS12:
		return errors.New("TLSConfig: MinVersion is below TLS 1.2")
	case o.MaxBytes != 0 && o.MaxBytes <= envelopeSize:
		return fmt.Errorf("MaxBytes: %d leaves no room for an event", o.MaxBytes)
	case o.Durability < inlet.DurabilityUnknown || o.Durability > inlet.DurabilityReplicated:
		return fmt.Errorf("Durability: %v is not known", o.Durability)
	}
	return errors.Join(
		notNegative("MaxEvents", o.MaxEvents),
		notNegative("MaxEventBytes", o.MaxEventBytes),
		notNegative("MaxConcurrent", o.MaxConcurrent),
		notNegative("Timeout", o.Timeout),
		notNegative("ConnectTimeout", o.ConnectTimeout),
		notNegative("MaxRetryAfter", o.MaxRetryAfter),
	)
}

func notNegative[T cmp.Ordered](field string, value T) error {
	var zero T
	if value < zero {
		return fmt.Errorf("%s: %v is negative", field, value)
	}
	return nil
}
