package httpsink

import (
	"bytes"
	"compress/gzip"
	"slices"
	"sync"
	"time"
)

// The envelope of a request's events.
const (
	envelopeHead = `{"batch":[`
	envelopeSent = `],"sentAt":"`
	envelopeTail = `"}`
	envelopeTime = "2006-01-02T15:04:05.000Z"
	envelopeSize = len(envelopeHead + envelopeSent + envelopeTime + envelopeTail)
)

// maxRatio is how many times smaller a body may become. Beyond, receivers take it
// for a bomb: Inlet from 200 times on.
const maxRatio = 100

// A body is what a request carries. It is not pooled: a transport may read it
// after it has answered.
type body struct {
	bytes   []byte
	gzipped bool
}

// newBody returns the body of events, which are encoded with commas between them.
// It says that it was sent now.
func (s *Sink) newBody(events []byte) body {
	tail := make([]byte, 0, envelopeSize)
	tail = append(tail, envelopeSent...)
	tail = time.Now().UTC().AppendFormat(tail, envelopeTime)
	tail = append(tail, envelopeTail...)
	if !s.plain {
		zipped := compress([]byte(envelopeHead), events, tail)
		if len(events) <= maxRatio*len(zipped) {
			return body{zipped, true}
		}
	}
	return body{slices.Concat([]byte(envelopeHead), events, tail), false}
}

// A compressor compresses one body after another. It keeps the memory of the
// encoder, which is large beside a body.
type compressor struct {
	out  bytes.Buffer
	gzip *gzip.Writer
}

// newCompressor takes the fastest level: what the others save is little in events
// that resemble each other.
func newCompressor() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil { // the level is a constant that exists
		panic(err)
	}
	return &compressor{gzip: w}
}

var compressors = sync.Pool{New: newCompressor}

// compress returns the parts, one behind the other, as gzip.
func compress(parts ...[]byte) []byte {
	c := compressors.Get().(*compressor)
	defer compressors.Put(c)
	c.out.Reset()
	c.gzip.Reset(&c.out)
	for _, part := range parts {
		_, _ = c.gzip.Write(part) // a buffer in memory takes everything
	}
	_ = c.gzip.Close()
	return bytes.Clone(c.out.Bytes())
}
