package inlet_test

import "testing"

// The files are numbered as the table at the end of docs/DIALECTS.md.
func TestTrapsGolden(t *testing.T) {
	t.Parallel()
	testGolden(t, "testdata/traps")
}
