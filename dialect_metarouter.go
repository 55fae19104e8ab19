package inlet

import (
	"encoding/json"
	"net/http"

	"github.com/inlet-go/inlet/internal/wire"
)

// MetaRouter returns what MetaRouter, and Astronomer before it, have beside
// Segment's API: their webhook, their custom events, and the place where the
// older of them put the key into a body. All else is [Segment]'s, which must be
// there, too.
func MetaRouter() Dialect { return metaRouter{} }

type metaRouter struct{}

const (
	metaRouterKey  = `"appId"`     // the write key, in bodies of the time of Astronomer
	eventNameAlias = `"eventName"` // what a table of the documents calls "event"
)

// Name is "metarouter".
func (metaRouter) Name() string { return "metarouter" }

// KeyPlaces are the query of a webhook, which outranks the body, and "appId".
func (metaRouter) KeyPlaces() KeyPlaces {
	return KeyPlaces{Query: []string{"writeKey"}, Members: []string{"appId"}}
}

// Routes are the webhook, whose body is an event that says its type, and custom
// events.
func (metaRouter) Routes() []Route {
	webhook := func(in *Input) error { return decodeSegmentSingle(in, "") }
	return []Route{
		{Method: http.MethodPost, Path: "/v1/webhook", Decode: webhook},
		{Method: http.MethodPost, Path: "/v1/w", Decode: webhook},
		{Method: http.MethodPost, Path: "/v1/custom/event", Key: findCustomKey, Decode: decodeCustom},
	}
}

// metaRouterName returns the value that names a track event: said or, if that is
// nothing, the member that the documents' table calls eventName. That stays an
// unknown member as well.
func metaRouterName(e *segmentEvent, said json.RawMessage) json.RawMessage {
	if kind := wire.Kind(said); kind != 0 && kind != 'n' || !e.slots.extra {
		return said
	}
	return e.object.Get(eventNameAlias)
}
