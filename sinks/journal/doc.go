// Package journal is a durable log of events on the local disk, embedded in the
// host's process: a sink whose nil means that the events are on stable storage.
//
// # Promise
//
// With the default [SyncAlways], Write returns nil after the events were written
// and flushed to the disk (fdatasync, or fsync where there is none), and so
// survive a power cut. Writers that arrive while a flush runs share the next
// one, so that many of them cost little more than one. One Write is stored as a
// whole or fails as a whole. After an error its events may still be found in the
// journal, and the client's retry then is a duplicate with the same messageId.
//
// What the journal cannot store now it refuses with a temporary error, and goes
// on by itself once it can: a full disk, too many open files, a live file that
// somebody deleted. Only a disk that twice within a minute fails to flush stops
// it for good ([ErrPoisoned]), until it is opened again.
//
// The directory belongs to one journal at a time, on a local file system:
// network file systems may not keep the lock, or the promise of a flush.
//
// # Files
//
//	LOCK                              held while the journal is open
//	00000000000000000001.ndjson       sealed: complete, never changed again
//	00000000000000004711.ndjson.part  active: being written
//	00000000000000000815.ndjson.suspect  set aside after an I/O error
//	quarantine/                       damaged bytes, and originals of repaired files
//
// A file is named by the first sequence number that it may hold. A segment is
// sealed when it is large or old enough ([Options]) and on Close. Open seals
// what a crash left active. Bytes that are damaged at its end it cuts off, and
// keeps in quarantine; where good lines follow them it writes a copy of all the
// good lines, and keeps the original. Nothing but blank lines is ever deleted,
// and no file is appended to again after it was closed. Names that begin
// otherwise are left alone.
//
// Each line is an event in its canonical form (see [inlet.Event.AppendJSON])
// and two members more, which stand last:
//
//	{"type":"track", ... ,"_seq":"0000000000000123","_c":"9ae0daaf"}
//
// The sequence number has 16 digits and rises strictly, across files and
// restarts, with gaps where a write failed. The checksum has 8: the CRC-32C of
// every byte of the line before ,"_c":" so that a damaged line costs that line
// only and is found without parsing any JSON.
//
// # Reading it while it runs
//
// Sealed files are plain newline-delimited JSON:
//
//	jq -c 'select(.type == "track") | .event' DIR/*.ndjson
//
// The active file may end in half a line, which jq can be told to pass over:
//
//	tail -qn +1 -F DIR/*.part | jq -cR 'fromjson?'
//
// With Options.WriteAhead the active file ends in blank lines up to the size of a
// segment. jq and other readers of JSON lines pass over them:
//
//	jq -c .event DIR/*.part
//
// From Go, [Journal.Events] reads everything that was acknowledged, in order.
package journal
