package inlet

import (
	"net/http"

	"github.com/inlet-go/inlet/internal/wire"
)

// SegmentStream returns the dialect of SegmentStream's HTTP tracking API, whose
// call is a hit: one event, in the member "event". It shares the path "/track"
// with [Segment], whose "event" is a name, and must stand before it in a list of
// dialects.
func SegmentStream() Dialect { return segmentStream{} }

type segmentStream struct{}

// Name is "segmentstream".
func (segmentStream) Name() string { return "segmentstream" }

// KeyPlaces are none but the headers: the documents know only Basic credentials.
func (segmentStream) KeyPlaces() KeyPlaces { return KeyPlaces{} }

// Routes are the documented one, and that of the vendor's own browser sender,
// which has no header to put a key into and says its project's id in the body.
func (segmentStream) Routes() []Route {
	return []Route{
		{Method: http.MethodPost, Path: "/track", Shape: isHit, Size: SizeHit, Form: FormEmpty, Decode: decodeHit},
		{Method: http.MethodPost, Path: "/collect", Key: projectKey, Size: SizeHit, Form: FormEmpty, Decode: decodeHit},
	}
}

// isHit tells a hit from a track call of the Segment dialect.
func isHit(root Object) bool { return wire.Kind(root.Get("event")) == '{' }

func projectKey(_ *http.Request, root Object) string { return wire.Text(root.Get("projectId")) }

// decodeHit reads a body that is one hit.
func decodeHit(in *Input) error {
	item := in.doc.AsItem()
	if p := problemOf(item.Fault); p != nil {
		in.Refuse(0, "", p)
		return nil
	}
	var m hitMembers
	in.text.Grow(m.find(item.Object))
	h := hit{in.Add(0), in, &m}
	if item.Repaired {
		h.Warnings |= WarnTextRepaired
	}
	if p := h.fill(); p != nil {
		in.refuseLast(p)
		return nil
	}
	h.setTime()
	if m.extra {
		h.Extra = h.appendExtra()
	}
	return nil
}
