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
//	cursors/NAME                      how far a destination has come
//	dead/NAME/                        what it refused for good, a journal of its own
//
// A file is named by the first sequence number that it may hold. A segment is
// sealed when it is large or old enough ([Options]) and on Close. Open seals
// what a crash left active. Bytes that are damaged at its end it cuts off, and
// keeps in quarantine; where good lines follow them it writes a copy of all the
// good lines, and keeps the original. It deletes nothing but blank lines, and no
// file is appended to again after it was closed. Names that begin otherwise are left
// alone.
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
//
// # Destinations
//
// [Journal.Deliver] feeds another sink from the journal, from a cursor of its own: in
// order, at least once, for as long as it takes, and isolated from all others. So
// a 200 needs nothing but the local disk, and what is slow, remote or down gets its
// events when it can. [Journal.Replay] sends again what is stored.
//
// A cursor is written after the destination has taken the events, and a segment is
// removed after that. It is a hint, never a second truth: without one, or with one
// that is damaged, a destination gets everything again that is still there, and
// never less.
//
// # Retention
//
// By default the journal keeps everything, until the disk is nearly full.
// Options.RetainBytes and Options.RetainAge have it remove the oldest segments, but
// none that a destination needs ([Block]) and never the newest.
package journal
