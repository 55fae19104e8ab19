package commandersact

// A Class is the version of the API that an event was written for.
type Class uint8

const (
	// V2 is an event of 2.0 with a context.
	V2 Class = iota
	// Partial is an event of 2.0 without a context, as some of the vendor's examples
	// have it.
	Partial
	// V1 is an event of 1.0.
	V1
)

// Classify returns the class of an event, from members of its root and the version in its
// context, each nil if it is missing. The first rule that fits decides: an event with a context is
// V2 if it has no properties, or if its context has the version 2; an event with properties or
// with the version 1 is V1. An empty list counts as an empty object.
func Classify(context, contextVersion, properties, version []byte) Class {
	return classify(isObject(context), string(contextVersion) == "2", isObject(properties), version)
}

// classify is Classify for a context that has been looked at: current means that it has the
// version 2.
func classify(hasContext, current, hasProperties bool, version []byte) Class {
	switch {
	case hasContext && (current || !hasProperties):
		return V2
	case hasProperties || string(version) == "1":
		return V1
	}
	return Partial
}

// rootKind is what a member of an event's root means in either version. The order
// matters: appendMetadata moves the kinds rootApp to rootLocale as they are, and those
// from rootType on as unknown ones.
type rootKind uint8

const (
	rootEventName rootKind = iota
	rootEvent
	rootProperties
	rootContext
	rootVersion
	rootID
	rootIDCamel
	rootIDTypo
	rootTime
	rootTimeCamel
	rootPage
	rootDevice
	rootApp
	rootGenerator
	rootContainer
	rootAgent
	rootLocale
	rootUser
	rootIntegrations
	rootPartners

	// Names that the documentation does not mention. The first three tell events of
	// Segment's form.
	rootType
	rootUserID
	rootAnonymousID
	rootUnknown

	rootKindCount
)

// rootKindOf returns the kind of a member by its quoted name.
func rootKindOf(quoted []byte) rootKind {
	switch string(quoted) {
	case `"event_name"`:
		return rootEventName
	case `"event"`:
		return rootEvent
	case `"properties"`:
		return rootProperties
	case `"context"`:
		return rootContext
	case `"version"`:
		return rootVersion
	case `"event_id"`:
		return rootID
	case `"eventId"`:
		return rootIDCamel
	case `"event_Id"`:
		return rootIDTypo
	case `"event_timestamp"`:
		return rootTime
	case `"eventTimestamp"`:
		return rootTimeCamel
	case `"page"`:
		return rootPage
	case `"device"`:
		return rootDevice
	case `"app"`:
		return rootApp
	case `"generatorVersion"`:
		return rootGenerator
	case `"containerVersion"`:
		return rootContainer
	case `"userAgent"`:
		return rootAgent
	case `"locale"`:
		return rootLocale
	case `"user"`:
		return rootUser
	case `"integrations"`:
		return rootIntegrations
	case `"partners"`:
		return rootPartners
	case `"type"`:
		return rootType
	case `"userId"`:
		return rootUserID
	case `"anonymousId"`:
		return rootAnonymousID
	}
	return rootUnknown
}
