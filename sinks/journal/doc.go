// Package journal is a durable log of events on the local disk, embedded in the host's
// process: a sink whose nil means that the events are on stable storage.
//
// # Promise
//
// With the default [SyncAlways], Write returns nil after the events were written and
// flushed to the disk (fdatasync, or fsync where there is none), so they survive a power
// cut. Writers that arrive during a flush share the next one, so many of them cost little
// more than one. One Write is stored as a whole or fails as a whole. After an error its
// events may still be in the journal; the client's retry is then a duplicate with the same
// messageId.
//
// What the journal cannot store now it refuses with a temporary error, and it resumes by
// itself once it can store again: after a full disk, a lack of file descriptors, or the
// deletion of its active file. Only a disk that fails to flush twice within a minute stops
// it permanently ([ErrPoisoned]), until it is opened again.
//
// A directory belongs to one journal and has to be on a local file system: network file
// systems may not keep the lock, or the promise of a flush. A journal whose lock file or whose
// directory is deleted or replaced notices it before it acknowledges anything more
// ([ErrLockLost]).
//
// # Files
//
//	LOCK                              locked while the journal is open
//	00000000000000000001.ndjson       sealed: complete, never changed again
//	00000000000000004711.ndjson.part  active: being written
//	00000000000000000815.ndjson.suspect  set aside after an I/O error
//	LAST                              the last number, so that numbers go on without any segment
//	quarantine/                       damaged bytes, and originals of repaired files, the newest
//	cursors/NAME                      position of a destination
//	dead/NAME/                        a destination's newest dead letters, a journal of its own
//	dead/NAME/REDRIVEN                which of them were sent again
//
// A file is named for the first sequence number that it may hold. A segment is sealed when
// it is large or old enough ([Options]) and on Close. Open seals what a crash left active.
// Where two journals have used the same numbers, it gives the events of one of them new ones,
// in a new segment, and keeps the original in quarantine, together with whatever has the name
// of a segment and cannot be one.
// It cuts off damaged bytes at the end of a file and keeps them in quarantine; where good
// lines follow the damage, it writes a copy of all good lines and keeps the original. It
// deletes only blank lines, and what exceeds the limit of quarantine. No file is appended to
// again after it was closed.
// Files with other names are left alone.
//
// Each line is an event in its canonical form (see [inlet.Event.AppendJSON]) with two more
// members at its end:
//
//	{"type":"track", ... ,"_seq":"0000000000000123","_c":"9ae0daaf"}
//
// The sequence number has 16 digits and strictly increases, across files and restarts, also if
// all segments were moved away, with gaps where a write failed. The checksum has 8 digits: the
// CRC-32C of every byte of the line before ,"_c":" so that a damaged line costs that line only
// and is found without parsing JSON.
//
// # Reading the files
//
// Sealed files are plain newline-delimited JSON, also while the journal runs:
//
//	jq -c 'select(.type == "track") | .event' DIR/*.ndjson
//
// The active file may end in an incomplete line, which jq can skip:
//
//	tail -qn +1 -F DIR/*.part | jq -cR 'fromjson?'
//
// With Options.WriteAhead the active file ends in blank lines up to the size of a segment.
// jq and other readers of JSON lines ignore them:
//
//	jq -c .event DIR/*.part
//
// In Go, [Journal.Events] reads everything that was acknowledged, in order.
//
// # Destinations
//
// [Journal.Deliver] feeds another sink from the journal, from a cursor of its own: in
// order, at least once, retrying without limit, and isolated from other destinations. So a
// 200 depends on the local disk alone, and a sink that is slow, remote or down gets its
// events when it can accept them. [Journal.Replay] sends stored events once more.
//
// What a destination rejects permanently becomes a dead letter, and so does an event that blocks
// it if [Delivery.Skip] or DeliverOptions.MaxAttempts says so. [Delivery.Redrive] sends dead
// letters again, each once.
//
// A cursor is written after the destination has accepted the events, and a segment is
// removed after that. Cursors are hints: without one, or with a damaged one, a destination
// gets every event again that is still stored, and never fewer.
//
// Before a directory is given up, [Journal.Drain] waits until all destinations have everything.
//
// # Retention
//
// By default the journal keeps everything, until the disk is nearly full. With
// Options.RetainBytes and Options.RetainAge it removes the oldest segments, except those
// that a destination needs ([Block]) and the newest one.
package journal
