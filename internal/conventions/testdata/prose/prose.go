// Package fixture refuses an event for
// good, and that is found although the line breaks within the phrase.
package fixture

// Right: a mender's remark on endear, amend and tomend; one byte at a time; told apart;
// Nobody here means http.NoBody; there is no object; the garbage collector.
// For good is the name of a song.

// mend is not found as a name of the code, only in a comment: Mended.
func mend() (string, string) {
	return "whoever is told in a string", `and a raw one:
for ever`
}

/* A general comment that
nobody reads. */

// The line below is 100 columns long and right, the one after it has 101, and a link may be longer.
// xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
// xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
// https://example.com/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
func Example() {
	// Tabs count: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
	_ = "code may be longer"
	// Output:
	// what an example prints may be as long as it is: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
}
