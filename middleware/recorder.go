package middleware

import (
	"bufio"
	"net"
	"net/http"
)

// A recorder is a ResponseWriter that knows what has been sent. [http.ResponseController] finds
// what it does not have itself through Unwrap.
type recorder struct {
	http.ResponseWriter
	status int   // of the final response, 0 before it
	bytes  int64 // of the body, as it is sent
	head   bool  // the server sends no body, whatever is written
}

// record returns the recorder of w, for the response to r: w itself if an outer layer made it one.
func record(w http.ResponseWriter, r *http.Request) *recorder {
	if rec, ok := w.(*recorder); ok {
		return rec
	}
	return &recorder{ResponseWriter: w, head: r.Method == http.MethodHead}
}

// Unwrap returns the writer inside.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader records the status, unless it is that of an interim response.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write records the length of what is sent, and the status 200 if none was set.
func (r *recorder) Write(b []byte) (int, error) {
	r.setImplicitStatus()
	n, err := r.ResponseWriter.Write(b)
	if !r.head {
		r.bytes += int64(n)
	}
	return n, err
}

// setImplicitStatus records the status that a response has without a call of WriteHeader.
func (r *recorder) setImplicitStatus() {
	if r.status == 0 {
		r.status = http.StatusOK
	}
}

// Flush is FlushError for code that asks for an [http.Flusher].
func (r *recorder) Flush() { _ = r.FlushError() }

// FlushError sends what has been written, with the status 200 if none was set.
func (r *recorder) FlushError() error {
	err := http.NewResponseController(r.ResponseWriter).Flush()
	if err == nil {
		r.setImplicitStatus()
	}
	return err
}

// Hijack lets the handler take over the connection. After that no response can be sent.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil && r.status == 0 {
		r.status = http.StatusSwitchingProtocols
	}
	return conn, buffered, err
}
