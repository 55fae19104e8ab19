//go:build !steps

package wire

// count counts steps of work in a build with the tag "steps", for the tests of what a body
// costs (cost_test.go). In all other builds it is nothing, and so are its arguments.
//
// A step is a byte that is looked at, a comparison of two fingerprints or of two bytes, a
// probe of a hash table, or [copied] bytes that are copied.
func count(int) {}

// copied is how many bytes are copied in one step: copying is that much cheaper than
// looking at each byte.
const copied = 16
