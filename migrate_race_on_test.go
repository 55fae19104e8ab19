//go:build race

package inlet

// Under the race detector pools forget on purpose.
const migrateForgets = true
