package inlet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/inlet-go/inlet/internal/check"
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
		check.AtLeast("WriteTimeout", filled.WriteTimeout, 1),
		check.AtLeast("MaxInFlight", filled.MaxInFlight, 1),
		check.AtLeast("MaxQueueTime", filled.MaxQueueTime, 1),
		check.AtLeast("RetryAfter", filled.RetryAfter, time.Second),
		check.NoneNil("Dialects", filled.Dialects, func(d Dialect) bool { return d == nil }),
		check.NoneNil("Validators", filled.Validators, func(v Validator) bool { return v == nil }),
		check.NoneNil("Enrichers", filled.Enrichers, func(e Enricher) bool { return e == nil }),
	)
}

// parsePublicURL reads [Options.PublicURL], nil for "".
func parsePublicURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("PublicURL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, errors.New("PublicURL must begin with http:// or https:// and a host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("PublicURL must end with its path")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}, nil
}

// checkHTTPConfig reports whether raw can be sent in an answer.
func checkHTTPConfig(raw json.RawMessage, limits wire.Limits) error {
	if raw == nil {
		return nil
	}
	var doc wire.Document
	if err := doc.Read(raw, "", limits); err != nil {
		return fmt.Errorf("HTTPConfig is no JSON object: %w", err)
	}
	return nil
}
