// Package openapi selects parts of a description in OpenAPI.
package openapi

import (
	"encoding/json"
	"slices"
)

// tagged is what an operation and a tag have in common: their names.
type tagged struct {
	Name string
	Tags []string
}

// Only returns the description without the tags that are not in names, and without the
// operations that have none of them. The members of its objects are sorted.
func Only(description []byte, names []string) ([]byte, error) {
	var document, paths map[string]json.RawMessage
	var tags []json.RawMessage
	if err := json.Unmarshal(description, &document); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(document["paths"], &paths); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(document["tags"], &tags); err != nil {
		return nil, err
	}
	for path, item := range paths {
		kept, err := operations(item, names)
		if err != nil {
			return nil, err
		}
		if paths[path] = kept; kept == nil {
			delete(paths, path)
		}
	}
	tags = slices.DeleteFunc(tags, func(raw json.RawMessage) bool {
		var tag tagged
		return json.Unmarshal(raw, &tag) != nil || !slices.Contains(names, tag.Name)
	})
	for name, part := range map[string]any{"paths": paths, "tags": tags} {
		raw, err := json.Marshal(part)
		if err != nil {
			return nil, err
		}
		document[name] = raw
	}
	return json.Marshal(document)
}

// operations returns the item of a path without the operations that have none of the tags, nil if
// that leaves none.
func operations(item json.RawMessage, names []string) (json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(item, &members); err != nil {
		return nil, err
	}
	left := 0
	for name, raw := range members {
		if name == "parameters" {
			continue
		}
		var operation tagged
		if err := json.Unmarshal(raw, &operation); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(operation.Tags, func(tag string) bool { return slices.Contains(names, tag) }) {
			delete(members, name)
			continue
		}
		left++
	}
	if left == 0 {
		return nil, nil
	}
	return json.Marshal(members)
}
