package inlet_test

import "testing"

func TestSegmentStreamGolden(t *testing.T) {
	t.Parallel()
	testGolden(t, "testdata/segmentstream")
}
