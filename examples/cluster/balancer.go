package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"
)

// A balancer passes requests on to the nodes that are ready, in turn. A request that a node has
// not answered at all goes to the next one. That may store its events in two ways, of which the
// stream keeps one, since it knows an event by its id.
type balancer struct {
	backends  []*backend
	turn      atomic.Uint32
	transport *http.Transport
}

// A backend is a node as the balancer sees it.
type backend struct {
	name, host string
	ready      atomic.Bool
}

// nodeHeader says in an answer which node it is of.
const nodeHeader = "X-Node"

func newBalancer(backends []*backend) *balancer {
	return &balancer{backends: backends, transport: &http.Transport{
		MaxIdleConnsPerHost:   100,
		ResponseHeaderTimeout: 5 * time.Second, // of a node that hangs
	}}
}

// handler returns the balancer as a server.
func (b *balancer) handler() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.Host = "http", r.In.Host
			r.SetXForwarded()
		},
		Transport: b,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if errors.Is(err, errTooLarge) {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return
			}
			w.WriteHeader(http.StatusServiceUnavailable) // the client keeps its events, and comes again
		},
	}
}

// maxBody is what the balancer keeps of a request, to send it again.
const maxBody = 4 << 20

var (
	errNoNode   = errors.New("no node answers")
	errTooLarge = errors.New("the body is too large to be sent again")
)

// RoundTrip asks one node after the other, until one answers.
func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, maxBody+1)); err != nil {
			return nil, err
		}
		if len(body) > maxBody { // a node that got a part of it would call it bad JSON
			return nil, errTooLarge
		}
	}
	first := int(b.turn.Add(1))
	for i := range b.backends {
		to := b.backends[(first+i)%len(b.backends)]
		if !to.ready.Load() {
			continue
		}
		out := r.Clone(r.Context())
		out.URL.Host = to.host
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.ContentLength = int64(len(body))
		answer, err := b.transport.RoundTrip(out)
		if err == nil {
			answer.Header.Set(nodeHeader, to.name)
			return answer, nil
		}
		if r.Context().Err() != nil { // the client has gone
			return nil, err
		}
		to.ready.Store(false) // until it says otherwise
	}
	return nil, errNoNode
}

// watch asks a node again and again whether it is ready, until ctx is done.
func (b *balancer) watch(ctx context.Context, to *backend) {
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		answer, err := client.Get("http://" + to.host + "/ready")
		if err == nil {
			_ = answer.Body.Close()
		}
		to.ready.Store(err == nil && answer.StatusCode == http.StatusOK)
		pause(ctx, 100*time.Millisecond)
	}
}

// pause waits, until ctx is done at most.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
