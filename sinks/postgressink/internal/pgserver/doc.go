// Package pgserver starts a PostgreSQL and a pgbouncer of the tests' own, each in a temporary
// directory, on a socket in that directory, as a user without privileges.
package pgserver
