// Command peers measures the module next to what else could receive the same events: endpoints
// written by hand, with net/http, gin or Fiber, and the receivers of two collectors. Each keeps
// each event as a line of a file.
//
//	go run ./internal/bench/peers
//
//	go build -tags heavy -o peers.bin ./internal/bench/peers
//	chrt -r 1 ./peers.bin
//
// The second form has the collectors too, which take minutes to compile, and a real-time priority,
// for machines that others use. Each server is a process of its own on the first processor, and the
// client polls on the second. A row of the table is the processor time of the server for an event,
// alone and in batches of 100, in short slices that alternate with those of all others; and how
// many of the events that a server had acknowledged when it was killed are not in its files. Each
// server also ends once in good order, and the program fails if a reader does not find each event
// that was sent in the files.
//
// docs/PERFORMANCE.md has the results, and what each server does more and less than this module.
package main
