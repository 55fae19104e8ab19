// Package torture tests a journal that runs in a process of its own, on a real file system,
// under what may happen in production: kills, power cuts, full disks, damaged bytes, deleted
// files and failing system calls; and its deliveries with destinations that fail, hang or are
// down. An oracle outside of that process records what was acknowledged. The package also
// contains mutants, each of which breaks the journal in one way, and checks that the tests
// catch every one of them.
//
// Everything is behind a build tag, and most of it needs Linux and root:
//
//	go test -tags torture -count 1 -v ./sinks/journal/internal/torture
//
// With -short the mutants are skipped. The full form is
//
//	go test -tags torture -count 1 -v -timeout 60m ./sinks/journal/internal/torture \
//		-kills 200 -cuts 100 -flips 400
//
// Every run prints its seed; -seed N repeats its random choices, but not the scheduling of
// the processes. docs/DURABILITY_TESTS.md has the results.
package torture
