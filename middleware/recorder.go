package middleware

import (
	"bufio"
	"net"
	"net/http"
)

// recorder is a ResponseWriter that knows what has been answered. What it does
// not have itself [http.ResponseController] finds through Unwrap.
type recorder struct {
	http.ResponseWriter
	status int   // of the final answer, 0 before it
	bytes  int64 // of the body
}

// record returns the recorder of w: w itself, if an outer layer made it one.
func record(w http.ResponseWriter) *recorder {
	if rec, ok := w.(*recorder); ok {
		return rec
	}
	return &recorder{ResponseWriter: w}
}

// Unwrap returns the writer inside.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader notes the status, unless it is that of an interim answer.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write notes the length, and that it made the status 200 if none was set.
func (r *recorder) Write(b []byte) (int, error) {
	r.begin()
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// begin notes the status that an answer has without a WriteHeader.
func (r *recorder) begin() {
	if r.status == 0 {
		r.status = http.StatusOK
	}
}

// Flush is FlushError for code that asks for an [http.Flusher].
func (r *recorder) Flush() { _ = r.FlushError() }

// FlushError sends what is written, with a status of 200 if none was set.
func (r *recorder) FlushError() error {
	err := http.NewResponseController(r.ResponseWriter).Flush()
	if err == nil {
		r.begin()
	}
	return err
}

// Hijack takes the connection over, after which there is no answer to write.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil && r.status == 0 {
		r.status = http.StatusSwitchingProtocols
	}
	return conn, buffered, err
}
