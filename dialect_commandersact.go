package inlet

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/inlet-go/inlet/internal/wire"
)

// CommandersAct returns the dialect of version 2.0 of Commanders Act's HTTP
// tracking API and of its tracking pixel. Events of version 1.0 are refused, each
// on its own, unless a layer before the handler has migrated them.
//
// As documented, an answer is 200 also where events were refused: the body says
// which. Only a body that is too large or no JSON is 400. A request that is not
// vouched for, or comes too fast, or while events cannot be stored, is answered
// as in all dialects.
func CommandersAct() Dialect { return commandersAct{} }

type commandersAct struct{}

// Name is "commandersact".
func (commandersAct) Name() string { return "commandersact" }

// KeyPlaces are the query, beside the Bearer token of older documents.
func (commandersAct) KeyPlaces() KeyPlaces { return KeyPlaces{Query: []string{queryToken}} }

// Parameters of the query that are no data of an event's.
const (
	queryToken = "token"
	querySite  = "tc_s"
)

// Routes are the documented ones: an event, a batch, and the pixel.
func (commandersAct) Routes() []Route {
	event := Route{Path: "/events", BearerIsKey: true, UserOptional: true}
	post, pixel, batch := event, event, event
	post.Method, post.Form, post.Decode = http.MethodPost, FormLenient, decodeActsEvent
	pixel.Method, pixel.Form, pixel.Decode = http.MethodGet, FormPixel, decodeActsPixel
	pixel.Body = actsPixel
	batch.Method, batch.Form, batch.Decode = http.MethodPost, FormLenient, decodeActsBatch
	batch.Path, batch.Size = "/events/batch", SizeBatch
	return []Route{post, pixel, batch}
}

// decodeActsEvent reads a body that is one event.
func decodeActsEvent(in *Input) error { return in.addOnlyActs(in.doc.AsItem()) }

func (in *Input) addOnlyActs(item wire.Item) error {
	site, err := in.site()
	if err == nil {
		in.addActs(0, &item, site)
	}
	return err
}

// typicalText is the room for the strings of an event of a batch: a name, two
// ids of the user's and one of the event's.
const typicalText = 128

// decodeActsBatch reads a body that lists events.
func decodeActsBatch(in *Input) error {
	items, listed := in.doc.Items()
	if !listed {
		return &Error{Code: CodeBatchNotArray, Field: "batch"}
	}
	if len(items) == 0 {
		return &Error{Code: CodeEmptyBatch, Field: "batch"}
	}
	site, err := in.site()
	if err != nil {
		return err
	}
	in.structs = slices.Grow(in.structs, len(items))
	in.text.Grow(typicalText * len(items))
	for i := range items {
		in.addActs(i, &items[i], site)
	}
	return nil
}

// site returns the Extra of all events of the request, which holds the id of the
// site that the query names, or nil.
func (in *Input) site() (json.RawMessage, error) {
	id := queryValue(in.Request.URL.RawQuery, querySite)
	if id == "" {
		return nil, nil
	}
	if len(id) > in.limits.MessageIDLength { // it is stored with every event
		return nil, &Error{Code: CodeInvalidRequest, Message: "the id of the site is too long", Field: querySite}
	}
	start := len(in.raw)
	in.raw = wire.AppendString(append(in.raw, `{"`+querySite+`":`...), id)
	in.raw = append(in.raw, '}')
	return in.raw[start:len(in.raw):len(in.raw)], nil
}

// queryValue returns the first value of a parameter, or "".
func queryValue(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		if n, value, _ := strings.Cut(pair, "="); n == name {
			if text, err := url.QueryUnescape(value); err == nil {
				return text
			}
			return value
		}
	}
	return ""
}
