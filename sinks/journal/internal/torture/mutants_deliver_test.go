//go:build torture && linux

package torture

// deliveryMutants break what feeds destinations and removes segments, and the
// decorators that a delivery depends on.
var deliveryMutants = map[string]mutant{
	"a skipped event is not stored": {
		file: "deliverer.go", from: "err = d.park(ctx, f.alone, cause)", to: "err = nil",
	},
	"an event is given up at its first failure alone": {
		file: "deliverer.go", from: "d.opts.MaxAttempts == 0 || alone < d.opts.MaxAttempts", to: "d.opts.MaxAttempts == 0",
	},
	"a letter is marked before it is sent": {
		file: "redrive.go", from: "\terr = r.deliver(ctx)\n", to: "\terr = errors.Join(r.marks.mark(r.seqs), r.deliver(ctx))\n",
	},
	"a letter that was sent is not marked": {
		file: "redrive.go", from: "errors.Join(err, r.marks.mark(seqs))", to: "err",
	},
	"all letters are marked after a batch that was cut short": {
		file: "redrive.go", from: "\t\tdelete(batch, e)\n", to: "\t\t_ = e\n",
	},
	"a cursor is saved before the destination has accepted the batch": {
		file: "deliver_run.go", from: "deliverBatch() {\n", to: "deliverBatch() {\n\td.settled()\n",
	},
	"a cursor is saved before the destination has accepted the batch, seen from outside": {
		file: "deliver_run.go", from: "deliverBatch() {\n", to: "deliverBatch() {\n\td.settled()\n",
		rig: "TestDeliverIsolation",
	},
	"a cursor is saved ahead of the batch that a stop cuts short": {
		file: "deliver_run.go", from: "\terr := d.checkpoint.close()\n",
		to: "\td.checkpoint.advance(d.deliverer.last, 0)\n\terr := d.checkpoint.close()\n",
	},
	"a cursor is not saved at the end": {
		file: "checkpoint.go", from: "\t\terr = c.save()\n", to: "",
	},
	"a cursor is not saved at the end, seen from outside": {
		file: "checkpoint.go", from: "\t\terr = c.save()\n", to: "",
		rig: "TestDeliverClose",
	},
	"a cursor is not saved while there is nothing to deliver": {
		file: "checkpoint.go", from: "time.Until(c.attempted.Add(maxSaveInterval))", to: "1000 * time.Hour",
	},
	"a cursor is saved only every four mebibytes": {
		file: "checkpoint.go", from: "c.unsaved >= maxUnsavedBytes || time.Since(c.attempted) >= maxSaveInterval", to: "c.unsaved >= maxUnsavedBytes",
	},
	"a cursor is saved only every second": {
		file: "checkpoint.go", from: "c.unsaved >= maxUnsavedBytes || time.Since(c.attempted) >= maxSaveInterval", to: "time.Since(c.attempted) >= maxSaveInterval",
	},
	"a cursor is renamed before it is flushed": {
		file: "cursor.go", from: "\tif err == nil {\n\t\terr = f.Sync()\n\t}\n", to: "",
	},
	"a cursor overwrites the old one in place": {
		file: "cursor.go", from: "temporary := name + extTemporary", to: "temporary := name",
	},
	"the name of a cursor is not flushed": {
		file: "cursor.go", from: "return fsys.SyncDir(filepath.Dir(name))", to: "_ = filepath.Dir(name)\n\treturn nil",
	},
	"a new destination's cursor is not saved": {
		file: "checkpoint.go", from: "\tif changed {\n", to: "\tif changed && c == nil {\n",
	},
	"a damaged cursor counts as missing": {
		file: "cursor.go", from: "at = cursor{holds: true}", to: "continue",
	},
	"a damaged cursor begins at the end": {
		file: "cursor.go", from: "at = cursor{holds: true}", to: "at = cursor{seq: 1 << 40, holds: true}",
	},
	"a damaged cursor begins at the end, seen from outside": {
		file: "cursor.go", from: "at = cursor{holds: true}", to: "at = cursor{seq: 1 << 40, holds: true}",
		rig: "TestDamagedCursor",
	},
	"the checksum of a cursor is not verified": {
		file: "cursor.go", from: "|| file.Sum != ", to: "|| file.Sum == \"\" && file.Sum != ",
	},
	"numbers below a cursor are reused": {
		file: "journal.go", from: "last = max(last, j.checkpoints.maxSeq())", to: "",
	},

	"retention ignores the destinations": {
		file: "retain.go", from: "checkpoints.holder(end); held ||", to: "checkpoints.holder(end); held && end == 0 ||",
	},
	"retention ignores the destinations, seen from outside": {
		file: "retain.go", from: "checkpoints.holder(end); held ||", to: "checkpoints.holder(end); held && end == 0 ||",
		rig: "TestDeliverBlock",
	},
	"a destination that is up to date is not made to save its cursor": {
		file: "retain.go", from: "if !s.checkpoints.flushCursors(end) {", to: "if end > 0 {",
	},
	"a delivery that has ended saves its cursor": {
		file: "checkpoint.go", from: "\tif c.closed {", to: "\tif c.closed && c == nil {",
	},
	"retention uses the position, not the saved cursor": {
		file: "checkpoint.go", from: "\t\tif c.holds && c.seq < lowest {",
		to: "\t\tif a := t.active[n]; a != nil {\n\t\t\tc.seq = a.position.now().last\n\t\t}\n\t\tif c.holds && c.seq < lowest {",
	},
	"retention trusts a cursor before it is on the disk": {
		file: "checkpoint.go", from: "if err := t.files.save(name, at); err != nil {",
		to: "t.mu.Lock()\n\tt.saved[name] = at\n\tt.mu.Unlock()\n\tif err := t.files.save(name, at); err != nil {",
	},
	"a destination with DropOldest retains segments": {
		file: "checkpoint.go", from: "if c.holds && c.seq < lowest {", to: "if c.seq < lowest {",
	},
	"the newest segment may be removed": {
		file: "retain.go", from: "case len(s.sealed.segments) == 1 && s.active != nil && s.active.acked > 0:\n\t\treturn s.active.first - 1, true",
		to: "case len(s.sealed.segments) == 1:\n\t\treturn s.progress.now().last, true",
	},
	"retention by age removes everything in one go": {
		file: "retain.go", from: "if len(s.sealed.segments) > 0 && now.Sub", to: "for len(s.sealed.segments) > 0 && now.Sub",
	},
	"a file's time is believed whatever it is": {
		file: "retain.go", from: "believed := !g.sealed.After(bound)", to: "believed := true",
	},
	"a file's time is believed before its last event": {
		file: "retain.go", from: "case believed && plausible && g.received.After(g.sealed), !believed && plausible:", to: "case !believed && plausible:",
	},
	"a listing is never repeated": {
		file: "listing.go", from: "return s.upTo >= m.newest()", to: "return s.upTo > 0",
	},
	"segments sealed earlier do not count": {
		file: "overlap.go", from: "\t\tif e.ext == extSealed {\n\t\t\tsealed.add(", to: "\t\tif e.ext == extSealed && len(names) < 0 {\n\t\t\tsealed.add(",
	},
	"writing continues beyond the bound": {
		file: "retain.go", from: "!ok || !s.overLimit() {", to: "!ok || s.overLimit() {",
	},

	"only the first failed event is retried": {
		file: "deliverer.go", from: "d.events = append(left, d.events[len(batch):]...)", to: "d.events = append(left[:1], d.events[len(batch):]...)",
	},
	"only the first failed event is retried, seen by kills": {
		file: "deliverer.go", from: "d.events = append(left, d.events[len(batch):]...)", to: "d.events = append(left[:1], d.events[len(batch):]...)",
		rig: "TestDeliverKill",
	},
	"the batch is retried as a whole": {
		file: "deliverer.go", from: "\t\tif err == nil {\n\t\t\tcontinue\n\t\t}\n", to: "",
	},
	"a probe is the whole batch": {
		file: "deliverer.go", from: "if failures >= maxBatchFailures || d.skip != nil {", to: "if failures < 0 {",
	},
	"the wait ignores what the destination asks for": {
		file: "deliverer.go", from: "wait = max(wait, asked)", to: "_ = asked",
	},
	"a panic of a destination kills the process": {
		file: "deliverer.go", from: "guard.Call(&err, func() error { return d.sink.Write(ctx, events) })", to: "err = d.sink.Write(ctx, events)",
	},
	"a Write has no deadline": {
		file: "deliverer.go", from: "context.WithTimeout(ctx, d.opts.Timeout)", to: "context.WithCancel(ctx)",
	},
	"a replay skips rejected events": {
		file: "deliverer.go", from: "inlet.IsPermanent(err) {\n\t\t\treturn err", to: "inlet.IsPermanent(err) {\n\t\t\treturn nil",
	},
	"filtered events never count as delivered": {
		file: "deliverer.go", from: "d.last, d.tail.next = m.last,", to: "d.last, d.tail.next = d.last,",
	},

	"nothing is flushed, seen by a power cut while delivering": {
		file: "store.go", from: "if err := s.active.file.Sync(); err != nil {", to: "if err := error(nil); err != nil {",
		rig: "TestDeliverPowerCut",
	},
	"a reader goes beyond the watermark": {
		file: "watermark.go", from: "\t\treturn m.size\n", to: "\t\treturn all\n",
	},
	"a listing that misses a name is trusted": {
		file: "listing.go", from: "m.segment > m.last ||", to: "m.segment > 0 ||",
	},
	"a segment is searched under one name only": {
		file: "tail.go", from: "[]string{e.ext, extSealed, extSuspect}", to: "[]string{e.ext}",
	},
	"dropped events are not counted": {
		file: "tail.go", from: "t.missed[cause] += last - t.next + 1", to: "t.missed[cause] += 0",
	},
	"dropped events are not counted, seen from outside": {
		file: "tail.go", from: "t.missed[cause] += last - t.next + 1", to: "t.missed[cause] += 0",
		rig: "TestDeliverDropOldest",
	},
	"events given up are not counted": {
		file: "tail.go", from: "\tif t.gap {", to: "\tif t.gap && false {",
	},
	"a segment that is gone ends the delivery": {
		file: "deliver_run.go", from: "case errors.Is(err, errGone):\n\t\treturn true", to: "case errors.Is(err, errGone):\n\t\treturn false",
	},
	"a segment is given up for lack of file descriptors": {
		file: "deliver_run.go", from: "osfs.IsScarce(err), d.deliverer", to: "osfs.IsScarce(nil), d.deliverer",
	},
	"the active segment is given up": {
		file: "deliver_run.go", from: ", d.deliverer.tail.entry.first >= m.segment:", to: ":",
	},
	"a segment is given up at the first failure": {
		file: "deliver_run.go", from: "return d.readFailures >= maxReadAttempts", to: "return d.readFailures >= 1",
	},

	"the directory is unlocked before the deliveries have ended": {
		file: "journal.go", from: "\t\t\tj.deliveries.wait()\n", to: "",
	},
	"a delivery begins after the close": {
		file: "deliveries.go", from: "case r.closed:\n\t\treturn inlet.ErrClosed\n\tcase r.running[d.name]", to: "case false:\n\t\treturn inlet.ErrClosed\n\tcase r.running[d.name]",
	},
	"two deliveries to one destination": {
		file: "deliveries.go", from: "case r.running[d.name] != nil:", to: "case false:",
	},
	"a destination is forgotten while it is delivered to": {
		file: "deliveries.go", from: "case r.running[name] != nil:", to: "case false:",
	},

	"an unstored dead letter counts as stored": {
		file: "deadletters.go", from: "err != nil && !isRefusal(err) {", to: "err != nil && done < 0 {",
	},
	"an unstored dead letter counts as stored, seen on a full disk": {
		file: "deadletters.go", from: "err != nil && !isRefusal(err) {", to: "err != nil && done < 0 {",
		rig: "TestDeliverDiskFull",
	},
	"dead letters are not closed": {
		file: "deadletters.go", from: "\terr := l.journal.Close(context.Background())\n\tl.release()", to: "\terr := error(nil)\n\tl.release()",
	},
	"dead letters have no limit": {
		file: "retain.go", from: "limit = j.opts.share()", to: "limit = max(j.opts.share(), 1<<40)",
	},
	"dead letters do not count": {
		file: "retain.go", from: "limit-j.dead.bytes()-", to: "limit-",
	},
	"quarantine has no limit": {
		file: "quarantine.go", from: "total-freed > j.opts.QuarantineBytes", to: "total-freed > 1<<40",
	},
	"dead letters stop permanently after failed flushes": {
		file: "deadletters.go", from: "l.broken = errors.Is(err, ErrPoisoned)", to: "l.broken = false",
	},
	"the age is unknown between batches": {
		file: "deliver_run.go", from: "\td.recordDropped()\n\td.checkpoint.advance", to: "\td.state.setOldest(time.Time{})\n\td.recordDropped()\n\td.checkpoint.advance",
	},
	"a replay ends where a segment is gone": {
		file: "replay.go", from: "case errors.Is(err, errGone):", to: "case errors.Is(err, errGone) && ctx == nil:",
	},
	"a failure of the dead-letter sink is ignored": {
		file: "../deadletter.go", from: "if errs != nil && errs[n] != nil {", to: "if len(errs) < 0 {",
	},
	"an id is remembered before its event is stored": {
		file: "../dedupe.go", from: "d.claimed[c.keys[i]] = claim{c, i}\n", to: "d.claimed[c.keys[i]] = claim{c, i}\n\t\t\td.seen.add(c.keys[i], now)\n",
	},
	"an id is remembered although its event is not stored": {
		file: "../dedupe.go", from: "if returned && (errs == nil || errs[n] == nil) {", to: "if returned && (errs == nil || errs[n] == nil || n >= 0) {",
	},
	"an id is not held while its event is written": {
		file: "../dedupe.go", from: "d.claimed[c.keys[i]] = claim{c, i}\n", to: "",
	},
}
