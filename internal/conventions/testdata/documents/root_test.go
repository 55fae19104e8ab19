package fixture_test

import "testing"

func TestKnown(*testing.T) {}
