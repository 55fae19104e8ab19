package inlet_test

import "testing"

func TestJitsuGolden(t *testing.T) {
	t.Parallel()
	testGolden(t, "testdata/jitsu")
}
