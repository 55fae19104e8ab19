package inlet

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

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
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	s := stateOf(r.Context())
	if s == nil {
		s = &state{Context: r.Context()}
	}
	route := s.route()
	if route == nil {
		route, _ = s.match(builtinRoutes(), r)
	}
	out := answer{err: err, route: route}
	s.setOutcome(out.outcome())
	reply := out.render(w.Header(), s)
	reply.write(w, answerTimeout)
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
	status int    // 0 for the implicit 200
	body   []byte // nil for none
	rest   bool   // the rest of the request's body may still arrive
}

// write sends the reply, with a deadline for its client. The server clears the deadline
// before the next request.
func (r *reply) write(w http.ResponseWriter, timeout time.Duration) {
	now := time.Now()
	setDeadlines(w, now, timeout, r.rest)
	if r.status != 0 {
		w.WriteHeader(r.status)
	}
	if r.body != nil {
		w.Write(r.body)
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
	code := o.code()
	status := code.Status()
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
	out := Outcome{Status: o.status(), Code: o.code(), Accepted: o.accepted, Rejected: len(o.rejects), Rejects: o.rejects}
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
