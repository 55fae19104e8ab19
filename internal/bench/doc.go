// Package bench measures what the module promises about speed and memory.
//
// It holds a seeded [Corpus] of payloads, the same bytes every time, and the
// benchmarks of the goals. A goal is a ratio to a floor, such as the bare
// validation of the same bytes or a bare net/http server. Both sides are timed in
// short alternating slices of one run, so that other load on the machine affects
// both alike, and the median over the slices counts.
//
// The whole table, in Markdown, takes under three minutes. On Linux it includes the
// part that needs processes pinned to processors:
//
//	go test ./internal/bench -run '^$' -bench 'Target' -benchtime 1x
//
// One goal, or only the benchmarks over the loopback:
//
//	go test ./internal/bench -run '^$' -bench 'Target3$' -benchtime 5x
//	go test ./internal/bench -run '^$' -bench 'Loopback' -benchtime 1x
//
// What a request costs over a hand-written endpoint that validates it and answers, with a client
// that never sleeps:
//
//	go test ./internal/bench -run '^$' -bench 'Endpoint' -benchtime 1x
//
// Four times the load of a sink, and traffic next to ten thousand idle and a thousand
// slow connections, take a minute and a half; docs/PERFORMANCE.md describes how to run
// them on a shared machine:
//
//	go test ./internal/bench -run '^$' -bench 'Overload|IdleAndSlow' -benchtime 1x
//
// Each round of -benchtime is a full set of slices. The rows without a number
// are context: what the floors themselves cost on the machine. Goal 1, for
// example, leaves more or less time for everything except validation, depending on what
// validation adds to a bare net/http server there.
//
// A plain go test runs only the allocation budgets and the checks of the corpus.
package bench
