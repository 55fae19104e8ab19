package middleware

import (
	"net/http"

	"github.com/inlet-go/inlet"
)

// Migrate brings payloads of an older version of an API into the form of today's,
// such as those of [inlet.CommandersActV1]. What the migration does not apply to
// passes unread. It belongs behind Payload and Auth, right in front of the handler:
// what other layers see is what the client sent.
//
// Events that cannot be migrated pass as they are, and the handler refuses them.
// Nil options are all defaults. Migrate panics if m is nil or an option is out of
// range.
func Migrate(m inlet.Migration, o *inlet.MigratorOptions) func(http.Handler) http.Handler {
	migrator, err := inlet.NewMigrator(m, o)
	must("Migrate", err)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			migrated, payload, err := migrator.Migrate(w, r)
			if err != nil {
				inlet.WriteError(w, r, err)
				return
			}
			next.ServeHTTP(w, migrated)
			payload.Release() // not after a panic: see Payload
		})
	}
}
