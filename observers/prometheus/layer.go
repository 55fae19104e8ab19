package inletprom

import (
	"context"
	"net/http"
	"strings"

	"github.com/inlet-go/inlet/middleware"
)

// traceLabel is the label of exemplars that has the id of the trace.
const traceLabel = "trace_id"

// maxTrace is how many bytes an id may have: the client library permits 128 with the label.
const maxTrace = 64

// traceKey is the context key of the id of a trace, a string.
type traceKey struct{}

// Layer counts the requests to next, also those that layers inside answer, and those that are in
// flight: it is the outermost layer. A handler inside may have the metrics as its Observer, for
// events of Ingest; requests are counted once, and as in flight by each Layer that they pass.
//
// Without [Options].TraceID, a header traceparent that says that its trace is recorded gives the
// exemplars of the request their trace_id. Clients of a server without a proxy can send any; it is
// an id and nothing else.
func (m *Metrics) Layer(next http.Handler) http.Handler {
	m.layered.Store(true)
	observed := middleware.Observe(m)(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.inFlight.Add(1)
		defer m.inFlight.Add(-1)
		if m.o.TraceID == nil {
			r = withTrace(r)
		}
		observed.ServeHTTP(w, r)
	})
}

// withTrace returns the request with the id of the trace of its header, if there is one.
func withTrace(r *http.Request) *http.Request {
	id := traceIn(r.Header)
	if id == "" {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), traceKey{}, id))
}

// traceID returns the id of the trace that a context belongs to, or "".
func (m *Metrics) traceID(ctx context.Context) string {
	if m.o.TraceID != nil {
		return m.o.TraceID(ctx)
	}
	id, _ := ctx.Value(traceKey{}).(string)
	return id
}

// traceIn returns the id of the trace in the header traceparent of the W3C, or "" if there is none
// that is valid and recorded.
//
// Source: https://www.w3.org/TR/trace-context/#traceparent-header
func traceIn(h http.Header) string {
	const form = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	values := h["Traceparent"]
	if len(values) != 1 || len(values[0]) < len(form) {
		return ""
	}
	header := values[0]
	version, trace, parent, flags := header[:2], header[3:35], header[36:52], header[53:55]
	switch {
	case header[2] != '-' || header[35] != '-' || header[52] != '-',
		!isHex(version) || !isHex(trace) || !isHex(parent) || !isHex(flags),
		version == "ff", version == "00" && len(header) > len(form), len(header) > len(form) && header[len(form)] != '-',
		strings.Trim(trace, "0") == "", strings.Trim(parent, "0") == "",
		!strings.ContainsRune("13579bdf", rune(flags[1])):
		return ""
	}
	return strings.Clone(trace)
}

// isHex reports whether a text has only the digits that the header may have.
func isHex(text string) bool { return strings.Trim(text, "0123456789abcdef") == "" }
