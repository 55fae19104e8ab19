package kafkasink

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/inlet-go/inlet"
)

// refusals are the errors that the data of a record causes. A broker reports them for a whole
// batch, and the client then fails everything that waits for the same partition.
var refusals = []*kerr.Error{
	kerr.MessageTooLarge,    // 10
	kerr.RecordListTooLarge, // 18
	kerr.InvalidTimestamp,   // 32
	kerr.InvalidRecord,      // 87
}

// isRefusal reports whether the data of a record of the batch is at fault, though perhaps not of
// this record.
func isRefusal(err error) bool {
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// hints say what to do about errors that do not explain themselves.
var hints = []struct {
	err  error
	hint string
}{
	{kerr.TopicAuthorizationFailed, "the user lacks the permission Write on the topic"},
	{kerr.ClusterAuthorizationFailed, "the user lacks a permission on the cluster: brokers before 3.0 need IdempotentWrite"},
	{kerr.SaslAuthenticationFailed, "the user or its password may be wrong"},
	{kerr.UnknownTopicOrPartition, "somebody may have deleted the topic"},
	{kerr.UnknownTopicID, "somebody may have deleted the topic"},
	{kerr.NotEnoughReplicas, "fewer replicas are in sync than min.insync.replicas"},
	{kerr.KafkaStorageError, "the disk of a broker may be full or broken"},
	{kerr.InvalidTimestamp, "the clock of this machine may be wrong, or the topic's limits on timestamps closer than the age of the events"},
	{kerr.PolicyViolation, "a policy of the brokers forbids it"},
}

// classify returns the error of Write for a temporary error of the client.
func (s *Sink) classify(err error) error {
	switch {
	case errors.Is(err, kgo.ErrClientClosed):
		return fmt.Errorf("kafkasink: closed before an acknowledgement came: %w", inlet.ErrClosed)
	case errors.Is(err, kgo.ErrMaxBuffered):
		return fmt.Errorf("kafkasink: %w: %w", inlet.ErrOverloaded, err)
	case errors.Is(err, context.DeadlineExceeded): // not that of the Write: its context may have time left
		return fmt.Errorf("kafkasink: no acknowledgement within %v, the outcome is unknown", s.opts.Timeout)
	}
	return fmt.Errorf("kafkasink: %w", hinted(err))
}

// hinted returns an error with what to do about it, if that is known.
func hinted(err error) error {
	for _, h := range hints {
		if errors.Is(err, h.err) {
			return fmt.Errorf("%s: %w", h.hint, err)
		}
	}
	return err
}
