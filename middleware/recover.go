package middleware

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/order"
)

// RecoverOptions configure [Recover]. A nil pointer means all defaults.
type RecoverOptions struct {
	// Logger receives each panic with its stack. Defaults to [slog.Default].
	Logger *slog.Logger
}

// Recover answers 500 for a handler that panics, and logs the panic with its stack and the id of
// the request. If a part of the response has been sent already, the connection is closed instead,
// so that the client does not mistake that part for the whole. A panic with
// [http.ErrAbortHandler] is passed on: it is not a fault.
func Recover(o *RecoverOptions) func(http.Handler) http.Handler {
	var filled RecoverOptions
	if o != nil {
		filled = *o
	}
	logger := cmp.Or(filled.Logger, slog.Default())
	return func(next http.Handler) http.Handler {
		return at(order.Recover, logger, next, func(w http.ResponseWriter, r *http.Request) {
			rec := record(w, r)
			defer func() {
				if cause := recover(); cause != nil {
					answerPanic(rec, r, logger, cause)
				}
			}()
			next.ServeHTTP(rec, r)
		})
	}
}

// answerPanic logs a panic and answers 500 if nothing has been sent. It must run while the stack
// of the panic still exists.
func answerPanic(w *recorder, r *http.Request, logger *slog.Logger, cause any) {
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	r = withRequestID(w, r)
	logger.ErrorContext(r.Context(), "middleware: handler panicked",
		"panic", fmt.Sprint(cause), "method", clip(r.Method), "path", loggedPath(r, inlet.OutcomeFromContext(r.Context()).Path),
		"requestId", inlet.RequestIDFromContext(r.Context()), "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	for _, name := range bodyHeaders {
		delete(w.Header(), name)
	}
	inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeInternal, Err: fmt.Errorf("panic: %v", cause)})
}

// bodyHeaders describe the body that the handler did not send.
var bodyHeaders = []string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Cache-Control"}

// withRequestID returns the request with an id, so that the answer and the log have the same. A
// layer inside that gave it one has left it in the header of the response.
func withRequestID(w http.ResponseWriter, r *http.Request) *http.Request {
	if inlet.RequestIDFromContext(r.Context()) != "" {
		return r
	}
	id := w.Header().Get(headerRequestID)
	if id == "" {
		id = randomID()
	}
	return inlet.WithRequestID(r, id)
}
