package enrichers

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/wire"
)

// eventPath is a place in events, in the names of their canonical form.
type eventPath struct {
	root string   // a field, or the first name in Extra
	rest []string // quoted names of members below
}

// newEventPaths reads paths of names with dots between them.
func newEventPaths(paths []string) ([]eventPath, error) {
	if len(paths) == 0 {
		return nil, errors.New("there is no path")
	}
	parsed := make([]eventPath, len(paths))
	for i, path := range paths {
		if err := parsed[i].parse(path); err != nil {
			return nil, fmt.Errorf("path %q: %w", path, err)
		}
	}
	return parsed, nil
}

func (p *eventPath) parse(path string) error {
	names := strings.Split(path, ".")
	for _, name := range names {
		if name == "" {
			return errors.New("a name is empty")
		}
		p.rest = append(p.rest, string(wire.AppendString(nil, name)))
	}
	p.root = names[0]
	switch canonical.KindOf(p.root) {
	case canonical.KindExtra, canonical.KindNote: // a member of Extra
	case canonical.KindID:
		if len(names) > 1 {
			return fmt.Errorf("%s has no members", p.root)
		}
	case canonical.KindObject:
		p.rest = p.rest[1:]
	default:
		return fmt.Errorf("every event needs its %s", p.root)
	}
	return nil
}

// edit replaces what stands at the path of an event by what edit appends for it,
// and takes it out if that is nil.
func (p *eventPath) edit(e *inlet.Event, edit func(dst, value []byte) []byte) {
	switch p.root {
	case canonical.UserID:
		editText(&e.UserID, edit)
	case canonical.AnonymousID:
		editText(&e.AnonymousID, edit)
	case canonical.PreviousID:
		editText(&e.PreviousID, edit)
	case canonical.GroupID:
		editText(&e.GroupID, edit)
	case canonical.Properties:
		editRaw(&e.Properties, p.rest, edit)
	case canonical.Traits:
		editRaw(&e.Traits, p.rest, edit)
	case canonical.Context:
		editRaw(&e.Context, p.rest, edit)
	case canonical.Integrations:
		editRaw(&e.Integrations, p.rest, edit)
	default:
		editRaw(&e.Extra, p.rest, edit)
	}
	if string(e.Extra) == "{}" {
		e.Extra = nil
	}
}

// editText replaces an id that is there.
func editText(text *string, edit func(dst, value []byte) []byte) {
	if *text != "" {
		*text = wire.Text(edit(nil, wire.AppendString(nil, *text)))
	}
}

// editRaw replaces what stands at a path of a raw field, which is otherwise left
// alone: its bytes are not ours.
func editRaw(raw *json.RawMessage, path []string, edit func(dst, value []byte) []byte) {
	object := wire.Trim(*raw)
	if wire.Kind(object) == '{' && wire.Has(object, path) {
		*raw = wire.AppendEdited(nil, object, path, edit)
	}
}

// setRaw sets a member of a raw field, which may be nil.
func setRaw(raw *json.RawMessage, quoted string, value []byte) {
	if object := wire.Trim(*raw); len(object) == 0 || wire.Kind(object) == '{' {
		*raw = wire.AppendSet(make([]byte, 0, len(object)+len(quoted)+len(value)+4), object, quoted, value)
	}
}

// textMember returns what the member of a raw field says, "" if it is no string
// or not there.
func textMember(raw json.RawMessage, quoted string) string {
	object := wire.Trim(raw)
	if wire.Kind(object) != '{' {
		return ""
	}
	return wire.Text(wire.Find(object, quoted))
}
