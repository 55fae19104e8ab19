// Package rig attacks a server that may use little memory, and measures what the attacks cost.
//
// The server is "inlet serve", or the documented mount with a journal, which also speaks
// HTTP/2 and has a sink that panics. It runs as a process of its own in a memory cgroup of 256
// MiB, with GOMEMLIMIT=144MiB and a MaxBytesInFlight of 64 MiB. For each kind of attack 64
// connections send as fast as they are answered, and healthy requests come from another address.
// The server must survive, its resident memory must stay below 1.5 times MaxBytesInFlight and
// 64 MiB, and the healthy requests must be stored soon.
//
// Everything is behind a build tag, and needs Linux, root and a memory cgroup, version 1 or 2:
//
//	go test -tags rig -count 1 -v ./internal/rig -for 10s
//
// It prints a table of all kinds; docs/OPERATIONS.md has its figures. Traffic goes over loopback
// only.
package rig
