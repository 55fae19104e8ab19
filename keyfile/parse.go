package keyfile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/origin"
	"github.com/inlet-go/inlet/internal/wire"
)

// A keySet is the keys of a file, by their digests.
type keySet struct {
	sources map[[sha256.Size]byte]*keyedSource
	origins origin.Set // of all sources that are not disabled
}

type keyedSource struct {
	digest [sha256.Size]byte
	source inlet.Source
	entry  int
}

// since returns how many keys were added and removed since an older set.
func (k *keySet) since(older *keySet) (added, removed int) {
	for digest := range k.sources {
		if older.sources[digest] == nil {
			added++
		}
	}
	return added, len(older.sources) + added - len(k.sources)
}

// An entry is a key in a file.
type entry struct {
	Key       string   `json:"key"`
	SHA256    string   `json:"sha256"`
	Source    string   `json:"source"`
	Disabled  bool     `json:"disabled"`
	Origins   []string `json:"origins"`
	Rate      float64  `json:"rate"`
	Burst     int      `json:"burst"`
	EventRate float64  `json:"eventRate"`
	ByteRate  float64  `json:"byteRate"`
}

// memberNames are those of an entry. encoding/json would also accept names in other case.
var memberNames = []string{
	"key", "sha256", "source", "disabled", "origins", "rate", "burst", "eventRate", "byteRate",
}

// parse reads the text of a file. Of the text, its errors contain only known names: anything else
// may be a key.
func parse(text []byte) (*keySet, error) {
	if !json.Valid(text) {
		var value json.RawMessage
		return nil, syntaxError(json.Unmarshal(text, &value))
	}
	members, err := wire.Members(text)
	if err != nil || len(members) != 1 || string(members[0].Name()) != "keys" {
		return nil, errors.New(`must be an object with the one member "keys", without invalid text and names that occur twice`)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(members[0].Value, &list); err != nil || list == nil {
		return nil, errors.New(`"keys" is not a list`)
	}
	keys := &keySet{sources: make(map[[sha256.Size]byte]*keyedSource, len(list))}
	for i, raw := range list {
		found, err := parseEntry(raw)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		found.entry = i + 1
		if first := keys.sources[found.digest]; first != nil {
			return nil, fmt.Errorf("entry %d has the same key as entry %d", found.entry, first.entry)
		}
		keys.sources[found.digest] = found
		for _, listed := range found.source.Origins {
			if !found.source.Disabled {
				keys.origins.Add(listed)
			}
		}
	}
	return keys, nil
}

// syntaxError has the place, and the character there.
func syntaxError(err error) error {
	if found, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("is not JSON: %w at byte %d", found, found.Offset)
	}
	return errors.New("is not JSON")
}

func parseEntry(raw json.RawMessage) (*keyedSource, error) {
	members, err := wire.Members(raw)
	if err != nil {
		return nil, errors.New("is not an object")
	}
	for _, m := range members {
		if !slices.Contains(memberNames, string(m.Name())) {
			return nil, fmt.Errorf("has a member other than %s", strings.Join(memberNames, ", "))
		}
		if string(m.Value) == "null" {
			return nil, fmt.Errorf("%q is null; leave it out", m.Name())
		}
	}
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		if found, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, fmt.Errorf("%q must be a %s", found.Field, found.Type)
		}
		return nil, errors.New("cannot be read")
	}
	digest, err := e.digest()
	if err != nil {
		return nil, err
	}
	source := inlet.Source{
		ID: e.Source, Disabled: e.Disabled, Origins: e.Origins,
		Rate: e.Rate, Burst: e.Burst, EventRate: e.EventRate, ByteRate: e.ByteRate,
	}
	if _, err := inlet.NewKeys(map[string]inlet.Source{e.Key + e.SHA256: source}); err != nil {
		return nil, err
	}
	return &keyedSource{digest: digest, source: source}, nil
}

// digest returns the hash of the entry's key.
func (e *entry) digest() (digest [sha256.Size]byte, err error) {
	if (e.Key == "") == (e.SHA256 == "") {
		return digest, errors.New(`must have either "key" or "sha256"`)
	}
	if e.Key != "" {
		return sha256.Sum256([]byte(e.Key)), nil
	}
	hash, err := hex.DecodeString(e.SHA256)
	if err != nil || copy(digest[:], hash) != len(digest) || len(hash) != len(digest) {
		return digest, errors.New(`"sha256" is not a SHA-256 hash: 64 hexadecimal digits, as "printf %s KEY | sha256sum" prints before the space`)
	}
	return digest, nil
}
