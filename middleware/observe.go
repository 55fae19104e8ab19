package middleware

import (
	"net/http"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// Observe notifies o of every request, once, after it was answered: whether by the handler, by a
// layer inside, such as Auth, RateLimit or CORS, by any other handler, or by a panic. A handler
// inside that has o as its Observer leaves requests to this layer, and notifies it of Ingest.
//
// The outcome is that of the layer or handler that answered. Of another one, only the status and
// the duration are known. The status is that which was sent; a request whose handler panicked
// before it answered has 500.
//
// It is the outermost layer, outside of [Recover]. Observe panics if o is nil.
func Observe(o inlet.Observer) func(http.Handler) http.Handler {
	must(check.Options("middleware", "Observe", check.NotNil("the observer", o == nil)))
	return func(next http.Handler) http.Handler {
		return &shown{next: next, HandlerFunc: func(w http.ResponseWriter, r *http.Request) {
			r, first := inlet.WithObserver(r, o)
			if !first {
				next.ServeHTTP(w, r)
				return
			}
			a := access{w: record(w, r), r: r, began: time.Now(), panicked: true}
			defer func() {
				out := a.outcome()
				o.ObserveRequest(r.Context(), &out)
			}()
			next.ServeHTTP(a.w, r)
			a.panicked = false
		}}
	}
}

// outcome returns what became of the request.
func (a *access) outcome() inlet.Outcome {
	out := inlet.OutcomeFromContext(a.r.Context())
	out.Status = a.status()
	if out.Duration == 0 {
		out.Duration = time.Since(a.began)
	}
	if a.panicked && a.w.status == 0 {
		out.Code = inlet.CodeInternal
	}
	return out
}
