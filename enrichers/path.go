package enrichers

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/wire"
)

// A path is a place in an event, by the names of the canonical form.
type path struct {
	root string   // a field, or a member of Extra
	rest []string // quoted names of members below the field, or below Extra
}

// parsePaths parses paths whose names are separated by dots. The error has all faults.
func parsePaths(texts []string) ([]path, error) {
	if len(texts) == 0 {
		return nil, errors.New("no path given")
	}
	paths, faults := make([]path, len(texts)), make([]error, len(texts))
	for i, text := range texts {
		if err := paths[i].parse(text); err != nil {
			faults[i] = fmt.Errorf("path %q: %w", text, err)
		}
	}
	return paths, errors.Join(faults...)
}

func (p *path) parse(text string) error {
	names, err := canonical.SplitPath(text)
	if err != nil {
		return err
	}
	for _, name := range names {
		p.rest = append(p.rest, string(wire.AppendString(nil, name)))
	}
	p.root = names[0]
	switch canonical.KindOf(p.root) {
	case canonical.KindExtra, canonical.KindNote: // a member of Extra
	case canonical.KindID:
		if len(names) > 1 {
			return fmt.Errorf("%s is text and has no members", p.root)
		}
	case canonical.KindObject:
		p.rest = p.rest[1:]
	default:
		return fmt.Errorf("%s cannot be changed: it is part of every event", p.root)
	}
	return nil
}

// An editor appends to dst what replaces a JSON value. It returns nil if the value is to be
// removed.
type editor func(dst, value []byte) []byte

// apply edits the value at the path of an event, if there is one.
func (p *path) apply(e *inlet.Event, edit editor) {
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

// editText edits a field of text, unless it is empty.
func editText(text *string, edit editor) {
	if *text != "" {
		*text = wire.Text(edit(nil, wire.AppendString(nil, *text)))
	}
}

// editRaw edits the value at the path of a raw field. It makes a new object: the bytes of the
// old one belong to the request.
func editRaw(raw *json.RawMessage, path []string, edit editor) {
	object := wire.Trim(*raw)
	if wire.Kind(object) == '{' && wire.Has(object, path) {
		*raw = wire.AppendEdited(nil, object, path, edit)
	}
}

// setMember sets a member of a raw field, which may be nil.
func setMember(raw *json.RawMessage, quoted string, value []byte) {
	if object := wire.Trim(*raw); len(object) == 0 || wire.Kind(object) == '{' {
		*raw = wire.AppendSet(make([]byte, 0, len(object)+len(quoted)+len(value)+4), object, quoted, value)
	}
}

// textMember returns the text of a member of a raw field, "" if it is not a string or absent.
func textMember(raw json.RawMessage, quoted string) string {
	object := wire.Trim(raw)
	if wire.Kind(object) != '{' {
		return ""
	}
	return wire.Text(wire.Find(object, quoted))
}
