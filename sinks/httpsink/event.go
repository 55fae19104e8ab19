package httpsink

import (
	"time"

	"github.com/inlet-go/inlet"
)

// appendEvent appends e as a client of the receiver sends it: the canonical form
// without the members that a server sets, which are the receiver's to set, and
// with the event's time as the only one.
//
// The time is Timestamp, which has been corrected for the skew of the client's
// clock already. The client's sentAt stays here, or the receiver would correct it
// once more. So does its originalTimestamp: some receivers take it for the time
// of the event and begin anew from there. What the receiver may correct is the
// difference between its clock and ours, by the time of sending that stands in
// the request.
//
// Extra goes as it is: a letter's reason too, and what a client had sent under a
// name of ours and has been set aside.
func appendEvent(dst []byte, e *inlet.Event) []byte {
	sent := *e
	if sent.Timestamp.IsZero() {
		sent.Timestamp = e.ReceivedAt // else the receiver took its own clock
	}
	sent.OriginalTimestamp, sent.SentAt, sent.ReceivedAt = time.Time{}, time.Time{}, time.Time{}
	sent.Source, sent.Dialect, sent.Warnings = nil, "", 0
	return sent.AppendJSON(dst)
}
