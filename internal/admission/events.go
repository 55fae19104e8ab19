package admission

// How many events a request may be charged for: a few, and one for each unit of the bytes that
// were sent. An id or a time alone is more, even compressed. Only identical events need less,
// and a few hundred bytes of them would use up the rate of a source for a long time.
const (
	FreeEvents    = 20
	BytesPerEvent = 8
)

// MostEvents returns how many events a body may be charged for, by its size as sent.
func MostEvents(sent int64) int64 { return FreeEvents + sent/BytesPerEvent }
