package middleware

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/inlet-go/inlet"
)

// RecoverOptions configure [Recover]. Nil is all defaults.
type RecoverOptions struct {
	// Logger gets each panic with its stack. Defaults to [slog.Default], as it
	// is when the panic happens.
	Logger *slog.Logger
}

// Recover answers 500 for a handler that panics, and logs the panic with its
// stack and the request's id. If a part of the answer is out already, the
// connection is cut instead, so that the client does not take that part for the
// whole. A panic with [http.ErrAbortHandler] is passed on: it is no fault.
func Recover(o *RecoverOptions) func(http.Handler) http.Handler {
	var logger *slog.Logger
	if o != nil {
		logger = o.Logger
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := record(w)
			defer func() {
				if cause := recover(); cause != nil {
					recovered(rec, r, logger, cause)
				}
			}()
			next.ServeHTTP(rec, r)
		})
	}
}

// recovered is what follows a panic. It runs while the stack of the panic is
// still there.
func recovered(w *recorder, r *http.Request, logger *slog.Logger, cause any) {
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	r = identified(w, r)
	orDefault(logger).ErrorContext(r.Context(), "inlet: a handler panicked",
		"panic", fmt.Sprint(cause), "method", clip(r.Method), "path", loggedPath(r),
		"requestId", inlet.RequestIDFromContext(r.Context()), "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	for _, name := range bodyHeaders {
		delete(w.Header(), name)
	}
	inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeInternal, Err: fmt.Errorf("panic: %v", cause)})
}

// bodyHeaders describe a body that will not come.
var bodyHeaders = []string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Cache-Control"}

// identified gives the request an id, so that the answer and the log name the
// same. A layer inside that gave it one has left it in the answer's header.
func identified(w http.ResponseWriter, r *http.Request) *http.Request {
	if inlet.RequestIDFromContext(r.Context()) != "" {
		return r
	}
	id := w.Header().Get(headerRequestID)
	if id == "" {
		id = rand.Text()
	}
	return inlet.WithRequestID(r, id)
}

func orDefault(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return slog.Default()
	}
	return logger
}
