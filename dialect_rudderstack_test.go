package inlet_test

import "testing"

func TestRudderStackGolden(t *testing.T) {
	t.Parallel()
	testGolden(t, "testdata/rudderstack")
}
