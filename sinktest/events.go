package sinktest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
)

// Events returns n events of all types, as a sink may receive them: valid, and with content
// that JSON allows and code often breaks. The i-th is the same in every call except for its
// MessageID, which never repeats. The caller owns them.
func Events(n int) []*inlet.Event {
	batch := rand.Text()
	events := make([]*inlet.Event, n)
	for i := range events {
		events[i] = sample(i)
		events[i].MessageID = batch + "-" + strconv.Itoa(i)
	}
	return events
}

// received is when the first sample was received.
var received = time.Date(2026, 2, 28, 23, 59, 59, 123456789, time.UTC)

// sample returns the i-th event, without a MessageID.
func sample(i int) *inlet.Event {
	at := received.Add(time.Duration(i) * time.Second)
	e := &inlet.Event{
		UserID:     "user-" + strconv.Itoa(i),
		Timestamp:  at.Add(-time.Minute),
		ReceivedAt: at,
		Source:     &inlet.Source{ID: "source-" + strconv.Itoa(i%3)},
		Dialect:    "segment",
	}
	object := json.RawMessage(awkward[i%len(awkward)])
	switch i % 6 {
	case 0:
		e.Type, e.Name, e.Properties = inlet.TypeTrack, "Order \u2028 \"Completed\" \x00 \U0001F389", object
		e.Context = json.RawMessage(`{"library":{"name":"analytics.js","version":"2.1.0"}}`)
		e.OriginalTimestamp, e.SentAt = at.Add(-2*time.Minute), at.Add(-time.Second)
	case 1:
		e.Type, e.Traits = inlet.TypeIdentify, object
		e.AnonymousID, e.Warnings = "anonymous", inlet.WarnTextRepaired|inlet.WarnTimestampClamped
	case 2:
		e.Type, e.Name, e.Properties = inlet.TypePage, "", object
		e.Integrations = json.RawMessage(`{"All":false,"":true}`)
	case 3:
		e.Type, e.Name, e.Properties = inlet.TypeScreen, "Home\n", object
		e.Extra = json.RawMessage(`{"":null,"channel":"mobile","version":18446744073709551616}`)
	case 4:
		e.Type, e.GroupID, e.Traits = inlet.TypeGroup, "g\uFFFD", object
		e.UserID, e.AnonymousID = "", strings.Repeat("a", 100)
	case 5:
		e.Type, e.PreviousID, e.Context = inlet.TypeAlias, "before", object
	}
	return e
}

// awkward are objects that careless sinks change. Their number and that of the types have no
// common divisor, so that each type gets each of them.
var awkward = [...]string{
	`{"plain":"text","n":1,"list":[true,false,null]}`,
	`{"big":9007199254740993,"bigger":123456789012345678901234567890,"exact":1.10,"exp":1e400,"zero":-0}`,
	`{"nul":"a\u0000b","lost":"` + "\uFFFD" + `","escaped":"\ufffd\u00e9\/","quote":"\"\\"}`,
	`{"":"empty name","a.b":{"":{"":[]}},"__proto__":{},"` + "e\u0301" + `":"` + "\u00e9" + `"}`,
	"{\n\t\"lines\": [\n\t\t1,\r\n\t\t\"text with \\n and  two spaces\"\n\t]\n}",
	`{"deep":` + deep + `}`,
	`{"html":"<script>&amp;</script>","separator":"` + "\u2028\u2029\U0001F469\u200D\U0001F467" + `"}`,
}

var deep = strings.Repeat(`[{"a":`, 60) + `{}` + strings.Repeat(`}]`, 60)

// cycle is after how many events their content repeats, except ids and times.
const cycle = len(awkward) * 6

// An experience is what earlier clauses have found out about the content that a sink breaks, so
// that the later ones do without it and one cause is reported once. It is shared by the probes
// of a run.
type experience struct{ avoid map[int]bool } // by the place in the cycle

// learn adds places to those that are avoided, unless nothing would be left: the cause is then
// not the content.
func (x *experience) learn(places map[int]bool) {
	if len(x.avoid)+len(places) >= cycle {
		return
	}
	if x.avoid == nil {
		x.avoid = map[int]bool{}
	}
	maps.Copy(x.avoid, places)
}

// instead returns the place whose content is used for that of a place.
func (x *experience) instead(place int) int {
	for x.avoid[place] {
		place = (place + 1) % cycle
	}
	return place
}

// events returns n events as [Events] does, without the content that the sink is known not to
// hold.
func (p *probe) events(n int) []*inlet.Event {
	events := Events(n)
	for i, e := range events {
		if place := i % cycle; p.learned.avoid[place] {
			id := e.MessageID
			*e = *sample(p.learned.instead(place))
			e.MessageID = id
		}
		if p.f.NoNUL {
			removeNUL(e)
		}
	}
	return events
}

func removeNUL(e *inlet.Event) {
	e.Name = strings.ReplaceAll(e.Name, "\x00", "")
	for _, raw := range []*json.RawMessage{&e.Properties, &e.Traits, &e.Context} {
		*raw = bytes.ReplaceAll(*raw, []byte(`\u0000`), nil)
	}
}

// addNUL puts U+0000 where a store may meet it.
func addNUL(e *inlet.Event) {
	e.Type, e.Name = inlet.TypeTrack, "a\x00b"
	e.Properties = json.RawMessage(`{"nul":"a\u0000b"}`)
}
