// Package interop has only tests. They drive the published SDKs, as downloaded from their
// registries, against the binary of cmd/inlet, and compare what the SDKs sent
// with what the journal has stored. It is a module of its own so that users of the main
// module do not depend on the SDKs and routers that it requires.
//
// README.md lists the clients with their versions and describes how to run the tests.
package interop
