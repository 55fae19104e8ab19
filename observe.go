package inlet

import (
	"context"
	"time"
)

// An Observer is told of every request that a handler has answered, for metrics.
//
// Concurrency: it is called inline, by many requests at a time, and must neither
// block nor panic.
//
// Ownership: the record is lent until the call returns.
type Observer interface {
	ObserveRequest(ctx context.Context, r *RequestRecord)
}

// A RequestRecord is what became of a request. It holds no write key, no payload
// and nothing else that a client could make arbitrarily many of.
type RequestRecord struct {
	// Dialect and Path are those of the route, "" if there was none.
	Dialect, Path string
	// Source is whoever the write key belongs to, nil if nobody vouched.
	Source *Source
	// Status is the HTTP status of the answer.
	Status int
	// Code is why the request was refused, "" if it was not.
	Code Code
	// Accepted and Rejected count the request's events.
	Accepted, Rejected int
	// Rejects are the events that were refused.
	Rejects []Reject
	// WireBytes and Bytes are the sizes of the body as sent and decompressed.
	WireBytes, Bytes int
	// Duration is from the call of the handler to its answer, Write that of the
	// sink in it.
	Duration, Write time.Duration
}
