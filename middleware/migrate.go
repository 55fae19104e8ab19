package middleware

import (
	"net/http"

	"github.com/inlet-go/inlet"
)

// Migrate replaces payloads of an older version of an API by their form in the newest one,
// such as [inlet.CommandersActV1] does: it is [inlet.MigratePayload] as a layer that panics
// if m is nil or an option is out of range. It belongs inside Payload and Auth, next to the
// handler, so that other layers see what the client sent.
func Migrate(m inlet.Migration, o *inlet.MigratePayloadOptions) func(http.Handler) http.Handler {
	layer, err := inlet.MigratePayload(m, o)
	must(err)
	return layer
}
