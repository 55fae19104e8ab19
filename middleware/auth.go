package middleware

import (
	"net/http"

	"github.com/inlet-go/inlet"
)

// Auth lets requests pass whose write key a knows, with the source that the key belongs to
// ([inlet.SourceFromContext]), and refuses the others: it is [inlet.Authenticate] as a layer
// that panics if a is nil or an option is out of range.
func Auth(a inlet.Authenticator, o *inlet.AuthOptions) func(http.Handler) http.Handler {
	layer, err := inlet.Authenticate(a, o)
	must(err)
	return layer
}
