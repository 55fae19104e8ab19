package journal

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/inlet-go/inlet"
)

// Pauses. A destination that rejects event after event in the same words is probably not
// what it should be: another receiver than was meant, or one that lacks its schema. So the
// dead letters of a delivery are watched (refusals.count, refusals.settle). After some batches
// of nothing else the delivery pauses: such rejections are temporary (refusals.Write), and the
// deliverer probes with single events, less and less often (deliverer.probe), until one is
// accepted, or is rejected in other words.

// pauseEvents is how many events the batches that lead to a pause have together, at least.
const pauseEvents = 10

// pauseInterval is how often a pause is logged.
const pauseInterval = 10 * time.Minute

// refusals is the sink between a destination and its dead letters. Only the delivery's
// goroutine uses it, except for pausedBy.
type refusals struct {
	inner inlet.Sink
	log   *slog.Logger
	after int // how many batches lead to a pause; negative for none

	words   string // of the last dead letter
	letters int    // dead letters in a row in these words
	batch   int    // of these, in the batch that is written
	batches int    // batches in a row that had nothing else

	loggedAt time.Time

	mu     sync.Mutex
	paused string // the last rejection of a pause, "" without one
}

// count counts a dead letter.
func (r *refusals) count(letter *inlet.Event, err error) {
	if words := wordsOf(err.Error(), letter); words != r.words {
		r.reset()
		r.words = words
	}
	r.letters++
	r.batch++
}

// settle records that a batch of n events is settled. One that is settled in a pause was skipped:
// anything else ends the pause before.
func (r *refusals) settle(n int) {
	if n == 0 || r.pausedBy() != "" {
		return
	}
	if r.batch != n {
		r.reset()
		return
	}
	r.batch = 0
	r.batches++
}

// reset ends a pause, and forgets what led to it.
func (r *refusals) reset() {
	r.words, r.letters, r.batch, r.batches = "", 0, 0, 0
	if r.pausedBy() != "" {
		r.setPaused("")
		r.log.Info("journal: delivery no longer paused")
	}
}

// Write writes to the destination. After the batches that lead to a pause, rejections in the
// same words are temporary.
func (r *refusals) Write(ctx context.Context, events []*inlet.Event) error {
	result := r.inner.Write(ctx, events)
	if r.after < 0 || r.batches < r.after || r.letters < pauseEvents {
		return result
	}
	errs := inlet.ItemErrors(result, len(events))
	if errs == nil || slices.Contains(errs, nil) {
		r.reset()
		return result
	}
	held := new(inlet.BatchError)
	for i, err := range errs {
		if inlet.IsPermanent(err) {
			if wordsOf(err.Error(), events[i]) != r.words {
				r.reset()
				return result
			}
			r.pause(err.Error())
			err = fmt.Errorf("journal: paused after %d rejections in the same words: %v", r.letters, err)
		}
		held.Items = append(held.Items, inlet.ItemError{Index: i, Err: err})
	}
	return held
}

// Unwrap returns the destination.
func (r *refusals) Unwrap() inlet.Sink { return r.inner }

// pause begins or continues a pause, and logs it once in an interval.
func (r *refusals) pause(text string) {
	text = clip(text)
	begins := r.pausedBy() == ""
	r.setPaused(text)
	if !begins && time.Since(r.loggedAt) < pauseInterval {
		return
	}
	r.loggedAt = time.Now()
	r.log.Error("journal: destination rejects every event in the same words; delivery paused",
		"error", text, "deadLetters", r.letters, "batches", r.batches)
}

func (r *refusals) setPaused(text string) {
	r.mu.Lock()
	r.paused = text
	r.mu.Unlock()
}

// pausedBy returns the last rejection of a pause, or "".
func (r *refusals) pausedBy() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paused
}

// probe writes a single event, which it removes from the batch if it is accepted. It tries one
// after the other, in order: a good event behind bad ones ends a pause, too.
func (d *deliverer) probe(ctx context.Context) error {
	d.extend(ctx)
	i := d.probed
	if i >= len(d.events) {
		i = 0
	}
	d.probed = i + 1
	errs := inlet.ItemErrors(d.write(ctx, d.events[i:i+1]), 1)
	if errs == nil {
		d.events, d.probed = slices.Delete(d.events, i, i+1), i
		return nil
	}
	return errs[0]
}

// extend adds to a batch what the journal has received since, up to the limits.
func (d *deliverer) extend(ctx context.Context) {
	if d.broken == nil {
		d.broken = d.fill(ctx, d.tail.j.progress.now())
	}
}

// maxPauseText is how much is kept of a rejection's text, in bytes.
const maxPauseText = 512

// clip returns text as valid UTF-8, cut to maxPauseText.
func clip(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= maxPauseText {
		return text
	}
	end := maxPauseText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// wordsOf returns the words of a rejection's text without what differs from event to event:
// the name of the event, its message id, and whatever has a digit.
func wordsOf(text string, e *inlet.Event) string {
	between := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	if e.Name != "" {
		text = strings.ReplaceAll(text, e.Name, " ")
	}
	id := strings.FieldsFunc(e.MessageID, between)
	words := slices.DeleteFunc(strings.FieldsFunc(text, between), func(word string) bool {
		return strings.ContainsFunc(word, unicode.IsDigit) || slices.Contains(id, word)
	})
	return strings.Join(words, " ")
}
