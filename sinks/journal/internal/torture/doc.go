// Package torture holds the tests that do to a journal, in a process of its own
// and on a real file system, what may happen to it in production: kills, power
// cuts, full disks, damaged bytes, files that vanish, system calls that fail; and
// to its deliveries, destinations that fail, hang or are dead. An oracle outside of
// that process remembers what was acknowledged. The package also breaks the journal
// on purpose, in many ways, and shows that each is found.
//
// Everything is behind a build tag, and most of it needs Linux and root:
//
//	go test -tags torture -count 1 -v ./sinks/journal/internal/torture
//
// With -short the mutants are left out. The full form is
//
//	go test -tags torture -count 1 -v -timeout 60m ./sinks/journal/internal/torture -kills 200 -cuts 100 -flips 400
//
// Every run prints its seed; -seed N repeats its choices, though not the
// scheduling of the processes. docs/DURABILITY.md has the results.
package torture
