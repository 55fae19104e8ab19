package main

import (
	"testing"

	"github.com/inlet-go/inlet/internal/testkit"
)

// The test of all examples runs this one, now that what it needs is compiled.
func TestExample(t *testing.T) {
	testkit.Example(t, "observed")
}
