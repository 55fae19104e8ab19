package inlet_test

import "testing"

func TestCommandersActGolden(t *testing.T) {
	t.Parallel()
	testGolden(t, "testdata/commandersact")
}
