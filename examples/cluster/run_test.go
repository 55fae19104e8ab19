package main

import (
	"testing"

	"github.com/inlet-go/inlet/internal/testkit"
)

// The test of all examples runs this one.
func TestExample(t *testing.T) {
	testkit.Example(t, "cluster")
}
