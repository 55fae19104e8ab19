package order

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/inlet-go/inlet/internal/lanes"
)

// A Trail notes which layers a request has passed. The zero value is one that has passed none, and
// a nil Trail notes nothing. It may be used concurrently.
type Trail struct {
	places [layers]atomic.Pointer[Place] // where a layer of each kind was passed first
	first  *Place                        // of the layer that has made the trail, or nil
	id     [1]string                     // of the request, as the values of a header
	lane   lanes.Lane                    // of the request
}

// TrailKey is the key under which the context of a request has its *Trail.
type TrailKey struct{}

// TrailOf returns the trail of a request, or nil.
func TrailOf(ctx context.Context) *Trail {
	t, _ := ctx.Value(TrailKey{}).(*Trail)
	return t
}

// SetLane sets the lane of the request, before it is passed on.
func (t *Trail) SetLane(l lanes.Lane) { t.lane = l }

// Lane returns the lane of the request, any for a nil Trail.
func (t *Trail) Lane() lanes.Lane {
	if t == nil {
		return lanes.Here()
	}
	return t.lane
}

// KeepID returns the memory that the trail has for the id of the request, which is set once, before
// the request is passed on.
func (t *Trail) KeepID() *string { return &t.id[0] }

// IDHeader returns the values of a header with the id of the request.
func (t *Trail) IDHeader(id string) []string {
	if t != nil && t.id[0] == id {
		return t.id[:]
	}
	return []string{id}
}

// Has reports whether the request has passed a layer of a kind.
func (t *Trail) Has(l Layer) bool { return t != nil && t.places[l].Load() != nil }

// Begin notes the layer that has made the trail, before the request is passed on.
func (t *Trail) Begin(p *Place) {
	if t != nil {
		t.first = p
	}
}

// NoteLimit notes that the request is in a limit of a kind, for [Place.EnterLimit].
func (t *Trail) NoteLimit(l Layer) {
	if t != nil && t.places[l].Load() == nil {
		t.places[l].Store(&somewhere)
	}
}

// somewhere is the place of a limit that is yet to be known. It is never changed.
var somewhere Place

// A Place is that of one layer around one handler. It may be used concurrently.
type Place struct {
	layer  Layer
	logger *slog.Logger
	warned atomic.Bool
	behind []*Place      // in the wrong place, or for which this one is
	before atomic.Uint32 // known to be around it, and should be inside
	looked atomic.Bool
	lacks  atomic.Uint32         // layers whose absence in front was warned of
	outer  atomic.Pointer[Place] // of the outermost layer from which only layers lead to this one
}

// A Wrapper is a handler that a layer has made around another. It returns the place of the layer,
// nil if that has none, and the handler inside.
type Wrapper interface{ Inside() (*Place, http.Handler) }

// New returns the place of a layer around next. The logger receives the warnings; a nil one is
// [slog.Default] as it is now.
func New(l Layer, next http.Handler, logger *slog.Logger) *Place {
	if logger == nil {
		logger = slog.Default()
	}
	p := &Place{layer: l, logger: logger}
	for {
		w, ok := next.(Wrapper)
		if !ok {
			return p
		}
		inner, deeper := w.Inside()
		if inner != nil {
			inner.outer.Store(p)
		}
		if inner != nil && inner.layer != None && slices.Contains(insides[inner.layer], l) {
			inner.before.Or(uint32(Of(l)))
			p.behind = append(p.behind, inner)
		}
		next = deeper
	}
}

// FollowsOwn reports whether a request with the trail has only passed layers of this module, from
// the one that has made the trail to this one. It may return false though it has.
func (p *Place) FollowsOwn(t *Trail) bool { return t.first != nil && t.first == p.outer.Load() }

// Enter notes that a request passes the layer, and warns of what is in the wrong place.
func (p *Place) Enter(ctx context.Context, t *Trail) {
	if t != nil && judged.Has(p.layer) {
		p.judge(ctx, t, p.layer)
	}
}

// EnterLimit is Enter for a layer whose kind shows only now: the request has been noted for it.
func (p *Place) EnterLimit(ctx context.Context, t *Trail) {
	for _, l := range [...]Layer{LimitByIP, LimitBySource} {
		if t != nil && t.places[l].Load() == &somewhere {
			t.places[l].Store(nil)
			p.judge(ctx, t, l)
		}
	}
}

// judge compares where the layer is with the rules.
func (p *Place) judge(ctx context.Context, t *Trail, l Layer) {
	if first := t.places[l].Load(); first != nil {
		if rows[l].Twice != "" && first != p && p.once() {
			p.logger.WarnContext(ctx, "middleware: layer passed twice", "layer", l.String(),
				"effect", rows[l].Twice, "remedy", "leave one of the two out")
		}
		return
	}
	t.places[l].Store(p)
	if !p.looked.Load() && !p.looked.Swap(true) {
		for _, inner := range p.behind {
			inner.warn(ctx, t, inner.layer, Set(inner.before.Load()))
		}
	}
	if p.warned.Load() {
		return
	}
	var around Set
	for _, inner := range insides[l] {
		if t.places[inner].Load() != nil {
			around |= Of(inner)
		}
	}
	if around != 0 {
		p.warn(ctx, t, l, around)
	}
}

// warn warns that a layer is inside of others that should be inside of it. Where it is one of
// those that is in the wrong place, the warning is about that one.
func (p *Place) warn(ctx context.Context, t *Trail, l Layer, around Set) {
	var wrong Set
	effect := ""
	for other := range layers {
		rule := ruleOf(l, other)
		if rule == nil || !around.Has(other) {
			continue
		}
		outer := t.places[other].Load()
		if outer == &somewhere {
			outer = nil
		}
		switch {
		case outer != nil && Set(outer.lacks.Load()).Has(l):
			return // it was warned of when it was missing
		case !rule.MoveInner:
			wrong |= Of(other)
			effect = rule.Spoils
		case outer == nil:
			outer = p
			fallthrough
		default:
			if outer.once() {
				p.logger.WarnContext(ctx, "middleware: layer in the wrong place", "layer", other.String(),
					"effect", rule.Spoils, "remedy", "put "+other.String()+" inside of "+outsides(other).String())
			}
		}
	}
	if wrong != 0 && p.once() {
		p.logger.WarnContext(ctx, "middleware: layer in the wrong place", "layer", l.String(),
			"effect", effect, "remedy", "put "+l.String()+" outside of "+wrong.String())
	}
}

// once reports whether nothing was said of the layer yet.
func (p *Place) once() bool { return !p.warned.Load() && !p.warned.Swap(true) }

// Lacks reports whether a request came to the layer without having passed another, which is to be
// warned of: once, and not if that is known to be inside.
func (p *Place) Lacks(ctx context.Context, other Layer) bool {
	if TrailOf(ctx).Has(other) || Set(p.lacks.Load()).Has(other) {
		return false
	}
	for _, inner := range p.behind {
		if inner.layer == other {
			return false
		}
	}
	return !Set(p.lacks.Or(uint32(Of(other)))).Has(other)
}
