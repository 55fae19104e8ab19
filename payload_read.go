package inlet

import (
	"fmt"
	"io"
	"net/http"
	"time"
)

// readBody reads the body of r, decompresses it, and returns it with its length
// as it was sent. A compressed body is decompressed once it has arrived: a slow
// client holds the bytes that it has sent, and no decoder.
func (pr *PayloadReader) readBody(w http.ResponseWriter, r *http.Request, limit int64, now time.Time) (*room, int64, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return new(room), 0, nil
	}
	if len(r.URL.RawQuery) > longestQuery {
		return nil, 0, &Error{Code: CodePayloadTooLarge, Message: fmt.Sprintf("the query is longer than %d bytes", longestQuery)}
	}
	encoding, err := contentEncoding(r)
	if err != nil {
		return nil, 0, err
	}
	most := limit
	if encoding != "" {
		most += limit/64 + 1024 // what an encoding adds to bytes that it cannot shorten
	}
	body, err := pr.readWire(w, r, min(most, pr.options.MaxWireBytes), now)
	if err != nil {
		return nil, 0, err
	}
	size := int64(len(body.bytes))
	if encoding != "" {
		body, err = pr.decompress(body, encoding, limit)
	}
	return body, size, err
}

// readWire reads the body of r as it is sent, by its deadline.
func (pr *PayloadReader) readWire(w http.ResponseWriter, r *http.Request, most int64, now time.Time) (*room, error) {
	if r.ContentLength > most {
		return nil, tooLarge(most)
	}
	expected := r.ContentLength
	if expected < 0 {
		expected = most
	}
	body, err := pr.budget.announced(r.ContentLength, expected)
	if err != nil {
		return nil, err
	}
	deadline := http.NewResponseController(w)
	// A server that cannot set a deadline is not ours to mend.
	_ = deadline.SetReadDeadline(now.Add(pr.options.ReadTimeout))
	body.source = boundedReader{src: r.Body, left: most, limit: most}
	err = body.fill(&body.source, most, expected)
	body.source.src = nil
	if err != nil { // the server, which reads the rest before it answers, keeps the deadline
		body.free()
		return nil, bodyError(err)
	}
	_ = deadline.SetReadDeadline(time.Time{})
	return body, nil
}

// boundedReader fails when more than its limit is there to be read.
type boundedReader struct {
	src         io.Reader
	left, limit int64
}

// Read reads at most what is left, and one byte more to see whether that is all.
func (b *boundedReader) Read(dst []byte) (int, error) {
	if int64(len(dst)) > b.left+1 {
		dst = dst[:b.left+1]
	}
	n, err := b.src.Read(dst)
	if int64(n) > b.left {
		return int(b.left), tooLarge(b.limit)
	}
	b.left -= int64(n)
	return n, err
}
