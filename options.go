package inlet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// Options configure a [Handler]. Nil is all defaults.
type Options struct {
	// Dialects are the protocols to speak. Where two have the same route the
	// first wins. Defaults to all of [Dialects].
	Dialects []Dialect
	// Limits bound requests and events. Defaults to those of [Limits].
	Limits Limits
	// Payload bounds the reading of bodies, where no [PayloadReader] came
	// before the handler. Defaults to those of [PayloadOptions].
	Payload *PayloadOptions
	// AllowAnonymous takes events for which no authentication layer has
	// vouched, under a source with the ID "anonymous". Defaults to false:
	// they are refused with 401.
	AllowAnonymous bool
	// Validators check every event after the built-in checks, in this order.
	// Defaults to none.
	Validators []Validator
	// Enrichers change every event after its checks, in this order. Defaults
	// to none.
	Enrichers []Enricher
	// RequireDurability refuses, at construction, a sink that declares less.
	// Defaults to [DurabilityUnknown]: any sink will do.
	RequireDurability Durability
	// WriteTimeout is the deadline of a write to the sink. Defaults to 10
	// seconds.
	WriteTimeout time.Duration
	// MaxInFlight bounds the requests that are worked on at a time; the next
	// one is answered 503. Defaults to 4,096.
	MaxInFlight int
	// MaxQueueTime is about how long a write to the sink waits for others when more
	// arrives than the sink takes. The requests in excess are answered 503, before
	// the handler reads their bodies, so that those it takes are stored soon. 16
	// writes at a time are let in always, and a sink that is slow at rest is given
	// twice the time that it takes then. Defaults to 50 milliseconds.
	MaxQueueTime time.Duration
	// RetryAfter is what clients are told to wait when the sink cannot take
	// their events and does not say how long it will be. Whole seconds.
	// Defaults to 1 second.
	RetryAfter time.Duration
	// PublicURL is where clients reach the handler: scheme, host and the path
	// that it is mounted at, such as "https://shop.example/ingest". It is what
	// SDKs are told that ask on their start where to send events. Set it behind
	// a proxy: headers that a proxy or a client adds are not believed. Defaults
	// to the scheme, host and path of each such request.
	PublicURL string
	// HTTPConfig is a JSON object with which those SDKs are told when and how
	// often to retry: the "httpConfig" of Segment's project settings. Defaults to
	// none: their own rules.
	HTTPConfig json.RawMessage
	// Observer is told of every request. Defaults to none.
	Observer Observer
	// Logger gets what operators must know: failures of the sink, panics,
	// errors that were answered 500. It never gets payloads or write keys.
	// Defaults to [slog.Default].
	Logger *slog.Logger

	public *url.URL // PublicURL
}

// Limits bound what clients may send. Each is finite by default. A "KB" of the
// vendors' documents is read as the larger of its meanings.
type Limits struct {
	// EventBytes bounds an event as it was sent. Defaults to 32,768.
	EventBytes int
	// HitBytes bounds a hit of the SegmentStream dialect. Defaults to 65,536.
	HitBytes int
	// BatchBytes bounds a batch request after decompression. Defaults to
	// 512,000.
	BatchBytes int64
	// ImportBytes bounds an import request after decompression. Defaults to
	// 4 MiB.
	ImportBytes int64
	// Events bounds the events of a request. Defaults to 2,500.
	Events int
	// Depth bounds the nesting of an event, the event itself being 1. Defaults
	// to 200.
	Depth int
	// Members bounds the names in an event, at all depths. Defaults to 10,000.
	Members int
	// MessageIDLength bounds a message id, in characters. Defaults to 100.
	MessageIDLength int
}

func (l Limits) withDefaults() (Limits, error) {
	l.EventBytes = cmp.Or(l.EventBytes, 32_768)
	l.HitBytes = cmp.Or(l.HitBytes, 65_536)
	l.BatchBytes = cmp.Or(l.BatchBytes, 512_000)
	l.ImportBytes = cmp.Or(l.ImportBytes, 4<<20)
	l.Events = cmp.Or(l.Events, 2_500)
	l.Depth = cmp.Or(l.Depth, 200)
	l.Members = cmp.Or(l.Members, 10_000)
	l.MessageIDLength = cmp.Or(l.MessageIDLength, 100)
	return l, errors.Join(
		atLeast("Limits.EventBytes", l.EventBytes, 1),
		atLeast("Limits.HitBytes", l.HitBytes, 1),
		atLeast("Limits.BatchBytes", l.BatchBytes, 1),
		atMost("Limits.BatchBytes", l.BatchBytes, maxPayload),
		atLeast("Limits.ImportBytes", l.ImportBytes, 1),
		atMost("Limits.ImportBytes", l.ImportBytes, maxPayload),
		atLeast("Limits.Events", l.Events, 1),
		atLeast("Limits.Depth", l.Depth, 1),
		atMost("Limits.Depth", l.Depth, 1000),
		atLeast("Limits.Members", l.Members, 1),
		atMost("Limits.Members", l.Members, 1_000_000),
		atLeast("Limits.MessageIDLength", l.MessageIDLength, 1),
	)
}

// wire returns the limits that act while a body is read.
func (l Limits) wire() wire.Limits {
	return wire.Limits{Depth: l.Depth, Members: l.Members, Bytes: l.EventBytes, Items: l.Events}
}

// withDefaults returns a filled copy. The error names every field at fault.
func (o *Options) withDefaults() (Options, error) {
	var filled Options
	if o != nil {
		filled = *o
	}
	var limitsErr, publicErr error
	filled.Limits, limitsErr = filled.Limits.withDefaults()
	filled.public, publicErr = parsePublicURL(filled.PublicURL)
	filled.HTTPConfig = bytes.Clone(filled.HTTPConfig)
	if filled.Dialects == nil {
		filled.Dialects = Dialects()
	}
	filled.WriteTimeout = cmp.Or(filled.WriteTimeout, 10*time.Second)
	filled.MaxInFlight = cmp.Or(filled.MaxInFlight, 4096)
	filled.MaxQueueTime = cmp.Or(filled.MaxQueueTime, 50*time.Millisecond)
	filled.RetryAfter = cmp.Or(filled.RetryAfter, time.Second)
	filled.Logger = cmp.Or(filled.Logger, slog.Default())
	return filled, errors.Join(limitsErr, publicErr, checkHTTPConfig(filled.HTTPConfig, filled.Limits.wire()),
		atLeast("WriteTimeout", filled.WriteTimeout, 1),
		atLeast("MaxInFlight", filled.MaxInFlight, 1),
		atLeast("MaxQueueTime", filled.MaxQueueTime, 1),
		atLeast("RetryAfter", filled.RetryAfter, time.Second),
		noneNil("Dialects", filled.Dialects, func(d Dialect) bool { return d == nil }),
		noneNil("Validators", filled.Validators, func(v Validator) bool { return v == nil }),
		noneNil("Enrichers", filled.Enrichers, func(e Enricher) bool { return e == nil }),
	)
}

func noneNil[T any](field string, values []T, isNil func(T) bool) error {
	if i := slices.IndexFunc(values, isNil); i >= 0 {
		return fmt.Errorf("%s[%d] is nil", field, i)
	}
	return nil
}

func atLeast[T cmp.Ordered](field string, value, least T) error {
	if value < least {
		return fmt.Errorf("%s is %v, must be at least %v", field, value, least)
	}
	return nil
}

func atMost[T cmp.Ordered](field string, value, most T) error {
	if value > most {
		return fmt.Errorf("%s is %v, must be at most %v", field, value, most)
	}
	return nil
}
