package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"

	"github.com/inlet-go/inlet"
)

// signed returns a plain net/http middleware in place of middleware.Auth: it lets requests pass
// whose body is signed with secret, and authenticates them as source.
//
// It is inside middleware.Payload, so the body that it reads is bounded and decompressed.
func signed(secret []byte, source *inlet.Source) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				inlet.WriteError(w, r, err)
				return
			}
			if !hmac.Equal(sign(secret, body), signature(r)) {
				inlet.WriteError(w, r, &inlet.Error{
					Code: inlet.CodeUnknownKey, Message: "the signature does not match the body", Field: "X-Signature",
				})
				return
			}
			r = inlet.WithSource(r, source)
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(w, r)
		})
	}
}

// sign returns the signature of body.
func sign(secret, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return mac.Sum(nil)
}

// signature returns the signature that the client sent, nil if it is not hexadecimal.
func signature(r *http.Request) []byte {
	sum, _ := hex.DecodeString(r.Header.Get("X-Signature"))
	return sum
}
