package inletotel

import (
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel/trace"

	"github.com/inlet-go/inlet"
)

// member is where the span of an event's request is in the event, in the form of the W3C.
const member = "context.traceparent"

// traceparentLength is the length of a traceparent of version 00.
const traceparentLength = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")

// Enrich is an [inlet.Enricher] that stores the span of a sampled request in its events, as
// context.traceparent in the form of the W3C, about 75 bytes in each. So deliveries of another
// process, and after a restart, can be linked ([Options].StoredLinks), and whatever reads the
// events can find the trace. It removes what a client has put there.
func (t *Telemetry) Enrich(ctx context.Context, e *inlet.Event) {
	if c := trace.SpanContextFromContext(ctx); c.IsValid() && c.IsSampled() {
		_ = e.Set(member, traceparent(c)) // without an object to put it into, the event has no link
		return
	}
	if _, there := e.Get(member); there {
		_ = e.Set(member, nil)
	}
}

func traceparent(c trace.SpanContext) string {
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-01"
}

// storedSpan returns the span that Enrich has stored, or the zero value.
func storedSpan(e *inlet.Event) (id spanID) {
	text, _ := e.Get(member)
	if len(text) != traceparentLength+2 || string(text[:4]) != `"00-` || string(text[len(text)-4:]) != `-01"` || text[36] != '-' {
		return spanID{}
	}
	_, failed := hex.Decode(id.trace[:], text[4:36])
	if _, err := hex.Decode(id.span[:], text[37:53]); err != nil || failed != nil || !id.trace.IsValid() || !id.span.IsValid() {
		return spanID{}
	}
	return id
}
