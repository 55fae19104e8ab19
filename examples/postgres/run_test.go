package main

import (
	"testing"

	"github.com/inlet-go/inlet/internal/testkit"
)

// The test of all examples runs this one, where PostgreSQL is installed.
func TestExample(t *testing.T) {
	needPostgreSQL(t)
	testkit.Example(t, "postgres")
}
