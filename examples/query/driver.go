//go:build (cgo && (linux || darwin) && (amd64 || arm64)) || (cgo && windows && amd64)

package main

// The driver includes the library of DuckDB for these systems, which has to be linked.
import _ "github.com/duckdb/duckdb-go/v2"
