// Package interop holds no code of its own: its tests drive the published SDKs,
// as they are downloaded from their registries, against the binary of
// examples/standalone, and compare what they sent with what the journal holds.
// It is a module of its own so that the SDKs and the routers that it requires
// stay out of everybody else's build.
//
// README.md lists the clients with their versions and says how to run them.
package interop
