package inlet_test

import "testing"

func TestSegmentGolden(t *testing.T) {
	t.Parallel()
	testGolden(t, "testdata/segment")
}
