package enrichers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/wire"
)

// Redact returns an enricher that takes out of every event what stands at
// the given paths, before it is stored.
//
// A path has the names of the canonical form with dots between them, such as
// "traits.email", "context.ip" or "userId", and is compared exactly. An unknown
// root member is named as it was sent. A path that leads through an array leads
// through each of its elements. The same fact may stand in several places
// ("context.traits.email"): each needs a path. What every event must have (type,
// name, messageId and the times) cannot be taken out; an event may lose all of
// its ids.
//
// The error names the path that is wrong.
func Redact(paths ...string) (inlet.Enricher, error) {
	parsed, err := newEventPaths(paths)
	if err != nil {
		return nil, fmt.Errorf("enrichers: Redact: %w", err)
	}
	remove := func(_, _ []byte) []byte { return nil }
	return func(_ context.Context, e *inlet.Event) {
		for i := range parsed {
			parsed[i].edit(e, remove)
		}
	}, nil
}

// leastHashKey is the length from which on a key cannot be found by trying.
const leastHashKey = 16

// Hash returns an enricher that replaces what stands at the given paths of
// every event by its keyed digest, so that events of one person can still be
// joined: HMAC-SHA-256 in 64 hexadecimal digits. Paths are those of
// [Redact].
//
// Hashed is the text of a string, and the digits of a number as they were sent;
// nothing is normalised, so "A@example.com" and "a@example.com" differ. Of an
// array each element is hashed. Null and the empty string stay; an object, which
// has no single text, is taken out.
//
// The key is a secret of at least 16 bytes, and is copied. Whoever has it can try
// out likely values, which for addresses and numbers is quick: a digest is a
// pseudonym, not anonymous. The error says what is wrong with it, or names the
// path.
func Hash(key []byte, paths ...string) (inlet.Enricher, error) {
	if len(key) < leastHashKey {
		return nil, fmt.Errorf("enrichers: Hash: the key has %d bytes, must have at least %d", len(key), leastHashKey)
	}
	parsed, err := newEventPaths(paths)
	if err != nil {
		return nil, fmt.Errorf("enrichers: Hash: %w", err)
	}
	h := hashing(slices.Clone(key))
	return func(_ context.Context, e *inlet.Event) {
		for i := range parsed {
			parsed[i].edit(e, h.edit)
		}
	}, nil
}

// hashing is the key of a digest.
type hashing []byte

func (h hashing) edit(dst, value []byte) []byte {
	switch wire.Kind(value) {
	case '"':
		if len(value) == len(`""`) {
			return append(dst, value...)
		}
		return h.appendDigest(dst, wire.AppendText(nil, value))
	case '[':
		return wire.AppendElements(dst, value, h.edit)
	case '{':
		return nil
	case 'n':
		return append(dst, value...)
	}
	return h.appendDigest(dst, value)
}

func (h hashing) appendDigest(dst, text []byte) []byte {
	mac := hmac.New(sha256.New, h)
	mac.Write(text)
	return append(hex.AppendEncode(append(dst, '"'), mac.Sum(nil)), '"')
}
