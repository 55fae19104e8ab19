package sinkkit

import (
	"errors"
	"strings"
)

// Secrets removes secrets, such as keys and passwords, from texts that are logged or returned.
// Make one with [NewSecrets].
type Secrets struct{ replacer *strings.Replacer }

// NewSecrets returns what replaces each of the secrets by mark. Empty ones are ignored. Where
// several begin at the same place, the first of the list is replaced: pass the longer ones first.
func NewSecrets(mark string, secrets ...string) Secrets {
	var pairs []string
	for _, secret := range secrets {
		if secret != "" {
			pairs = append(pairs, secret, mark)
		}
	}
	return Secrets{strings.NewReplacer(pairs...)}
}

// Hide returns a text without the secrets.
func (s Secrets) Hide(text string) string { return s.replacer.Replace(text) }

// HideError returns err, or, if its text has a secret, an error with the rest of the text and
// without a chain: what it wraps would show the secret.
func (s Secrets) HideError(err error) error {
	if err == nil {
		return nil
	}
	if clean := s.Hide(err.Error()); clean != err.Error() {
		return errors.New(clean)
	}
	return err
}
