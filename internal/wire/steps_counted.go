//go:build steps

package wire

// steps is what count has counted. A build that counts is for tests that run alone.
var steps int

// count counts steps of work: a byte that is looked at, a comparison of two fingerprints or
// of two bytes, a probe of a hash table, or [copied] bytes that are copied.
func count(n int) { steps += n }

// copied is how many bytes are copied in one step: copying is that much cheaper than
// looking at each byte.
const copied = 16

// Steps returns the steps that f takes.
func Steps(f func()) int {
	before := steps
	f()
	return steps - before
}
