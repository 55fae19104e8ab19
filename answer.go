package inlet

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
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
	out.write(w, s)
}

func writeSuccess(w http.ResponseWriter) {
	w.Header()["Content-Type"] = jsonType
	w.Write(successBody)
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

// write answers.
func (o *answer) write(w http.ResponseWriter, s *state) {
	switch {
	case o.form() == FormPixel:
		o.writePixel(w)
	case o.err != nil:
		o.writeError(w, s)
	case o.form() == FormEmpty && len(o.rejects) == 0:
		w.WriteHeader(http.StatusNoContent)
	case len(o.rejects) > 0:
		w.Header()["Content-Type"] = jsonType
		w.Write(append(o.appendRejects([]byte(`{"success":true`)), '}'))
	case o.body != nil:
		w.Header()["Content-Type"] = jsonType
		w.Write(o.body)
	default:
		writeSuccess(w)
	}
}

func (o *answer) writePixel(w http.ResponseWriter) {
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = gifType, noStore
	if code := o.code(); code != "" {
		header["X-Inlet-Error"] = []string{string(code)}
	}
	w.Write(pixelBody)
}

func (o *answer) writeError(w http.ResponseWriter, s *state) {
	e := asError(o.err)
	if e.Code == CodeInternal && RequestIDFromContext(s) == "" {
		id := newID(new(strings.Builder))
		s.requestID.Store(&id)
	}
	o.setHeaders(w.Header(), e)
	boundRest(w, e)
	w.WriteHeader(o.status())
	w.Write(o.appendError(nil, e, RequestIDFromContext(s)))
}

// restTimeout is how long the rest of a refused body may take to arrive. The server reads a
// short rest to its end before it answers, and would otherwise wait forever for a client
// that sends no more.
const restTimeout = 5 * time.Second

// boundRest sets the deadline for the rest of the body, unless its time is over already.
func boundRest(w http.ResponseWriter, e *Error) {
	if e.Code != CodeBodyTimeout {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(restTimeout))
	}
}

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
	dst = appendText(dst, `,"code":`, string(e.Code))
	dst = appendText(dst, `,"message":`, e.text())
	dst = appendText(dst, `,"error":`, e.text())
	dst = appendText(dst, `,"field":`, e.Field)
	if e.Code == CodeInvalidJSON {
		dst = strconv.AppendInt(append(dst, `,"offset":`...), e.Offset, 10)
	}
	if e.Code == CodeInternal {
		dst = appendText(dst, `,"requestId":`, requestID)
	}
	if len(o.rejects) > 0 {
		dst = o.appendRejects(dst)
	}
	return append(dst, '}')
}

// appendRejects appends how many events were accepted, and which were not.
func (o *answer) appendRejects(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `,"accepted":`...), int64(o.accepted), 10)
	dst = append(dst, `,"rejected":[`...)
	for i, reject := range o.rejects {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(dst, `{"index":`...), int64(reject.Index), 10)
		dst = appendText(dst, `,"messageId":`, reject.MessageID)
		dst = appendText(dst, `,"code":`, string(reject.Code))
		dst = appendText(dst, `,"message":`, reject.Message)
		dst = append(appendText(dst, `,"field":`, reject.Field), '}')
	}
	return append(dst, ']')
}
