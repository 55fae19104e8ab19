// Package tables decides in which table and column each value of an event belongs, by the names
// that Segment gives its warehouses. It knows no SQL, and no engine: an engine tells it which
// tables and columns exist, gets the values of each row, and is asked for what is missing.
//
// Nothing is lost and nothing is guessed: a value is either in the column of its path, exactly, or
// among the leftovers of its row, under its path, for a [Reason] that is counted. The type of a
// column is that of the first value, and never changes. A null and an empty object have no value.
package tables
