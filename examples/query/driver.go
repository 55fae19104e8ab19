//go:build (cgo && (linux || darwin) && (amd64 || arm64)) || (cgo && windows && amd64)

package main

// The library of DuckDB comes with the driver, for these systems, and has to be
// linked.
import _ "github.com/duckdb/duckdb-go/v2"
