package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/inlet-go/inlet"
)

// A sealer encrypts members of events.
type sealer struct{ aead cipher.AEAD }

// newSealer takes a key of 32 bytes.
func newSealer(key []byte) (*sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &sealer{aead}, err
}

// enricher returns an enricher that encrypts the values at the paths. It sets new values, since
// the bytes of the old ones belong to the request. If it cannot, it panics: the request is answered
// 500, the log has the reason, and nothing is stored, least of all in the clear.
//
// Events that are refused as a whole have been through no enricher: keep no [inlet.Options].Rejects
// next to it, or one that is as safe as the key.
func (s *sealer) enricher(paths ...string) inlet.Enricher {
	return func(_ context.Context, e *inlet.Event) {
		for _, path := range paths {
			value, ok := e.Get(path)
			if !ok {
				continue
			}
			sealed := s.aead.Seal(nil, nil, value, place(e, path)) // base64 in JSON
			if err := e.Set(path, sealed); err != nil {
				panic(err)
			}
		}
	}
}

// open returns the value at a path of a stored event, as the client sent it.
func (s *sealer) open(e *inlet.Event, path string) (json.RawMessage, error) {
	value, ok := e.Get(path)
	if !ok {
		return nil, fmt.Errorf("there is no %s", path)
	}
	var sealed []byte
	if err := json.Unmarshal(value, &sealed); err != nil {
		return nil, err
	}
	return s.aead.Open(nil, nil, sealed, place(e, path))
}

// place binds a value to its event and its path: it cannot be moved to another one.
func place(e *inlet.Event, path string) []byte {
	return []byte(strings.Join([]string{e.Source.ID, e.MessageID, path}, "\x00"))
}
