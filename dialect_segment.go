package inlet

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// Segment returns the dialect of Segment's HTTP tracking API and of the many
// servers and SDKs that speak it. Its rules are those of Segment's published API
// and, where that is silent, what its published SDKs send.
func Segment() Dialect { return segment{} }

type segment struct{}

// Name is "segment".
func (segment) Name() string { return "segment" }

// KeyPlaces are the query of beacons and pixels, and the body, where most of the
// SDKs put the key.
func (segment) KeyPlaces() KeyPlaces {
	return KeyPlaces{Query: []string{"writeKey", "writekey"}, Members: []string{"writeKey"}}
}

// Routes are those of the API in their long and short forms, with the batch
// routes of old and mobile SDKs, the pixels, the settings that browser and mobile
// SDKs ask for on their start, and the metrics of browser SDKs, which are taken
// and dropped.
func (segment) Routes() []Route {
	var routes []Route
	for _, t := range []Type{TypeIdentify, TypeTrack, TypePage, TypeScreen, TypeGroup, TypeAlias} {
		single := func(in *Input) error { return decodeSegmentSingle(in, t) }
		routes = append(routes,
			Route{Method: http.MethodPost, Path: "/v1/" + string(t), Decode: single},
			Route{Method: http.MethodPost, Path: "/v1/" + string(t[:1]), Decode: single},
			Route{Method: http.MethodGet, Path: "/v1/pixel/" + string(t), Form: FormPixel, Body: segmentPixel, Decode: single})
	}
	for _, path := range []string{"/v1/batch", "/v1/b"} {
		routes = append(routes, Route{Method: http.MethodPost, Path: path, Size: SizeBatch, Decode: decodeSegmentBatch})
	}
	return append(routes,
		Route{Method: http.MethodPost, Path: "/v1/import", Size: SizeImport, Decode: decodeSegmentBatch},
		Route{Method: http.MethodGet, Path: "/v1/projects/{key}/settings", Open: true, Reply: projectSettings},
		Route{Method: http.MethodPost, Path: "/v1/m", Open: true, Size: SizeBatch})
}

// segmentEnvelope is what a batch, or the request's headers, say for all of its
// events.
type segmentEnvelope struct {
	context, integrations json.RawMessage
	sentAt, timestamp     time.Time
	anonymousID           string // of events that have none
	warnings              Warnings
}

// decodeSegmentSingle reads a body that is one event. Its type is the route's.
func decodeSegmentSingle(in *Input, t Type) error {
	item := in.doc.AsItem()
	if p := problemOf(item.Fault); p != nil {
		in.Refuse(0, "", p)
		return nil
	}
	in.setRequestDefaults()
	in.slots = append(in.slots, segmentSlots{})
	in.text.Grow(in.slots[0].fill(item.Object))
	in.addSegment(0, &item, &in.slots[0], t)
	return nil
}

// decodeSegmentBatch reads a body that lists events, with defaults for them.
func decodeSegmentBatch(in *Input) error {
	items, listed := in.doc.Items()
	if !listed {
		return &Error{Code: CodeBatchNotArray, Field: "batch"}
	}
	if len(items) == 0 {
		return &Error{Code: CodeEmptyBatch, Field: "batch"}
	}
	if err := in.setEnvelope(len(items)); err != nil {
		return err
	}
	in.fillSegment(items)
	for i := range items {
		if p := problemOf(items[i].Fault); p != nil {
			in.Refuse(i, "", p)
			continue
		}
		in.addSegment(i, &items[i], &in.slots[i], "")
	}
	return nil
}

// fillSegment sorts the members of all events, so that the room for all their
// strings can be made at once.
func (in *Input) fillSegment(items []wire.Item) {
	in.slots = slices.Grow(in.slots, len(items))[:len(items)]
	in.structs = slices.Grow(in.structs, len(items))
	room := 0
	for i := range items {
		in.slots[i] = segmentSlots{}
		room += in.slots[i].fill(items[i].Object)
	}
	in.text.Grow(room)
}

// maxExpansion is how many times the limit of the request all events together may come to
// once each has the batch's defaults: they are sent once and stored with every
// event.
const maxExpansion = 8

// setEnvelope reads what a batch of some events says for all of them.
func (in *Input) setEnvelope(events int) error {
	root, env := in.doc.Root(), &in.envelope
	var warnContext, warnIntegrations Warnings
	var p *Problem
	env.context, warnContext, p = in.Object(root.Get(`"context"`), CodeContextNotObject, "context")
	if p == nil {
		env.integrations, warnIntegrations, p = in.Object(root.Get(`"integrations"`), CodeIntegrationsNotObject, "integrations")
	}
	if p != nil {
		return &Error{Code: p.Code, Message: p.Message, Field: p.Field}
	}
	if all := int64(len(env.context)+len(env.integrations)) * int64(events); all > maxExpansion*in.room {
		return &Error{Code: CodePayloadTooLarge, Field: "context",
			Message: "context and integrations of the batch, repeated for every event, are too large"}
	}
	env.sentAt, _ = in.Time(root.Get(`"sentAt"`))
	env.timestamp, _ = in.Time(root.Get(`"timestamp"`))
	in.setRequestDefaults()
	env.warnings = warnContext | warnIntegrations
	if in.doc.Repaired() {
		env.warnings |= WarnTextRepaired
	}
	return nil
}
