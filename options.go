package inlet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/inlet-go/inlet/internal/account"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/wire"
)

// A Protocol is what a handler and the layers in front of it must agree on: which dialects
// they speak, and what they bound. With the same one they match the route of a request once, read
// and index its body once, and share one budget of memory. Give it to the handler: layers of this
// module around it have that of the handler unless they are given one. Only layers that cannot
// see the handler, because a layer of the host's is between them, have to be given it too. Where
// they differ, the handler logs it once.
//
// A nil pointer means all defaults, and so does the zero value. A Protocol must not be
// copied or changed after its first use. It may be used concurrently.
type Protocol struct {
	// Dialects are the protocols to speak. If two have the same route, the first one wins.
	// Defaults to all of [Dialects].
	Dialects []Dialect
	// Limits bound requests and events. Defaults to the zero [Limits].
	Limits Limits
	// Payload bounds the reading of bodies. Defaults to the zero [PayloadLimits].
	Payload PayloadLimits
	// OpenAPI serves the description of those of the Dialects that are built in, at GET
	// /openapi.json, without a key: that of the function [OpenAPI], with the address by which
	// clients reach the handler. Defaults to false: 404, or 401 without a key.
	OpenAPI bool

	once  sync.Once
	built protocol
	err   error
}

// protocol is a Protocol with its defaults, and what is made of it once.
type protocol struct {
	dialects []Dialect
	limits   Limits
	payload  PayloadLimits
	openAPI  bool
	index    wire.Limits // of the index of a body
	maxBytes int64       // of a body, whatever its route
	routes   *routes
	bodies   *bodies
	budget   *account.Budget // of all requests together
}

// equal reports whether two protocols say the same. They may have two budgets.
func (p *protocol) equal(q *protocol) bool {
	sameName := func(a, b Dialect) bool { return a.Name() == b.Name() }
	return p == q || p.limits == q.limits && p.payload == q.payload && p.openAPI == q.openAPI &&
		(p.dialects == nil) == (q.dialects == nil) && slices.EqualFunc(p.dialects, q.dialects, sameName)
}

// enter makes what has the protocol a user of a request's account.
func (p *protocol) enter(s *state) {
	s.account.Enter(p.budget, s.lane)
	if before, ok := s.protocol.Load().(*protocol); before != p {
		s.protocol.Store(p)
		if ok && !before.equal(p) {
			s.mixed.Store(true)
		}
	}
}

// bodyLimit bounds the body of a request before it is known whose it is: by its route, or
// the largest body of all if it has none.
func (p *protocol) bodyLimit(route *boundRoute) int64 {
	if route == nil {
		return p.maxBytes
	}
	return min(route.maxPayload, p.maxBytes)
}

// build returns the protocol that p describes. The error joins all faults.
func (p *Protocol) build() (*protocol, error) {
	if p == nil {
		p = new(Protocol)
	}
	p.once.Do(func() { p.built, p.err = p.make() })
	return &p.built, p.err
}

func (p *Protocol) make() (protocol, error) {
	limits, limitsErr := p.Limits.withDefaults()
	payload, payloadErr := p.Payload.withDefaults()
	dialects, table := p.Dialects, builtinRoutes()
	var described []Dialect
	err := errors.Join(limitsErr, payloadErr,
		check.NoneNil("Dialects", dialects, func(d Dialect) bool { return d == nil }))
	if err != nil {
		return protocol{}, err
	}
	if p.OpenAPI {
		d, err := newDescription(dialects)
		if err != nil {
			return protocol{}, err
		}
		described = []Dialect{d}
	}
	if dialects != nil || p.Limits != (Limits{}) || p.OpenAPI {
		if dialects == nil {
			dialects = Dialects()
		}
		table = newRoutes(slices.Concat(dialects, described), Dialects(), &limits)
	}
	bodies := payload.reader()
	return protocol{
		dialects: dialects, limits: limits, payload: payload, openAPI: p.OpenAPI, index: limits.wire(), maxBytes: payload.MaxBytes,
		routes: table, bodies: bodies, budget: bodies.budget,
	}, nil
}

// Options configure a [Handler]. A nil pointer means all defaults.
type Options struct {
	// Protocol is what the handler shares with the layers in front of it. Defaults to the
	// zero [Protocol].
	Protocol *Protocol
	// AllowAnonymous accepts the events of requests that no layer has authenticated, under
	// a source with the ID "anonymous". Defaults to false: they are refused with 401.
	AllowAnonymous bool
	// FillAnonymousID gives events that name no user, neither by userId nor by anonymousId,
	// the AnonymousID of the request's [Visitor]. Defaults to false: such events are
	// refused, except on routes that need no user.
	FillAnonymousID bool
	// Validators check every event after the built-in checks, in this order. Defaults to
	// none.
	Validators []Validator
	// Enrichers change every event after its checks, in this order. Defaults to none.
	Enrichers []Enricher
	// RequireDurability refuses, at construction, a sink that declares less. Defaults to
	// [DurabilityUnknown]: any sink is accepted.
	RequireDurability Durability
	// WriteTimeout is the deadline of a write to the sink. Defaults to 10 seconds.
	WriteTimeout time.Duration
	// MaxInFlight bounds concurrent requests; the next one is answered 503. Where the
	// handler reads bodies itself, without the layer of [ReadPayload], those of one client
	// address may be an eighth of it. Defaults to 4,096.
	MaxInFlight int
	// MaxQueueTime is about how long a write to the sink waits for others when more arrives
	// than the sink accepts. Requests in excess are answered 503 before the handler reads
	// their bodies, so that those it accepts are stored soon. 16 concurrent writes are
	// always accepted. A sink that takes longer than half of this time when idle is given
	// twice the time that it takes. Defaults to 50 milliseconds.
	MaxQueueTime time.Duration
	// RetryAfter is how long clients are asked to wait when the sink cannot accept their
	// events and did not return a [RetryAfter]. It is at least 1 second, and rounded up to
	// whole seconds. Defaults to 1 second.
	RetryAfter time.Duration
	// PublicURL is where clients reach the handler: scheme, host and the path that it is
	// mounted at, such as "https://shop.example/ingest". SDKs that ask when they start
	// where to send events get it as the answer. Set it behind a proxy: headers that a
	// proxy or a client adds are not trusted. Defaults to the scheme, host and path of each
	// such request.
	PublicURL string
	// HTTPConfig is a JSON object by which those SDKs decide when and how often to retry:
	// the "httpConfig" of Segment's project settings. Defaults to none: the SDKs use their
	// own rules.
	HTTPConfig json.RawMessage
	// Rejects stores the events of requests that are permanently refused, so that they can be
	// read, and sent again: those that lack a field, exceed a limit, or cannot be migrated, that a
	// validator or the Sink refuses, or that strict mode takes with others. Each is written with
	// its reason, as a letter: see package sinks, Refusal. What can be read as an event has been
	// through the Enrichers; it may lack whatever it was refused for, such as its Type. The rest
	// is in the letter as it was sent.
	//
	// A refusal is answered after its letter is stored, at least once. While Rejects fails,
	// requests with refused events get 503. What it refuses permanently is logged. It is flushed
	// by Shutdown, and not closed. A journal of its own with RetainBytes bounds it.
	//
	// Nothing is written for a request that is refused as a whole, such as one without a key, and
	// for events of Ingest, whose caller has them. Defaults to none.
	Rejects Sink
	// RejectsBestEffort answers refusals as usual while Rejects fails. Such events are logged, and
	// counted in [Outcome].Unrecorded. Defaults to false.
	RejectsBestEffort bool
	// Observer is notified of every request. Defaults to none.
	Observer Observer
	// Logger receives what operators must know: failures of the sink, panics, errors that
	// were answered 500. It never receives payloads or write keys. Defaults to
	// [slog.Default].
	Logger *slog.Logger

	public *url.URL // PublicURL
}

// withDefaults returns a filled copy. The error names every field at fault.
func (o *Options) withDefaults() (Options, error) {
	var filled Options
	if o != nil {
		filled = *o
	}
	var publicErr error
	filled.public, publicErr = parsePublicURL(filled.PublicURL)
	filled.HTTPConfig = bytes.Clone(filled.HTTPConfig)
	filled.Validators, filled.Enrichers = slices.Clone(filled.Validators), slices.Clone(filled.Enrichers)
	filled.WriteTimeout = cmp.Or(filled.WriteTimeout, 10*time.Second)
	filled.MaxInFlight = cmp.Or(filled.MaxInFlight, defaultMaxInFlight)
	filled.MaxQueueTime = cmp.Or(filled.MaxQueueTime, 50*time.Millisecond)
	filled.RetryAfter = cmp.Or(filled.RetryAfter, time.Second)
	filled.Logger = cmp.Or(filled.Logger, slog.Default())
	return filled, errors.Join(publicErr, checkHTTPConfig(filled.HTTPConfig),
		check.AtLeast("WriteTimeout", filled.WriteTimeout, 1),
		check.AtLeast("MaxInFlight", filled.MaxInFlight, 1),
		check.AtLeast("MaxQueueTime", filled.MaxQueueTime, 1),
		check.AtLeast("RetryAfter", filled.RetryAfter, time.Second),
		check.NoneNil("Validators", filled.Validators, func(v Validator) bool { return v == nil }),
		check.NoneNil("Enrichers", filled.Enrichers, func(e Enricher) bool { return e == nil }),
	)
}

// parsePublicURL reads [Options.PublicURL]; the result is nil for "".
func parsePublicURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, check.Fault("PublicURL", "is not a URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, check.Fault("PublicURL", "must begin with http:// or https:// and a host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, check.Fault("PublicURL", "must end with its path")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}, nil
}

// checkHTTPConfig reports whether raw can be sent in an answer.
func checkHTTPConfig(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	limits, _ := Limits{}.withDefaults() // the defaults are valid
	var doc wire.Document
	if err := doc.Read(raw, "", limits.wire()); err != nil {
		return check.Fault("HTTPConfig", "is not a JSON object: %w", err)
	}
	return nil
}
