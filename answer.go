package inlet

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/lanes"
	"github.com/inlet-go/inlet/internal/wire"
)

// Values of headers, made once: net/http does not change them.
var (
	jsonType        = []string{"application/json"}
	gifType         = []string{"image/gif"}
	noSniff         = []string{"nosniff"}
	closeConnection = []string{"close"}
)

var successBody = []byte(`{"success":true}`)

// pixelBody is a transparent GIF of one pixel.
var pixelBody = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

// WriteError answers a request that is refused, in the form of its route, as the handler
// would. It is for layers around the handler, so that an SDK understands their refusals,
// too. The route is the one that a layer of this module has matched; before any such layer
// it is that of the built-in dialects. An error that is not an [*Error] is answered 500
// without its text.
func WriteError(w http.ResponseWriter, r *http.Request, err error) { writeError(w, r, err, nil) }

// writeError is WriteError for a layer that reads bodies, or nil for one that does not.
func writeError(w http.ResponseWriter, r *http.Request, err error, own *bodies) {
	s := stateOf(r.Context())
	if s == nil {
		s = &state{Context: r.Context()}
	}
	route := s.route()
	if route == nil {
		route, _ = s.match(builtinRoutes(), r)
	}
	out := answer{err: err, route: route}
	outcome := out.outcome()
	if outcome.Source = s.source.Load(); outcome.Source == nil {
		outcome.Source = s.refused.Load()
	}
	s.setOutcome(outcome)
	reply := out.render(w.Header(), s)
	reply.expect(w, r, s, own)
	s.turn.End() // before a client takes its time
	reply.write(w, time.Now(), answerTimeout)
	s.payload.Load().leaveSlot()
	reply.drain(w)
}

func writeSuccess(w http.ResponseWriter) {
	w.Header()["Content-Type"] = jsonType
	w.Write(successBody)
}

const (
	// answerTimeout is how long a client may take to receive an answer.
	answerTimeout = 10 * time.Second
	// shortAnswerTimeout is the same while many clients take their time: an eighth of the
	// requests that the handler lets in.
	shortAnswerTimeout = time.Second
	// smallReply is the largest body that the server buffers, whatever the client does: a
	// write of it never waits.
	smallReply = 2 << 10
)

// A reply is an answer as it is sent. It holds no memory of the request.
type reply struct {
	status int               // 0 for the implicit 200
	body   []byte            // nil for none
	rest   bool              // the rest of the request's body may still arrive
	final  bool              // the client must not come again, or only later, so it must see the reply
	unread io.Reader         // the rest of the body, if it is to be read
	rests  *admission.Shares // that count it for its client, or nil
	client netip.Addr
	lane   lanes.Lane
}

// write sends the reply now, with a deadline for its client. The server clears the deadline
// before the next request.
func (r *reply) write(w http.ResponseWriter, now time.Time, timeout time.Duration) {
	setDeadlines(w, now, timeout, r.rest)
	if r.status != 0 {
		w.WriteHeader(r.status)
	}
	if r.body != nil {
		w.Write(r.body)
	}
}

// What is read of a body that was refused before all of it had arrived: up to a size that no
// client has a reason to send, and for as long as a body may take by default. A piece of it has
// restTimeout to arrive.
const (
	maxRest     = 16 << 20
	maxRestTime = 10 * time.Second
	restPiece   = 64 << 10
)

// expect decides, before the reply is written, whether the rest of the body is to be read
// after it.
//
// Where a server closes a connection on which bytes are unread, the client's system discards
// the answer. The client, or a proxy in between, then sees a reset instead of a refusal, and
// sends the same request again. The server of net/http reads the rest of short bodies on
// connections that it keeps, and none on those that it closes, which are all of HTTP/1.0.
//
// A client has as many rests read as it may have bodies, by the layer that would have read this
// body or, if there is none, the refusing one. What other layers refuse is not counted: it holds
// its connection for no longer than a client may that sends nothing at all.
func (r *reply) expect(w http.ResponseWriter, req *http.Request, s *state, own *bodies) {
	if !r.final || req.ProtoMajor != 1 || req.Body == nil || req.Body == http.NoBody || isAwaited(req) {
		return
	}
	if _, ok := req.Context().Value(http.ServerContextKey).(*http.Server); !ok {
		return // there is no connection
	}
	if r.unread = s.unread(req); r.unread == nil {
		return
	}
	if r.status != 0 {
		w.Header()["Content-Length"] = []string{strconv.Itoa(len(r.body))} // the server would not know it yet
	}
	if p := s.payload.Load(); p != nil {
		own = p.readBy()
	}
	if own != nil {
		r.rests, r.client, r.lane = own.rests, s.client(req), s.lane
	}
}

// isAwaited reports whether the client sends its body only when it is asked to: a refusal
// spares it that.
func isAwaited(r *http.Request) bool {
	return strings.EqualFold(firstValue(r.Header["Expect"]), "100-continue")
}

// unread returns the body that the client sends, nil if all of it has arrived.
func (s *state) unread(r *http.Request) io.Reader {
	p := s.payload.Load()
	switch {
	case p == nil:
		return r.Body
	case p.deferred == nil, p.deferred.done.Load() && p.deferred.err == nil:
		return nil
	}
	return p.deferred.r.Body
}

// drain sends the reply, and reads the rest of the body, unless its client has as many
// of them read as it may. The request must not take a place of others meanwhile.
func (r *reply) drain(w http.ResponseWriter) {
	if r.unread == nil {
		return
	}
	if r.rests != nil {
		if r.rests.Enter(r.lane, r.client) != nil {
			return
		}
		defer r.rests.Leave(r.lane, r.client)
	}
	c := http.NewResponseController(w)
	end := time.Now().Add(maxRestTime)
	err := c.Flush()
	for n := 0; err == nil && n < maxRest && time.Now().Before(end); n += restPiece {
		if err = c.SetReadDeadline(time.Now().Add(restTimeout)); err == nil {
			_, err = io.CopyN(io.Discard, r.unread, restPiece)
		}
	}
}

// setDeadlines sets the deadlines for an answer and for the rest of the body before it. It
// does what [http.ResponseController] does, without an error for a server that supports
// none.
func setDeadlines(w http.ResponseWriter, now time.Time, timeout time.Duration, rest bool) {
	written, read := false, !rest
	for !written || !read {
		if d, ok := w.(interface{ SetWriteDeadline(time.Time) error }); ok && !written {
			written = d.SetWriteDeadline(now.Add(timeout)) == nil
		}
		if d, ok := w.(interface{ SetReadDeadline(time.Time) error }); ok && !read {
			read = d.SetReadDeadline(now.Add(restTimeout)) == nil
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = inner.Unwrap()
	}
}

// answer is the answer to a request. Nothing else writes one.
type answer struct {
	err      error
	route    *boundRoute
	body     []byte // of a success, if it is not the usual one
	accepted int
	rejects  []Reject
}

// code returns why the request was refused, or "".
func (o *answer) code() Code {
	if o.err == nil {
		return ""
	}
	return asError(o.err).Code
}

func (o *answer) form() Form {
	if o.route == nil {
		return FormJSON
	}
	return o.route.Form
}

// status returns the HTTP status.
func (o *answer) status() int {
	code, status := o.code(), http.StatusOK
	if o.err != nil {
		status = asError(o.err).status()
	}
	switch {
	case o.form() == FormPixel:
		return http.StatusOK
	case code == "" && o.form() == FormEmpty && len(o.rejects) == 0:
		return http.StatusNoContent
	case code == "":
		return http.StatusOK
	case o.form() == FormLenient && len(o.rejects) > 0 && code != CodeStrictMode && status == http.StatusBadRequest:
		return http.StatusOK
	}
	return status
}

// outcome returns the record of the answer.
func (o *answer) outcome() Outcome {
	out := Outcome{Status: o.status(), Code: o.code(), Accepted: o.accepted, Rejected: len(o.rejects), Rejects: keptRejects(o.rejects)}
	if o.route != nil {
		out.Dialect, out.Path = o.route.dialect, o.route.Path
	}
	if o.err != nil {
		out.Err = asError(o.err).Err
	}
	return out
}

// render sets the headers of the answer, and returns the rest of it.
func (o *answer) render(header http.Header, s *state) reply {
	switch {
	case o.form() == FormPixel:
		return o.renderPixel(header)
	case o.err != nil:
		return o.renderError(header, s)
	case o.form() == FormEmpty && len(o.rejects) == 0:
		return reply{status: http.StatusNoContent}
	}
	header["Content-Type"] = jsonType
	switch {
	case len(o.rejects) > 0:
		return reply{body: append(o.appendRejects([]byte(`{"success":true`)), '}')}
	case o.body != nil:
		return reply{body: o.body}
	}
	return reply{body: successBody}
}

func (o *answer) renderPixel(header http.Header) reply {
	header["Content-Type"], header["Cache-Control"] = gifType, noStore
	if code := o.code(); code != "" {
		header["X-Inlet-Error"] = []string{string(code)}
	}
	return reply{body: pixelBody}
}

// pixelWarnings logs why pixels are not stored, since no page sees their answers: once for
// each source and cause. The zero value is ready.
type pixelWarnings struct {
	mutex sync.Mutex
	said  map[pixelCause]bool
}

type pixelCause struct {
	source string // its ID, "" if it is not known
	code   Code
}

// maxPixelCauses is how many causes are logged at most, of all sources together.
const maxPixelCauses = 1024

// first reports whether a cause is to be logged. A nil source is one that is not known.
func (p *pixelWarnings) first(source *Source, code Code) bool {
	cause := pixelCause{code: code}
	if source != nil {
		cause.source = source.ID
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.said[cause] || len(p.said) >= maxPixelCauses {
		return false
	}
	if p.said == nil {
		p.said = map[pixelCause]bool{}
	}
	p.said[cause] = true
	return true
}

// warn logs the error of a pixel, unless the same was logged before.
func (p *pixelWarnings) warn(ctx context.Context, logger *slog.Logger, route *boundRoute, source *Source, err error) {
	code := asError(err).Code
	if !p.first(source, code) {
		return
	}
	attrs := []slog.Attr{slog.String("code", string(code)), slog.String("path", route.Path)}
	if source != nil {
		attrs = append(attrs, slog.String("source", source.ID))
	}
	logger.LogAttrs(ctx, slog.LevelWarn, "inlet: pixel not stored; others of this source with the same code are not logged", attrs...)
}

func (o *answer) renderError(header http.Header, s *state) reply {
	e := asError(o.err)
	if e.Code == CodeInternal && RequestIDFromContext(s) == "" {
		id := newID(new(strings.Builder))
		s.requestID.Store(&id)
	}
	o.setHeaders(header, e)
	return reply{
		status: o.status(),
		body:   o.appendError(nil, e, RequestIDFromContext(s)),
		rest:   e.Code != CodeBodyTimeout, // whose time is over
		final:  !e.Code.Retryable() || e.Code == CodeRateLimited,
	}
}

// restTimeout is how long the rest of a refused body may take to arrive. The server reads a
// short rest to its end before it answers, and would otherwise wait forever for a client
// that sends no more.
const restTimeout = 2 * time.Second

func (o *answer) setHeaders(header http.Header, e *Error) {
	header["Content-Type"], header["X-Content-Type-Options"] = jsonType, noSniff
	if method, ok := errors.AsType[*methodError](o.err); ok {
		header["Allow"] = []string{method.allow}
	}
	if e.Code == CodeShuttingDown {
		header["Connection"] = closeConnection
	}
	if wait := e.retryAfter(); wait > 0 {
		seconds := []string{strconv.Itoa(int((wait-1)/time.Second) + 1)}
		header["Retry-After"] = seconds
		if e.Code == CodeRateLimited {
			header["X-Ratelimit-Reset"] = seconds
		}
	}
}

// answerSize returns about how much memory an answer that lists the rejects needs at most, with
// the rejects that its outcome keeps.
func answerSize(rejects []Reject) int64 {
	n := 0
	for i := range min(len(rejects), maxListed) {
		r := &rejects[i]
		n += 128 + len(r.MessageID) + len(r.Code) + len(r.Message) + len(r.Field)
	}
	return int64(2*min(n, maxListedBytes+4*maxText)) + rejectsSize(rejects[:min(len(rejects), maxKept)])
}

// maxKept is how many rejects an outcome keeps.
const maxKept = 16

// keptRejects returns the first rejects, in memory that is neither that of the others nor that
// of events: an outcome may be kept for long.
func keptRejects(rejects []Reject) []Reject {
	if len(rejects) <= 1 {
		return rejects
	}
	kept := slices.Clone(rejects[:min(len(rejects), maxKept)])
	for i := range kept {
		kept[i].MessageID, kept[i].Name = strings.Clone(kept[i].MessageID), strings.Clone(kept[i].Name)
	}
	return kept
}

// rejectsSize returns how much memory rejects are.
func rejectsSize(rejects []Reject) (n int64) {
	for i := range rejects {
		n += int64(rejectSize + len(rejects[i].MessageID) + len(rejects[i].Message))
	}
	return n
}

// appendError appends the body of a refusal. SDKs need all three of code, message and
// error.
func (o *answer) appendError(dst []byte, e *Error, requestID string) []byte {
	dst = append(dst, `{"success":false`...)
	dst = appendShort(dst, `,"code":`, string(e.Code))
	dst = appendShort(dst, `,"message":`, e.text())
	dst = appendShort(dst, `,"error":`, e.text())
	dst = appendShort(dst, `,"field":`, e.Field)
	if e.Code == CodeInvalidJSON {
		dst = strconv.AppendInt(append(dst, `,"offset":`...), e.Offset, 10)
	}
	if e.Code == CodeInternal {
		dst = appendShort(dst, `,"requestId":`, requestID)
	}
	if len(o.rejects) > 0 {
		dst = o.appendRejects(dst)
	}
	return append(dst, '}')
}

// How much an answer lists: events, and bytes of it in all.
const (
	maxListed      = 100
	maxListedBytes = 32 << 10
)

// appendRejects appends how many events were accepted, and which were not. If it cannot
// list all of them, it also appends how many they are.
func (o *answer) appendRejects(dst []byte) []byte {
	begun := len(dst)
	dst = strconv.AppendInt(append(dst, `,"accepted":`...), int64(o.accepted), 10)
	dst = append(dst, `,"rejected":[`...)
	for i, reject := range o.rejects {
		if i == maxListed || len(dst)-begun > maxListedBytes {
			dst = strconv.AppendInt(append(dst, `],"rejectedCount":`...), int64(len(o.rejects)), 10)
			return dst
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(dst, `{"index":`...), int64(reject.Index), 10)
		dst = appendShort(dst, `,"messageId":`, reject.MessageID)
		dst = appendShort(dst, `,"code":`, string(reject.Code))
		dst = appendShort(dst, `,"message":`, reject.Message)
		dst = append(appendShort(dst, `,"field":`, reject.Field), '}')
	}
	return append(dst, ']')
}

// maxText bounds a text of an answer, in bytes. A name of a client's may be in it.
const maxText = 1 << 10

// appendShort appends a member, unless it is empty.
func appendShort(dst []byte, member, s string) []byte {
	if s == "" {
		return dst
	}
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "..."
	}
	return wire.AppendString(append(dst, member...), s)
}

// A refusalLog logs why events and requests are refused: for each source and code one line a
// minute, about the first of those that it counts. The zero value is ready.
type refusalLog struct {
	mu    sync.Mutex
	lines map[refusalKey]*sampled
}

type refusalKey struct {
	source string
	code   Code
}

// maxRefusalKeys is how many sources and codes are told apart. The others share a line.
const maxRefusalKeys = 1024

func (l *refusalLog) line(k refusalKey) *sampled {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.lines[k]
	if line == nil && len(l.lines) >= maxRefusalKeys {
		k = refusalKey{}
		line = l.lines[k]
	}
	if line == nil {
		if l.lines == nil {
			l.lines = map[refusalKey]*sampled{}
		}
		line = new(sampled)
		l.lines[k] = line
	}
	return line
}

// log logs the refusals of a request. A request that is refused as a whole is logged only if its
// source is known. What is logged as an error is not logged again.
func (l *refusalLog) log(ctx context.Context, logger *slog.Logger, o *Outcome, err error) {
	if o.Source == nil {
		return
	}
	source := o.Source.ID
	now := time.Now()
	var codes []Code
	for i := range o.Rejects {
		if r := &o.Rejects[i]; !slices.Contains(codes, r.Code) {
			codes = append(codes, r.Code)
			l.count(ctx, logger, now, o, source, r)
		}
	}
	if e, ok := errors.AsType[*Error](err); ok && len(codes) == 0 && e.status() < http.StatusInternalServerError {
		l.count(ctx, logger, now, o, source, &Reject{Problem: Problem{e.Code, e.text(), e.Field}})
	}
}

// count counts what is refused like r, and logs r if it is time.
func (l *refusalLog) count(ctx context.Context, logger *slog.Logger, now time.Time, o *Outcome, source string, r *Reject) {
	alike := 0
	for i := range o.Rejects {
		if o.Rejects[i].Code == r.Code {
			alike++
		}
	}
	n, ok := l.line(refusalKey{source, r.Code}).next(now, max(alike, 1))
	if !ok {
		return
	}
	attrs := []slog.Attr{slog.String("code", string(r.Code)), slog.Int64("refused", n)}
	for _, a := range [...]struct{ name, text string }{
		{"source", source}, {"dialect", o.Dialect}, {"path", o.Path}, {"reason", r.Message}, {"field", r.Field},
		{"type", string(r.Type)}, {"event", r.Name}, {"messageId", r.MessageID},
	} {
		if a.text != "" {
			attrs = append(attrs, slog.String(a.name, short(a.text)))
		}
	}
	logger.LogAttrs(ctx, slog.LevelWarn, "inlet: refused", attrs...)
}

// maxLogged bounds a text of a client's in a log, in bytes.
const maxLogged = 256

func short(text string) string {
	if len(text) > maxLogged {
		return strings.ToValidUTF8(text[:maxLogged], "") + "..."
	}
	return text
}
