package httpsink

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
)

// This file builds one request and sends it: the JSON of an event, the envelope around
// the events, compression, headers, and the round trip.

// appendEvent appends e in the form in which a client of the receiver would send it:
// the canonical form without the members that a server sets, and with the event's time
// as the only time.
//
// That time is Timestamp, which is already corrected for the skew of the client's
// clock. The client's sentAt is left out, or the receiver would correct the time once
// more. So is its originalTimestamp: some receivers take it for the time of the event
// and start over from there. What the receiver may correct is the difference between
// its clock and ours, by the request's sentAt.
//
// Extra is sent unchanged: the reason in a dead letter, and members with reserved names
// that a client sent.
func appendEvent(dst []byte, e *inlet.Event) []byte {
	sent := *e
	if sent.Timestamp.IsZero() {
		sent.Timestamp = e.ReceivedAt // otherwise the receiver uses its own clock
	}
	sent.OriginalTimestamp, sent.SentAt, sent.ReceivedAt = time.Time{}, time.Time{}, time.Time{}
	sent.Source, sent.Dialect, sent.Warnings = nil, "", 0
	return sent.AppendJSON(dst)
}

// appendAbout appends what another Inlet needs in addition to store an equal event, as a list
// of strings: the dialect, the times of the client's clock, and the warnings.
func appendAbout(dst []byte, e *inlet.Event) []byte {
	dst = append(dst, `["`...)
	if isPlain(e.Dialect) {
		dst = append(dst, e.Dialect...)
	}
	for _, t := range [...]time.Time{e.OriginalTimestamp, e.SentAt} {
		dst = append(dst, `","`...)
		if !t.IsZero() {
			dst = t.UTC().AppendFormat(dst, time.RFC3339Nano)
		}
	}
	dst = append(dst, `","`...)
	sep := ""
	for code := range e.Warnings.Codes() {
		dst = append(append(dst, sep...), code...)
		sep = " "
	}
	return append(dst, `"]`...)
}

// isPlain reports whether a text can be in a JSON string as it is.
func isPlain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
}

// The envelope around the events of a request, and around what is said about them.
const (
	envelopeHead  = `{"batch":[`
	envelopeSent  = `],"sentAt":"`
	envelopeTail  = `"}`
	envelopeAbout = `","_inlet":[`
	envelopeEnd   = `]}`
	envelopeTime  = "2006-01-02T15:04:05.000Z"
	plainEnvelope = len(envelopeHead + envelopeSent + envelopeTime + envelopeTail)
	envelopeSize  = len(envelopeHead + envelopeSent + envelopeTime + envelopeAbout + envelopeEnd)
)

// maxRatio limits how well a body may compress: receivers refuse what looks like a
// decompression bomb, Inlet from a ratio of 200 on.
const maxRatio = 100

// A body is the body of a request. It is not pooled: a transport may still read it
// after it has returned the response.
type body struct {
	bytes   []byte
	gzipped bool
}

// newBody returns the body of events, which are encoded with commas between them, and of
// what is said about them, likewise. Its sentAt is now.
func (s *Sink) newBody(events, about []byte) body {
	tail := make([]byte, 0, envelopeSize+len(about))
	tail = append(tail, envelopeSent...)
	tail = time.Now().UTC().AppendFormat(tail, envelopeTime)
	if s.plain {
		tail = append(tail, envelopeTail...)
	} else {
		tail = append(append(append(tail, envelopeAbout...), about...), envelopeEnd...)
	}
	if !s.uncompressed {
		zipped := compress([]byte(envelopeHead), events, tail)
		if len(events)+len(about) <= maxRatio*len(zipped) {
			return body{zipped, true}
		}
	}
	return body{slices.Concat([]byte(envelopeHead), events, tail), false}
}

// A compressor compresses one body after another. It keeps the memory of the encoder,
// which is large compared to a body.
type compressor struct {
	out  bytes.Buffer
	gzip *gzip.Writer
}

// newCompressor uses the fastest level: events resemble each other so much that the
// others gain little.
func newCompressor() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil { // impossible: the level is a valid constant
		panic(err)
	}
	return &compressor{gzip: w}
}

var compressors = sync.Pool{New: newCompressor}

// compress returns the concatenated parts as gzip.
func compress(parts ...[]byte) []byte {
	c := compressors.Get().(*compressor)
	defer compressors.Put(c)
	c.out.Reset()
	c.gzip.Reset(&c.out)
	for _, part := range parts {
		_, _ = c.gzip.Write(part) // writing to a bytes.Buffer does not fail
	}
	_ = c.gzip.Close()
	return bytes.Clone(c.out.Bytes())
}

// newHeader returns the headers that all requests share.
func newHeader(credentials string) http.Header {
	return http.Header{
		"Accept":        {"application/json"},
		"Authorization": {"Basic " + credentials},
		"Content-Type":  {"application/json"},
		"User-Agent":    {"inlet-httpsink"},
	}
}

// gzipEncoding is the value of Content-Encoding, shared by all requests.
var gzipEncoding = []string{"gzip"}

// send sends a parcel to an endpoint. Its error is what Write returns for the events.
func (s *Sink) send(ctx context.Context, endpoint string, b body, key string, p parcel) error {
	bounded, cancel := context.WithTimeoutCause(ctx, s.timeout, s.timeoutCause)
	defer cancel()
	r, err := s.roundTrip(bounded, endpoint, b, key, p.len())
	if err != nil {
		return s.noResponse(ctx, err)
	}
	return r.outcome(p)
}

// roundTrip uses the transport directly: an http.Client would add redirects and
// cookies.
func (s *Sink) roundTrip(ctx context.Context, endpoint string, b body, key string, n int) (*response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(b.bytes))
	if err != nil {
		return nil, err
	}
	r.Header = maps.Clone(s.header)
	r.Header["Idempotency-Key"] = []string{key}
	if b.gzipped {
		r.Header["Content-Encoding"] = gzipEncoding
	}
	response, err := s.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return s.classifier.read(response, n)
}

// noResponse is the error of a request without a response, which may have arrived. It
// is always temporary: if ctx is done, its plain error is reported and not its cause,
// which could be a permanent one.
func (s *Sink) noResponse(ctx context.Context, err error) error {
	if done := ctx.Err(); done != nil {
		err = done
	}
	// the error quotes a malformed response, which may have the write key
	return fmt.Errorf("httpsink: no response, the outcome is unknown: %w", s.secrets.HideError(err))
}
