package httpsink

import (
	"net"
	"net/http"
	"time"
)

const (
	// idleTimeout is how long a connection is kept for the next request: less
	// than what load balancers commonly do.
	idleTimeout = 30 * time.Second
	// maxAnswerHeader is the most bytes of an answer's header that are read.
	maxAnswerHeader = 64 << 10
)

// newTransport returns a transport that resolves, connects and checks as the
// options say. It uses no proxy of the environment: that would be asked to
// connect to addresses that nobody here has seen. It speaks HTTP/1.1, in which a
// request that hangs holds up its own connection and no other's.
func newTransport(o *Options) *http.Transport {
	dialer := &net.Dialer{Timeout: o.ConnectTimeout, Resolver: o.resolver}
	if !o.AllowPrivate {
		dialer.Control = controlPublic
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        o.TLSConfig,
		TLSHandshakeTimeout:    o.ConnectTimeout,
		MaxIdleConnsPerHost:    o.MaxConcurrent,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true,
		Protocols:              &protocols,
	}
}
