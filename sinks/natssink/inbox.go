package natssink

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// An inbox receives the answers of servers, and gives them to the calls that wait for them. It has
// one subscription. The answer to the i-th message of a call goes to PREFIX.CALL.I.
type inbox struct {
	prefix string // with a dot at its end
	sub    *nats.Subscription

	mu     sync.Mutex
	calls  map[uint64]*call
	number uint64 // of the last call
}

// subscribe subscribes to the answers.
func (b *inbox) subscribe(nc *nats.Conn) error {
	b.prefix, b.calls = nc.NewInbox()+".", map[uint64]*call{}
	sub, err := nc.Subscribe(b.prefix+"*.*", b.receive)
	if err != nil {
		return err
	}
	b.sub = sub
	return sub.SetPendingLimits(-1, -1) // as many as there are calls
}

// A call is messages that are sent, and the answers to them.
type call struct {
	number  uint64
	stopped atomic.Bool   // no Write waits any more, so that no further message is to be sent
	done    chan struct{} // closed once all is answered, or failed
	begun   bool          // a message was sent; of the goroutine that sends

	mu      sync.Mutex
	over    bool
	answers []answer
	left    int
	hasty   bool  // the first error ends it
	err     error // of the messages without an answer
}

// An answer is that to one message.
type answer struct {
	got bool
	ack ack
	err error
}

// An ack is what a server answers to a message that is stored. Batch and Count are set for a batch.
type ack struct {
	Stream    string              `json:"stream"`
	Duplicate bool                `json:"duplicate"`
	Batch     string              `json:"batch"`
	Count     int                 `json:"count"`
	Error     *jetstream.APIError `json:"error"`
}

// begin returns a call with a number of answers. A hasty one ends with the first error, or with the
// last answer.
func (b *inbox) begin(answers int, hasty bool) *call {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.number++
	c := &call{number: b.number, done: make(chan struct{}), answers: make([]answer, answers), left: answers, hasty: hasty}
	b.calls[c.number] = c
	return c
}

// end ends a call: no Write waits for it any more.
func (b *inbox) end(c *call) {
	c.stopped.Store(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.calls, c.number)
}

// failAll ends all calls.
func (b *inbox) failAll(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.calls {
		c.fail(err)
	}
}

// reply returns the subject for the answer to the i-th message of a call.
func (b *inbox) reply(c *call, i int) string {
	buf := make([]byte, 0, 64)
	buf = append(buf, b.prefix...)
	buf = strconv.AppendUint(buf, c.number, 36)
	buf = append(buf, '.')
	return string(strconv.AppendUint(buf, uint64(i), 36))
}

// receive receives an answer.
func (b *inbox) receive(m *nats.Msg) {
	number, index, _ := strings.Cut(m.Subject[len(b.prefix):], ".")
	n, err := strconv.ParseUint(number, 36, 64)
	i, errIndex := strconv.ParseUint(index, 36, 32)
	if err != nil || errIndex != nil {
		return
	}
	b.mu.Lock()
	c := b.calls[n]
	b.mu.Unlock()
	if c != nil {
		c.answer(int(i), parse(m))
	}
}

var (
	errNoResponders = errors.New("no server answers for the subject: the stream has no leader now, or does not exist")
	errNoAnswer     = errors.New("the answer is not one of JetStream")
)

// parse reads an answer. To the first message of a batch it has no data.
func parse(m *nats.Msg) (a answer) {
	a.got = true
	switch {
	case len(m.Data) > 0:
		if json.Unmarshal(m.Data, &a.ack) != nil || a.ack.Stream == "" && a.ack.Error == nil {
			a.err = errNoAnswer
		} else if a.ack.Error != nil {
			a.err = a.ack.Error
		}
	case m.Header.Get("Status") == "503":
		a.err = errNoResponders
	}
	return a
}

// answer records the answer to the i-th message.
func (c *call) answer(i int, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || i >= len(c.answers) || c.answers[i].got {
		return
	}
	c.answers[i] = a
	c.left--
	if c.left == 0 || c.hasty && (a.err != nil || i == len(c.answers)-1) {
		c.finish()
	}
}

// fail ends the call: messages without an answer have failed.
func (c *call) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.err = err
		c.finish()
	}
}

// finish ends the call. The caller holds mu.
func (c *call) finish() {
	c.over = true
	c.stopped.Store(true)
	close(c.done)
}

// outcome returns the answer to the i-th message. It is called after the end.
func (c *call) outcome(i int) (ack, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := &c.answers[i]; a.got {
		return a.ack, a.err
	}
	return ack{}, c.err
}

// firstError returns the first error of an answer, or that of the messages without one.
func (c *call) firstError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.answers {
		if c.answers[i].err != nil {
			return c.answers[i].err
		}
	}
	return c.err
}
