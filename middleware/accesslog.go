package middleware

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/order"
	"github.com/inlet-go/inlet/internal/redact"
)

// AccessLogOptions configure [AccessLog]. A nil pointer means all defaults.
type AccessLogOptions struct {
	// Logger receives the records. One with a [BufferedLog] costs a request least. Defaults to
	// [slog.Default].
	Logger *slog.Logger
}

// AccessLog writes one record for every request, when its handler has returned or panicked: at
// level Info up to status 399, at Warn up to 499, at Error above. Its attributes are method,
// path, status, bytes (of the response's body as it is sent, so 0 for HEAD) and duration;
// clientIP, requestId, source, dialect, accepted and rejected (events) and code (why the request
// was refused) if they are known; reject, field and event (the code, the field and the name of the
// first refused event); origin for one that is not allowed; limit and reason, if the server was
// overloaded: the name of the option that limits, and what there is too much of; and from status
// 500 on error, any other cause, which is not sent to the client. A handler that panicked before it
// answered has status 500 and panicked=true.
//
// It never writes the query, the write key, the body or another header of the request. A key in
// the path, as in a request for the settings or the script of a vendor's page, is replaced by "*".
//
// It belongs inside [Recover] and outside the layers that refuse. The writer that it passes on
// supports [http.ResponseController].
func AccessLog(o *AccessLogOptions) func(http.Handler) http.Handler {
	var filled AccessLogOptions
	if o != nil {
		filled = *o
	}
	logger := cmp.Or(filled.Logger, slog.Default())
	return func(next http.Handler) http.Handler {
		return at(order.AccessLog, logger, next, func(w http.ResponseWriter, r *http.Request) {
			a := access{w: record(w, r), r: r, began: time.Now(), panicked: true}
			defer func() { a.log(logger) }()
			next.ServeHTTP(a.w, r)
			a.panicked = false
		})
	}
}

// access is a request to be logged.
type access struct {
	w        *recorder
	r        *http.Request
	began    time.Time
	panicked bool
}

// status returns the status that the client has received, or will.
func (a *access) status() int {
	switch {
	case a.w.status != 0:
		return a.w.status
	case a.panicked:
		return http.StatusInternalServerError
	}
	return http.StatusOK // which net/http sends for a handler that sent nothing
}

func (a *access) log(logger *slog.Logger) {
	ctx, status := a.r.Context(), a.status()
	level := levelOf(status)
	if !logger.Enabled(ctx, level) {
		return
	}
	now, out := time.Now(), inlet.OutcomeFromContext(ctx)
	attrs := make([]slog.Attr, 0, 14)
	attrs = append(attrs,
		slog.String("method", clip(a.r.Method)),
		slog.String("path", loggedPath(a.r, out.Path)),
		slog.Int("status", status),
		slog.Int64("bytes", a.w.bytes),
		slog.Duration("duration", now.Sub(a.began)))
	ip := inlet.ClientIP(a.r)
	if ip.IsValid() {
		attrs = append(attrs, slog.Attr{Key: "clientIP"})
	}
	attrs = a.appendKnown(attrs, &out, status)
	logRequest(ctx, logger, now, level, attrs, ip)
}

// appendKnown appends what the layers and the handler inside have found out.
func (a *access) appendKnown(attrs []slog.Attr, out *inlet.Outcome, status int) []slog.Attr {
	ctx := a.r.Context()
	text := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	text("requestId", inlet.RequestIDFromContext(ctx))
	if source := cmp.Or(inlet.SourceFromContext(ctx), out.Source); source != nil {
		text("source", source.ID)
	}
	text("dialect", out.Dialect)
	if out.Accepted+out.Rejected > 0 {
		attrs = append(attrs, slog.Int("accepted", out.Accepted), slog.Int("rejected", out.Rejected))
	}
	text("code", string(out.Code))
	if out.Code == inlet.CodeOriginNotAllowed {
		text("origin", clip(originOf(a.r)))
	}
	if len(out.Rejects) > 0 {
		r := &out.Rejects[0]
		text("reject", string(r.Code))
		text("field", clip(r.Field))
		text("event", clip(r.Name))
	}
	if why, ok := errors.AsType[*admission.Refusal](out.Err); ok {
		text("limit", why.Limit)
		text("reason", why.Reason)
	} else if status >= 500 && out.Err != nil {
		text("error", out.Err.Error())
	}
	if a.panicked {
		attrs = append(attrs, slog.Bool("panicked", true))
	}
	return attrs
}

// originOf returns the origin that a request says it comes from: of its page, for an image.
func originOf(r *http.Request) string {
	if origin := r.Header.Get("Origin"); origin != "" {
		return origin
	}
	u, err := url.Parse(r.Header.Get("Referer"))
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// levelOf returns the level for a status.
func levelOf(status int) slog.Level {
	switch {
	case status >= 500:
		return slog.LevelError
	case status >= 400:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// maxLoggedText bounds a text of the client's in a log, in bytes.
const maxLoggedText = 256

// loggedPath returns the path of r: escaped, so without control characters; without the query,
// which may hold a write key; and with "*" for a write key in it, as in that of a request for
// settings, /v1/projects/{key}/settings. The route is that of the handler, "" if it is not known.
func loggedPath(r *http.Request, route string) string {
	if path, ok := redact.Path(r.URL.Path, "*"); ok {
		return clip(escaped(path))
	}
	if before, rest, ok := strings.Cut(route, "{"); ok { // of a dialect of the host's own
		_, after, _ := strings.Cut(rest, "}")
		return clip(escaped(before + "*" + after))
	}
	return clip(r.URL.EscapedPath())
}

// escaped returns a path as a URL has it, except for "*".
func escaped(path string) string {
	u := url.URL{Path: path}
	return strings.ReplaceAll(u.EscapedPath(), "%2A", "*")
}

// clip bounds a text.
func clip(text string) string {
	if len(text) > maxLoggedText {
		return text[:maxLoggedText] + "..."
	}
	return text
}
