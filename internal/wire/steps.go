//go:build !steps

package wire

// count counts steps of work in a build with the tag "steps", for the tests of what a body
// costs (cost_test.go). In all other builds it is nothing, and so are its arguments.
//
// A step is a byte that is looked at, a comparison of two fingerprints, a probe of a hash
// table, or some bytes that are copied, hashed or compared together.
func count(int) {}

// How many bytes are copied in a step, and how many are hashed, compared or skipped as a text;
// and how many steps a hash, and skipping a text, take in addition. All of that is done with
// whole words.
const (
	copied   = 16
	hashed   = 8
	hashing  = 2
	skipping = 3
)
