package inlet

import (
	"cmp"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// What [Harden] sets.
const (
	hardHeaderTimeout = 5 * time.Second
	hardIdleTimeout   = 60 * time.Second
	hardHeaderBytes   = 64 << 10
)

// Harden bounds on s what a handler cannot, since it is called too late for it:
// how long a client may take over its headers (ReadHeaderTimeout, 5 seconds), how
// long an idle connection is kept (IdleTimeout, 60 seconds), and how large headers
// may be (MaxHeaderBytes, 64 KiB: a pixel's event stands in its URL, which counts).
// What is set already stays. It leaves alone ReadTimeout and WriteTimeout, which
// would end the long downloads and streams that the host may have beside the API;
// bodies that the API reads have a time of their own.
//
// Call it before the server serves. It returns s.
func Harden(s *http.Server) *http.Server {
	s.ReadHeaderTimeout = cmp.Or(s.ReadHeaderTimeout, hardHeaderTimeout)
	s.IdleTimeout = cmp.Or(s.IdleTimeout, hardIdleTimeout)
	s.MaxHeaderBytes = cmp.Or(s.MaxHeaderBytes, hardHeaderBytes)
	return s
}

// serverCheck looks once at the server that a handler is called by.
type serverCheck struct{ done atomic.Bool }

// look warns if the server waits for headers for ever. After the first request it
// costs a load.
func (c *serverCheck) look(r *http.Request, logger *slog.Logger) {
	if c.done.Load() || c.done.Swap(true) {
		return
	}
	s, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if ok && s.ReadHeaderTimeout <= 0 && s.ReadTimeout <= 0 {
		logger.WarnContext(r.Context(), "inlet: the http.Server has no ReadHeaderTimeout: a client may hold a connection for ever; see inlet.Harden")
	}
}
