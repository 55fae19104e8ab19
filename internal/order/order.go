// Package order knows where each layer belongs in a chain, and notices when one is elsewhere.
//
// It has one table of the layers ([Layers]) and one of what goes wrong if one is inside another
// ([Rules]). A [Trail] notes which layers a request has passed, and a [Place] is that of one
// layer around one handler: it compares the trail with the rules, and also the layers right
// behind it, which a request that is refused never reaches. A layer that is in the wrong place is
// warned of once.
package order

import (
	"slices"
	"strings"
)

// A Layer is a kind of layer.
type Layer uint8

// The kinds of layers, from the outside in.
const (
	Observe Layer = iota
	Recover
	RequestID
	AccessLog
	ClientIP
	CORS
	LimitByIP
	IPPolicy
	Identity
	Payload
	Auth
	LimitBySource
	Migrate

	layers
	// None is a layer that has no place of its own.
	None = layers
)

// A Row is what is known of a kind of layer.
type Row struct {
	Layer Layer
	Name  string
	Why   string // why it is where it is: its line in the documentation of package middleware
	Rare  bool   // most hosts do not need it
	Twice string // what goes wrong if a chain has two of them, "" for nothing
}

// Layers returns the table of the layers, from the outside in.
func Layers() []Row { return slices.Clone(rows[:]) }

var rows = [layers]Row{
	{
		Layer: Observe, Name: "Observe", Rare: true,
		Why: "notifies an observer of every request, also of those that panic. It is the outermost.",
	},
	{
		Layer: Recover, Name: "Recover",
		Why: "catches the panics of everything inside it.",
	},
	{
		Layer: RequestID, Name: "RequestID",
		Why: "gives the log lines and answers of everything inside it the id.",
	},
	{
		Layer: AccessLog, Name: "AccessLog",
		Why:   "logs every request, including those that a layer inside it refuses.",
		Twice: "every request is logged twice",
	},
	{
		Layer: ClientIP, Name: "ClientIP",
		Why:   "precedes everything that uses the address of the client.",
		Twice: "the inner one replaces the address that the outer one has found",
	},
	{
		Layer: CORS, Name: "CORS",
		Why: "precedes everything that refuses, so that a page can read the refusal, and answers " +
			"preflights, which carry no key.",
		Twice: "preflights never reach the inner one, so its origins are refused, and those of the outer one are allowed everywhere",
	},
	{
		Layer: LimitByIP, Name: "RateLimit by IP",
		Why: "precedes whatever costs memory or a lookup.",
	},
	{
		Layer: IPPolicy, Name: "IPPolicy", Rare: true,
		Why: "follows the limit by IP, which then counts whole addresses. Right inside ClientIP, " +
			"nothing else sees one; inside Auth, it can tell sources apart.",
	},
	{
		Layer: Identity, Name: "Identity", Rare: true,
		Why: "follows ClientIP, whose address it truncates for visitors who opted out, and the " +
			"limit by IP, which must not depend on what a client asks for.",
	},
	{
		Layer: Payload, Name: "Payload",
		Why: "precedes everything that reads the body, such as Auth, which may have to find the " +
			"key in it.",
	},
	{
		Layer: Auth, Name: "Auth",
		Why:   "authenticates the request, and refuses it before it costs more.",
		Twice: "a key has to be known to both, and events get the source of the inner one",
	},
	{
		Layer: LimitBySource, Name: "RateLimit by source",
		Why: "follows Auth, which determines the source.",
	},
	{
		Layer: Migrate, Name: "Migrate",
		Why: "is next to the handler, so that the other layers see what the client sent.",
	},
}

// String returns the name.
func (l Layer) String() string { return rows[l].Name }

// A Rule is that one layer must be outside of another, if a chain has both.
type Rule struct {
	Outer, Inner Layer
	// Spoils is what goes wrong otherwise. "" means that it is only the usual order.
	Spoils string
	// MoveInner means that Inner is the one in the wrong place.
	MoveInner bool
}

// Rules returns the table of the rules.
func Rules() []Rule { return slices.Clone(rules[:]) }

const (
	notLogged  = "requests that are refused before it are not logged"
	unreadable = "pages cannot read the refusals that are made before it"
)

var rules = [...]Rule{
	{Outer: Observe, Inner: Recover},
	{Outer: Recover, Inner: RequestID},
	{Outer: Recover, Inner: AccessLog},
	{Outer: Recover, Inner: ClientIP},
	{Outer: Recover, Inner: CORS},
	{Outer: RequestID, Inner: AccessLog},
	{Outer: AccessLog, Inner: CORS, Spoils: "preflights are not logged"},
	{Outer: AccessLog, Inner: LimitByIP, Spoils: notLogged},
	{Outer: AccessLog, Inner: Payload, Spoils: notLogged},
	{Outer: AccessLog, Inner: Auth, Spoils: notLogged},
	{Outer: AccessLog, Inner: LimitBySource, Spoils: notLogged},
	{Outer: ClientIP, Inner: LimitByIP, Spoils: "all clients behind a proxy are limited as one"},
	{Outer: ClientIP, Inner: IPPolicy, Spoils: "it sets the whole address again that IPPolicy has truncated"},
	{Outer: ClientIP, Inner: Identity, Spoils: "it sets the whole address again of visitors who opted out"},
	{Outer: CORS, Inner: LimitByIP, Spoils: unreadable},
	{Outer: CORS, Inner: Payload, Spoils: unreadable},
	{Outer: CORS, Inner: Auth, Spoils: "preflights carry no key, so they are refused, and " + unreadable},
	{Outer: CORS, Inner: LimitBySource, Spoils: unreadable},
	{Outer: LimitByIP, Inner: Identity, Spoils: "visitors who opted out are limited by networks, not by addresses"},
	{Outer: LimitByIP, Inner: Payload, Spoils: "requests in excess take up the bounds of Payload before they are refused"},
	{Outer: LimitByIP, Inner: Auth, Spoils: "requests in excess cost a lookup of their key, and those without a known key are not limited"},
	{Outer: Payload, Inner: Auth, Spoils: "Auth may read a body for its key outside the bounds of Payload"},
	{
		Outer: Payload, Inner: Migrate, MoveInner: true,
		Spoils: "it reads bodies outside the bounds of Payload",
	},
	{
		Outer: Auth, Inner: LimitBySource, MoveInner: true,
		Spoils: "no request has a source there, so none is limited",
	},
	{
		Outer: Auth, Inner: Migrate, MoveInner: true,
		Spoils: "a write key in the body may be elsewhere afterwards, and Auth does not find it",
	},
	{Outer: LimitBySource, Inner: Migrate},
}

// A Set is a set of layers.
type Set uint32

// Of returns the set of one layer; that of [None] is empty.
func Of(l Layer) Set { return 1 << l & (1<<layers - 1) }

// Has reports whether the set has a layer.
func (s Set) Has(l Layer) bool { return s&Of(l) != 0 }

// String returns the names, from the outside in: "Payload, Auth".
func (s Set) String() string {
	var names []string
	for l := range layers {
		if s.Has(l) {
			names = append(names, l.String())
		}
	}
	return strings.Join(names, ", ")
}

// ruleOf returns the rule by which outer must be outside of inner and that spoils something
// otherwise, nil if there is none.
func ruleOf(outer, inner Layer) *Rule {
	for i := range rules {
		if r := &rules[i]; r.Outer == outer && r.Inner == inner && r.Spoils != "" {
			return r
		}
	}
	return nil
}

// insides has, for each layer, those that must be inside of it.
var insides = func() (lists [layers][]Layer) {
	for _, r := range rules {
		if r.Spoils != "" {
			lists[r.Outer] = append(lists[r.Outer], r.Inner)
		}
	}
	return lists
}()

// judged has the layers that a rule is about, or of which a chain should have one.
var judged = func() (set Set) {
	for _, r := range rules {
		if r.Spoils != "" {
			set |= Of(r.Outer) | Of(r.Inner)
		}
	}
	for _, row := range rows {
		if row.Twice != "" {
			set |= Of(row.Layer)
		}
	}
	return set
}()

// outsides returns the layers that must be outside of one that is in the wrong place otherwise.
func outsides(inner Layer) (set Set) {
	for _, r := range rules {
		if r.Inner == inner && r.MoveInner {
			set |= Of(r.Outer)
		}
	}
	return set
}
