// Package canonical lists the members of the canonical form of an event: their names, and what
// the form holds under each of them. It is the only such list. Whatever has to know which names
// are taken uses it: reading and writing the form, dialects that keep a client from setting what
// is Inlet's, paths of enrichers, and Ingest.
//
// The names are constants, so that a hot path can switch over them without a call, also over
// quoted ones:
//
//	switch string(quoted) {
//	case `"` + canonical.UserID + `"`:
//
// [KindOf] is one switch over the same constants.
package canonical

// Names of the members, in the order in which the canonical form has them. The members of Extra
// come after Integrations; Sequence and Checksum end a line of the journal.
const (
	Type              = "type"
	Event             = "event"
	Name              = "name"
	MessageID         = "messageId"
	UserID            = "userId"
	AnonymousID       = "anonymousId"
	PreviousID        = "previousId"
	GroupID           = "groupId"
	Timestamp         = "timestamp"
	OriginalTimestamp = "originalTimestamp"
	SentAt            = "sentAt"
	ReceivedAt        = "receivedAt"
	SourceID          = "sourceId"
	Dialect           = "dialect"
	Warnings          = "warnings"
	Properties        = "properties"
	Traits            = "traits"
	Context           = "context"
	Integrations      = "integrations"
	Client            = "_client"
	Refused           = "_refused"
	Sequence          = "_seq"
	Checksum          = "_c"
)

// Names returns all names in the order of the canonical form. It is for tests and tables.
func Names() []string {
	return []string{
		Type, Event, Name, MessageID, UserID, AnonymousID, PreviousID, GroupID,
		Timestamp, OriginalTimestamp, SentAt, ReceivedAt, SourceID, Dialect, Warnings,
		Properties, Traits, Context, Integrations, Client, Refused, Sequence, Checksum,
	}
}

// maxNameBytes is the length of the longest name.
const maxNameBytes = len(OriginalTimestamp)

// A Kind is what the canonical form holds under a name.
type Kind uint8

const (
	// KindExtra is any name that is not in the list. The member belongs to Extra.
	KindExtra Kind = iota
	// KindText is a string that every event has: the type and the message id.
	KindText
	// KindName is the event's name. Which member holds it depends on the type; see
	// [NameMember].
	KindName
	// KindID is one of the ids of a person or a group, a string.
	KindID
	// KindTime is a time, a string.
	KindTime
	// KindObject is a raw JSON object.
	KindObject
	// KindServer is a field that only Inlet sets.
	KindServer
	// KindNote is a member of Extra that only Inlet writes: what a client may not say
	// itself, and why a sink refused the event.
	KindNote
	// KindRecord is what the journal adds to an event when it writes a line.
	KindRecord
)

// KindOf returns the kind of the member called name, compared exactly.
func KindOf(name string) Kind {
	switch name {
	case Type, MessageID:
		return KindText
	case Event, Name:
		return KindName
	case UserID, AnonymousID, PreviousID, GroupID:
		return KindID
	case Timestamp, OriginalTimestamp, SentAt:
		return KindTime
	case Properties, Traits, Context, Integrations:
		return KindObject
	case ReceivedAt, SourceID, Dialect, Warnings:
		return KindServer
	case Client, Refused:
		return KindNote
	case Sequence, Checksum:
		return KindRecord
	}
	return KindExtra
}

// KindOfQuoted is [KindOf] for a name in quotes and without escapes, as documents have it. It
// does not allocate, however long the name is.
func KindOfQuoted(quoted []byte) Kind {
	if n := len(quoted) - len(`""`); n <= 0 || n > maxNameBytes {
		return KindExtra
	}
	return KindOf(string(quoted[1 : len(quoted)-1]))
}

// ServerOnly reports whether only Inlet may set members of the kind. A dialect keeps those that
// a client sent below [Client].
func (k Kind) ServerOnly() bool { return k == KindServer || k == KindNote || k == KindRecord }

// IsType reports whether an event may have the type: whether it is one of the six calls.
func IsType(eventType string) bool {
	switch eventType {
	case "identify", "track", "page", "screen", "group", "alias":
		return true
	}
	return false
}

// NameMember returns the member that holds the name of events of a type, "" for types whose
// events have no name.
func NameMember(eventType string) string {
	switch eventType {
	case "track":
		return Event
	case "page", "screen":
		return Name
	}
	return ""
}

// IsField reports whether the canonical form of events of a type holds something of its own
// under the name, so that Extra must not have a member called so.
func IsField(name, eventType string) bool {
	switch KindOf(name) {
	case KindExtra, KindNote:
		return false
	case KindName:
		return name == NameMember(eventType)
	}
	return true
}
