//go:build steps

package wire

// steps is what count has counted. A build that counts is for tests that run alone.
var steps int

// count counts steps of work: a byte that is looked at, a comparison of two fingerprints, a
// probe of a hash table, or some bytes that are copied, hashed or compared together.
func count(n int) { steps += n }

// How many bytes are copied in a step, and how many are hashed, compared or skipped as a text;
// and how many steps a hash, and skipping a text, take in addition. All of that is done with
// whole words.
const (
	copied   = 16
	hashed   = 8
	hashing  = 2
	skipping = 3
)

// Steps returns the steps that f takes.
func Steps(f func()) int {
	before := steps
	f()
	return steps - before
}
