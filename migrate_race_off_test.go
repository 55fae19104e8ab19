//go:build !race

package inlet

const migrateForgets = false
