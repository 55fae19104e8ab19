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

// isCommandersActV1 reports whether an event was written for version 1.0.
func isCommandersActV1(o wire.Object) bool { return classifyCommandersAct(o) == commandersActV1 }

// classifyCommandersAct takes the first rule that fits: 2.0 says so in its
// context, or has one and no properties; 1.0 has properties, or says so itself.
func classifyCommandersAct(o wire.Object) commandersActClass {
	var context, properties, version []byte
	for i := range o.Len() {
		switch string(o.Name(i)) {
		case `"context"`:
			context = o.Value(i)
		case `"properties"`:
			properties = o.Value(i)
		case `"version"`:
			version = o.Value(i)
		}
	}
	return commandersActClassOf(context, properties, version)
}

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
