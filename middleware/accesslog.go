package middleware

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/inlet-go/inlet"
)

// AccessLogOptions configure [AccessLog]. Nil is all defaults.
type AccessLogOptions struct {
	// Logger gets the records. Defaults to [slog.Default], as it is when a
	// request is answered.
	Logger *slog.Logger
}

// AccessLog writes one record for each request, when its handler has returned or
// panicked: level Info up to status 399, Warn up to 499, Error above. None is
// left out. Its attributes are method, path, status, bytes (of the answer's
// body), duration, clientIP; and where they are known requestId, source,
// dialect, accepted and rejected (events), code (why the request was refused)
// and, from 500 on, error, the cause that the client is not told. A handler that
// panicked before it had answered has status 500 and panicked=true.
//
// It never writes the query, the write key, the body or a header of the request.
//
// It stands inside [Recover] and outside of the layers that refuse. The writer
// that it passes on supports [http.ResponseController].
func AccessLog(o *AccessLogOptions) func(http.Handler) http.Handler {
	var logger *slog.Logger
	if o != nil {
		logger = o.Logger
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = inlet.WithState(r) // in which the layers behind leave what is logged
			a := access{w: record(w), r: r, began: time.Now(), panicked: true}
			defer func() { a.log(orDefault(logger)) }()
			next.ServeHTTP(a.w, r)
			a.panicked = false
		})
	}
}

// access is a request that is to be logged.
type access struct {
	w        *recorder
	r        *http.Request
	began    time.Time
	panicked bool
}

// status returns what the client has been answered, or will be.
func (a *access) status() int {
	switch {
	case a.w.status != 0:
		return a.w.status
	case a.panicked:
		return http.StatusInternalServerError
	}
	return http.StatusOK // net/http answers for a handler that does not
}

func (a *access) log(logger *slog.Logger) {
	ctx, status := a.r.Context(), a.status()
	level := levelOf(status)
	if !logger.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 14)
	attrs = append(attrs,
		slog.String("method", clip(a.r.Method)),
		slog.String("path", loggedPath(a.r)),
		slog.Int("status", status),
		slog.Int64("bytes", a.w.bytes),
		slog.Duration("duration", time.Since(a.began)))
	if ip := inlet.ClientIP(a.r); ip.IsValid() {
		attrs = append(attrs, slog.String("clientIP", ip.String()))
	}
	attrs = a.appendKnown(attrs, status)
	logger.LogAttrs(ctx, level, "request", attrs...)
}

// appendKnown appends what the layers inside have found out.
func (a *access) appendKnown(attrs []slog.Attr, status int) []slog.Attr {
	ctx := a.r.Context()
	text := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	text("requestId", inlet.RequestIDFromContext(ctx))
	if source := inlet.SourceFromContext(ctx); source != nil {
		text("source", source.ID)
	}
	out := inlet.OutcomeFromContext(ctx)
	text("dialect", out.Dialect)
	if out.Accepted+out.Rejected > 0 {
		attrs = append(attrs, slog.Int("accepted", out.Accepted), slog.Int("rejected", out.Rejected))
	}
	text("code", string(out.Code))
	if status >= 500 && out.Err != nil {
		text("error", out.Err.Error())
	}
	if a.panicked {
		attrs = append(attrs, slog.Bool("panicked", true))
	}
	return attrs
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
