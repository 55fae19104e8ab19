package inlet

// A MigrationCode names something that a migration did or found. The set is
// closed for [MigrateCommandersActV1]; other migrations may have codes of their
// own.
type MigrationCode string

// What there is to say of an event's time.
const (
	// MigrationTimestampSeconds: a number too small for milliseconds was read as
	// seconds.
	MigrationTimestampSeconds MigrationCode = "timestamp_s"
	// MigrationTimestampZone: a time without a zone was read as UTC.
	MigrationTimestampZone MigrationCode = "timestamp_zone"
	// MigrationTimestampMissing: there is no time.
	MigrationTimestampMissing MigrationCode = "timestamp_missing"
	// MigrationTimestampInvalid: the time cannot be read.
	MigrationTimestampInvalid MigrationCode = "timestamp_invalid"
)
