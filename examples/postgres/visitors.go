package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	analytics "gopkg.in/segmentio/analytics-go.v3"
)

// visit sends the calls of all visitors with Segment's SDK for Go, as your programs would, and
// returns how many were acknowledged. The visits of each run are those of new people.
func visit(url string, people int) (sent int64, err error) {
	var answers outcome
	sdk, err := analytics.NewWithConfig(writeKey, analytics.Config{Endpoint: url, Callback: &answers})
	if err != nil {
		return 0, err
	}
	run, now := rand.Text()[:8], time.Now()
	for i := range people {
		for _, m := range calls(fmt.Sprintf("%s-%d", run, i), i, now) {
			err = errors.Join(err, sdk.Enqueue(m))
		}
	}
	if err := errors.Join(err, sdk.Close()); err != nil { // Close waits for the answers
		return 0, err
	}
	if n := answers.failed.Load(); n > 0 {
		return 0, fmt.Errorf("%d calls were not acknowledged", n)
	}
	return answers.sent.Load(), nil
}

// calls returns those of a visitor: everybody looks at a product, every second one puts it into the
// cart, and every tenth one buys it.
func calls(user string, i int, now time.Time) (list []analytics.Message) {
	add := func(name, id string, minutes int, p analytics.Properties) {
		list = append(list, analytics.Track{
			Event: name, UserId: user, MessageId: id, Properties: p,
			Timestamp: now.Add(time.Duration(minutes-60) * time.Minute),
		})
	}
	product := fmt.Sprint("p-", i%7)
	add("Product Viewed", "", 0, analytics.Properties{"product_id": product})
	if i%2 == 0 {
		add("Product Added", "", 10, analytics.Properties{"product_id": product, "quantity": 1 + i%3})
	}
	if i%10 == 0 {
		order := analytics.Properties{"order_id": "o-" + user, "total": 9.95 + float64(i%40)}
		// The shop has made the id, and repeats the call as if it had got no answer.
		add("Order Completed", "order-"+user, 20, order)
		add("Order Completed", "order-"+user, 20, order)
	}
	return list
}

// An outcome counts the calls that the SDK gives up, and those that it does not.
type outcome struct{ sent, failed atomic.Int64 }

func (o *outcome) Success(analytics.Message)        { o.sent.Add(1) }
func (o *outcome) Failure(analytics.Message, error) { o.failed.Add(1) }
