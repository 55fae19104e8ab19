// Package bench measures what the module promises about speed and memory.
//
// It holds a seeded [Corpus] of payloads, the same bytes every time, and the
// benchmarks of the goals. A goal is a ratio to a floor, such as the bare
// validation of the same bytes or a bare net/http server; both sides are timed
// in short alternating slices of one run, so that what a neighbour on the
// machine does to one it does to the other, and the median over the slices
// counts.
//
// The whole table, in Markdown, in under three minutes, and on Linux with the
// part that needs processes pinned to processors:
//
//	go test ./internal/bench -run '^$' -bench 'Target' -benchtime 1x
//
// One goal, or only what goes over the loopback:
//
//	go test ./internal/bench -run '^$' -bench 'Target3$' -benchtime 5x
//	go test ./internal/bench -run '^$' -bench 'Loopback' -benchtime 1x
//
// What happens at four times the load of a sink, and beside ten thousand idle and a
// thousand slow connections, in a minute and a half; docs/PERFORMANCE.md says how
// to run it on a machine that others use:
//
//	go test ./internal/bench -run '^$' -bench 'Overload|IdleAndSlow' -benchtime 1x
//
// Each round of -benchtime is a full set of slices. The rows without a number
// are context: what the floors themselves cost on the machine. Goal 1, for
// example, leaves more or less room for everything else depending on what bare
// validation adds to a bare net/http server there.
//
// Nothing of it runs in a plain go test but the allocation budgets and the
// checks of the corpus itself.
package bench
