package enrichers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/wire"
)

// Redact returns an enricher that removes the values at the given paths from every event,
// before it is stored.
//
// A path consists of names of the canonical form, separated by dots, such as
// "traits.email", "context.ip" or "userId". A dot in a name is written `\.`, and a backslash
// `\\`. Names are compared exactly. A member that the canonical form does not define has the
// name that the client sent. A path that leads through an array leads through each of its
// elements. The same fact may be in several
// places ("context.traits.email"): each needs its own path. The type, the name, the message
// id, the times and what Inlet sets itself cannot be removed. All ids of a person can: the
// event is stored without them.
//
// At least one path is required. The error names every path that is not valid.
func Redact(paths ...string) (inlet.Enricher, error) {
	parsed, err := parsePaths(paths)
	if err = check.Options("enrichers", "Redact", err); err != nil {
		return nil, err
	}
	remove := func(_, _ []byte) []byte { return nil }
	return func(_ context.Context, e *inlet.Event) {
		for i := range parsed {
			parsed[i].apply(e, remove)
		}
	}, nil
}

// minHashKeyBytes is the length from which on a key cannot be found by trial.
const minHashKeyBytes = 16

// Hash returns an enricher that replaces the values at the given paths of every event by their
// keyed digest, so that events of one person can still be joined: HMAC-SHA-256 in 64 hexadecimal
// digits. The paths are those of [Redact].
//
// The digest is that of the text of a string, or of the digits of a number as they were sent.
// Nothing is normalised: "A@example.com" and "a@example.com" differ. Each element of an array is
// hashed. Null and the empty string stay as they are. An object has no single text and is
// removed.
//
// The key is a secret of at least 16 bytes. It is copied. Anyone who has it can try likely
// values, which is quick for addresses and phone numbers: a digest is a pseudonym and not
// anonymous.
//
// The error names every path that is not valid, and the length of a key that is too short.
func Hash(key []byte, paths ...string) (inlet.Enricher, error) {
	parsed, err := parsePaths(paths)
	if err = check.Options("enrichers", "Hash", check.AtLeast("len(key)", len(key), minHashKeyBytes), err); err != nil {
		return nil, err
	}
	h := hasher(slices.Clone(key))
	return func(_ context.Context, e *inlet.Event) {
		for i := range parsed {
			parsed[i].apply(e, h.appendHashed)
		}
	}, nil
}

// hasher is the key of a digest.
type hasher []byte

// appendHashed is an editor.
func (h hasher) appendHashed(dst, value []byte) []byte {
	switch wire.Kind(value) {
	case '"':
		if len(value) == len(`""`) {
			return append(dst, value...)
		}
		return h.appendDigest(dst, wire.AppendText(nil, value))
	case '[':
		return wire.AppendElements(dst, value, h.appendHashed)
	case '{':
		return nil
	case 'n':
		return append(dst, value...)
	}
	return h.appendDigest(dst, value)
}

func (h hasher) appendDigest(dst, text []byte) []byte {
	mac := hmac.New(sha256.New, h)
	mac.Write(text)
	return append(hex.AppendEncode(append(dst, '"'), mac.Sum(nil)), '"')
}
