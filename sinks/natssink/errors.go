package natssink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/inlet-go/inlet"
)

// Codes of JetStream that the sink acts on. Any other means that the outcome of a Write is a
// temporary failure.
const (
	codeTooLarge       = 10054 // the message is larger than the stream permits
	codeHeaderTooLarge = 10097
	codeNotAtomic      = 10174 // the stream does not permit atomic batches
	codeNoSequence     = 10175 // the server does not understand the batch
	codeIncomplete     = 10176 // a message of the batch has not arrived, or was refused
	codeTooManyEvents  = 10199 // the server permits smaller batches only
	codeDuplicate      = 10201 // the batch has a message that is stored already
)

// hints say what to do about codes that do not explain themselves.
var hints = map[int]string{
	10002: "the limits of the account are reached",
	10008: "the cluster has no leader now",
	10009: "the server is not the leader of the stream",
	10023: "the server has no memory or disk left for streams",
	10047: "the server has no disk left for streams",
	10059: "the stream does not exist",
	10077: "the stream is full, or its files cannot be written",
	10109: "somebody has sealed the stream",
	10158: "the same event is being stored",
	10167: "the server has too much to do",
	10176: "a message of the batch was lost, or refused",
	10210: "the server has too many batches of others in flight",
}

// waits are how long to wait after codes of a server that has too much to do.
var waits = map[int]time.Duration{10167: time.Second, 10210: time.Second, 10211: time.Second}

var (
	errDisconnected = errors.New("the connection was lost, the outcome is unknown")
	errTimeout      = errors.New("no answer in time, the outcome is unknown")
	errEventSize    = errors.New("the event is larger than the server or the stream accepts")
	errOtherStream  = errors.New("another stream has stored it")
	errCount        = errors.New("the server has stored another number of events")
	errOldServer    = errors.New("the server does not know atomic batches")
	errWeak         = errors.New("natssink: the stream's configuration promises less durability than was declared")
)

// codeOf returns the code of JetStream in an error, 0 if there is none.
func codeOf(err error) int {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return int(api.ErrorCode)
	}
	return 0
}

// isTooLarge reports whether an event is too large for the server, if err is about it alone.
func isTooLarge(err error) bool {
	code := codeOf(err)
	return code == codeTooLarge || code == codeHeaderTooLarge || errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, errEventSize)
}

// isPartial reports whether a batch has failed because of some of its events, so that smaller
// ones may work.
func isPartial(err error) bool {
	code := codeOf(err)
	return code == codeDuplicate || code == codeTooManyEvents || isTooLarge(err)
}

// lacksAtomic reports whether the server does not accept atomic batches for the stream.
func lacksAtomic(err error) bool {
	code := codeOf(err)
	return code == codeNotAtomic || code == codeNoSequence || errors.Is(err, errOldServer)
}

// classify returns the error of Write for an error of the client or of a server. Only the caller
// knows whether it is about one event alone.
func (s *Sink) classify(ctx context.Context, what string, alone bool, err error) error {
	if done := ctx.Err(); done != nil && codeOf(err) == 0 {
		return fmt.Errorf("natssink: %s: the outcome is unknown: %w", what, done)
	}
	permanent, code := alone && isTooLarge(err), codeOf(err)
	err = s.secrets.HideError(err)
	if hint := hints[code]; hint != "" {
		err = fmt.Errorf("%s: %w", hint, err)
	}
	err = fmt.Errorf("natssink: %s: %w", what, err)
	switch wait := waits[code]; {
	case permanent:
		return inlet.Permanent(err)
	case wait > 0:
		return inlet.RetryAfter(err, wait)
	}
	return err
}
