package inlet

import "github.com/inlet-go/inlet/internal/wire"

// commandersActClass is which version of Commanders Act's API an event was
// written for. No URL tells them apart, only the event.
type commandersActClass uint8

const (
	commandersActV2 commandersActClass = iota
	// commandersActPartial is 2.0 without a context, as the vendor prints it in
	// places.
	commandersActPartial
	commandersActV1
)

// commandersActClassOf takes the first rule that fits: 2.0 says so in its context,
// or has one and no properties; 1.0 has properties, or says so itself.
func commandersActClassOf(context, properties, version []byte) commandersActClass {
	hasContext, hasProperties := wire.Kind(context) == '{', wire.Kind(properties) == '{'
	switch {
	case hasContext && !hasProperties:
		return commandersActV2
	case hasContext && string(wire.Find(context, `"version"`)) == "2":
		return commandersActV2
	case hasProperties || string(version) == "1":
		return commandersActV1
	}
	return commandersActPartial
}

// rootKind is what a member of an event's root is to Commanders Act.
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

	// What no document names. The first three tell Segment's form.
	rootType
	rootUserID
	rootAnonymousID
	rootUnknown

	rootKinds
)

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
