package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	writeKey   = "shop-key"
	batchSize  = 20 // events of a request
	maxClients = 20
)

// A load is clients that send events, as SDKs do: a batch is sent until it is acknowledged, or
// refused permanently.
type load struct {
	url     string
	every   time.Duration // between two batches of a client
	clients []*client

	acknowledged atomic.Int64 // events
	mu           sync.Mutex
	repeated     map[string]int // requests that were sent again, by the reason
	byNode       map[string]int // events that a node has acknowledged
	answers      []answer
}

// An answer is how long a batch took, all attempts together.
type answer struct{ sent, acknowledged time.Time }

// A client sends its batches one after the other.
type client struct {
	number  int
	batches int  // acknowledged
	open    bool // what happened to the batch after these is not known
	refused error
}

// id names an event of a client. The verdict counts on the numbers.
func id(client, batch, event int) string { return fmt.Sprintf("c%d-%d-%d", client, batch, event) }

func newLoad(url string, rate int) *load {
	l := &load{url: url, repeated: map[string]int{}, byNode: map[string]int{}}
	clients := min(maxClients, rate/batchSize)
	for i := range clients {
		l.clients = append(l.clients, &client{number: i})
	}
	l.every = time.Second * batchSize * time.Duration(clients) / time.Duration(rate)
	return l
}

// run has all clients send until ctx is done, and then waits for the answers to what they have
// sent.
func (l *load) run(ctx context.Context) {
	transport := &http.Transport{MaxIdleConnsPerHost: maxClients}
	defer transport.CloseIdleConnections()
	last, cancel := context.WithCancel(context.Background()) // of the answers
	defer cancel()
	context.AfterFunc(ctx, func() { time.AfterFunc(patience, cancel) })
	var wg sync.WaitGroup
	for _, c := range l.clients {
		wg.Go(func() { l.send(ctx, last, c, &http.Client{Transport: transport, Timeout: 15 * time.Second}) })
	}
	wg.Wait()
}

// send sends the batches of a client. One that is behind its rate catches up.
func (l *load) send(ctx, last context.Context, c *client, h *http.Client) {
	next := time.Now().Add(rand.N(l.every))
	for pause(ctx, time.Until(next)); ctx.Err() == nil && c.refused == nil; pause(ctx, time.Until(next)) {
		c.open = true
		l.sendBatch(last, c, h)
		next = next.Add(l.every)
	}
}

// sendBatch sends a batch until it is acknowledged. The waits between attempts grow, as those of an
// SDK do.
func (l *load) sendBatch(ctx context.Context, c *client, h *http.Client) {
	body, sent := batch(c.number, c.batches), time.Now()
	for wait := 50 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 2*time.Second) {
		node, status, err := l.post(ctx, h, body)
		switch {
		case err == nil && status == http.StatusOK:
			c.batches, c.open = c.batches+1, false
			l.record(node, answer{sent, time.Now()})
			return
		case err == nil && status != http.StatusTooManyRequests && status < 500:
			c.refused = fmt.Errorf("client %d: a batch is refused with status %d", c.number, status)
			return
		}
		l.repeat(status)
		pause(ctx, wait/2+rand.N(wait/2))
	}
}

func (l *load) post(ctx context.Context, h *http.Client, body []byte) (node string, status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+"/v1/batch", bytes.NewReader(body))
	if err != nil {
		return "", 0, err
	}
	r.SetBasicAuth(writeKey, "")
	r.Header.Set("Content-Type", "application/json")
	got, err := h.Do(r)
	if err != nil {
		return "", 0, err
	}
	defer got.Body.Close()
	_, err = io.Copy(io.Discard, got.Body)
	return got.Header.Get(nodeHeader), got.StatusCode, err
}

// batch returns the body of a request.
func batch(client, number int) []byte {
	type event struct {
		Type       string         `json:"type"`
		Event      string         `json:"event"`
		MessageID  string         `json:"messageId"`
		UserID     string         `json:"userId"`
		Properties map[string]any `json:"properties"`
	}
	var all struct {
		Batch []event `json:"batch"`
	}
	for i := range batchSize {
		all.Batch = append(all.Batch, event{
			Type: "track", Event: "Order Completed", MessageID: id(client, number, i), UserID: fmt.Sprintf("user-%d", client),
			Properties: map[string]any{"orderId": "50314b8e9bcf000000000000", "total": 27.50, "currency": "EUR"},
		})
	}
	body, _ := json.Marshal(all) // numbers and text: it cannot fail
	return body
}

func (l *load) record(node string, a answer) {
	l.acknowledged.Add(batchSize)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byNode[node] += batchSize
	l.answers = append(l.answers, a)
}

// repeat counts a request that is sent again, after a status or, with 0, no answer.
func (l *load) repeat(status int) {
	reason := "no answer"
	if status != 0 {
		reason = fmt.Sprintf("status %d", status)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.repeated[reason]++
}

// of returns how many events a node has acknowledged.
func (l *load) of(node string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byNode[node]
}
