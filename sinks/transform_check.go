package sinks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/canonical"
)

// checkChanged returns an error if e lacks something that sinks rely on; lent is the event
// before the change.
func checkChanged(e, lent *inlet.Event) error {
	switch {
	case e.Type != lent.Type && !canonical.IsType(string(e.Type)):
		return fmt.Errorf("the change left an invalid Type, %q", e.Type)
	case e.Timestamp.IsZero() && !lent.Timestamp.IsZero():
		return errors.New("the change left no Timestamp")
	}
	before := requirements(lent)
	for i, r := range requirements(e) {
		if r.lacks && !before[i].lacks { // a letter may come without
			return fmt.Errorf("the change left no %s", r.field)
		}
	}
	return checkRaw(e, lent)
}

// A requirement is a field that sinks require, and whether an event lacks it.
type requirement struct {
	field string
	lacks bool
}

// requirements returns what sinks require of an event of that type.
func requirements(e *inlet.Event) [6]requirement {
	return [...]requirement{
		{"MessageID", e.MessageID == ""},
		{"ReceivedAt", e.ReceivedAt.IsZero()},
		{"Source", e.Source == nil},
		{"Name of a track call", e.Type == inlet.TypeTrack && e.Name == ""},
		{"GroupID of a group call", e.Type == inlet.TypeGroup && e.GroupID == ""},
		{"PreviousID of an alias call", e.Type == inlet.TypeAlias && e.PreviousID == ""},
	}
}

// checkRaw returns an error if a raw field that was changed is not valid: it would make the
// canonical form of the event invalid.
func checkRaw(e, lent *inlet.Event) error {
	before := rawFields(lent)
	for i, f := range rawFields(e) {
		if !bytes.Equal(f.raw, before[i].raw) && !isObject(f.raw) {
			return fmt.Errorf("the change left %s, which is not a JSON object", f.name)
		}
	}
	return nil
}

type rawField struct {
	name string
	raw  json.RawMessage
}

func rawFields(e *inlet.Event) [5]rawField {
	return [...]rawField{
		{"Properties", e.Properties},
		{"Traits", e.Traits},
		{"Context", e.Context},
		{"Integrations", e.Integrations},
		{"Extra", e.Extra},
	}
}

// isObject reports whether raw is a JSON object, or empty.
func isObject(raw json.RawMessage) bool {
	if len(raw) == 0 {
		return true
	}
	start := bytes.TrimLeft(raw, " \t\r\n")
	return bytes.HasPrefix(start, []byte("{")) && utf8.Valid(raw) && json.Valid(raw)
}
