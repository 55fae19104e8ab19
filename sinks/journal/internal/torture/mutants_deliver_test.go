//go:build torture && linux

package torture

// deliveryMutants break what feeds destinations and removes segments, and the
// decorators that a delivery hangs on.
var deliveryMutants = map[string]mutant{
	"a cursor is saved before the destination has taken the batch": {
		file: "deliver_run.go", from: "taken := len(d.deliverer.events)\n", to: "taken := len(d.deliverer.events)\n\td.passed()\n",
	},
	"a cursor is saved before the destination has taken the batch, seen from outside": {
		file: "deliver_run.go", from: "taken := len(d.deliverer.events)\n", to: "taken := len(d.deliverer.events)\n\td.passed()\n",
		rig: "TestOneDeadOneHungOneHealthy",
	},
	"a cursor is saved ahead of the batch that a stop cuts short": {
		file: "deliver_run.go", from: "saveLast() (err error) {\n",
		to: "saveLast() (err error) {\n\td.settled.set(watermark{last: d.deliverer.last})\n",
	},
	"a cursor is not saved at the end": {
		file: "deliver_run.go", from: "\t\terr = d.save()\n", to: "",
	},
	"a cursor is not saved at the end, seen from outside": {
		file: "deliver_run.go", from: "\t\terr = d.save()\n", to: "",
		rig: "TestNothingComesAgainAfterAClose",
	},
	"a cursor is not saved while there is nothing to deliver": {
		file: "deliver_run.go", from: "time.Until(d.savedAt.Add(saveEvery))", to: "1000 * time.Hour",
	},
	"a cursor is saved after four mebibytes only": {
		file: "deliver_run.go", from: "d.unsaved >= saveBytes || time.Since(d.savedAt) >= saveEvery", to: "d.unsaved >= saveBytes",
	},
	"a cursor is saved every second only": {
		file: "deliver_run.go", from: "d.unsaved >= saveBytes || time.Since(d.savedAt) >= saveEvery", to: "time.Since(d.savedAt) >= saveEvery",
	},
	"a cursor is renamed before it is flushed": {
		file: "cursor.go", from: "\tif err == nil {\n\t\terr = f.Sync()\n\t}\n", to: "",
	},
	"a cursor is written over the old one": {
		file: "cursor.go", from: "temporary := name + extTemporary", to: "temporary := name",
	},
	"the name of a cursor is not flushed": {
		file: "cursor.go", from: "return fsys.SyncDir(filepath.Dir(name))", to: "_ = filepath.Dir(name)\n\treturn nil",
	},
	"a new destination's cursor is not saved": {
		file: "deliver.go", from: "\treturn d.save()\n", to: "\treturn nil\n",
	},
	"a damaged cursor is none": {
		file: "cursor.go", from: "at = cursor{holds: true}", to: "continue",
	},
	"a damaged cursor begins at the end": {
		file: "cursor.go", from: "at = cursor{holds: true}", to: "at = cursor{seq: 1 << 40, holds: true}",
	},
	"a damaged cursor begins at the end, seen from outside": {
		file: "cursor.go", from: "at = cursor{holds: true}", to: "at = cursor{seq: 1 << 40, holds: true}",
		rig: "TestCursorsThatAreDamaged",
	},
	"the checksum of a cursor is not looked at": {
		file: "cursor.go", from: "|| file.Sum != ", to: "|| file.Sum == \"\" && file.Sum != ",
	},
	"numbers are given out again below a cursor": {
		file: "journal.go", from: "last = max(last, j.destinations.furthest())", to: "",
	},

	"retention ignores who holds": {
		file: "retain.go", from: "destinations.holder(end); held {", to: "destinations.holder(end); held && end == 0 {",
	},
	"retention ignores who holds, seen from outside": {
		file: "retain.go", from: "destinations.holder(end); held {", to: "destinations.holder(end); held && end == 0 {",
		rig: "TestADeadDestinationThatHoldsUpTheWriters",
	},
	"a destination that is up to date is not made to note it": {
		file: "retain.go", from: "if !s.destinations.hasten(end) {", to: "if end > 0 {",
	},
	"a delivery that has ended saves its cursor": {
		file: "deliver_run.go", from: "\tif d.left {", to: "\tif d.left && d == nil {",
	},
	"retention looks at the position, not at the cursor": {
		file: "destinations.go", from: "\t\tif c.holds && c.seq < least {",
		to: "\t\tif v := d.running[n]; v != nil {\n\t\t\tc.seq = v.settled.now().last\n\t\t}\n\t\tif c.holds && c.seq < least {",
	},
	"retention knows of a cursor before the disk": {
		file: "destinations.go", from: "if err := d.files.save(name, at); err != nil {",
		to: "d.mu.Lock()\n\td.cursors[name] = at\n\td.mu.Unlock()\n\tif err := d.files.save(name, at); err != nil {",
	},
	"one that may lose the oldest holds too": {
		file: "destinations.go", from: "if c.holds && c.seq < least {", to: "if c.seq < least {",
	},
	"the newest segment may be removed": {
		file: "retain.go", from: "case len(s.sealed.segments) == 1 && s.active != nil && s.active.acked > 0:\n\t\treturn s.active.first - 1, true",
		to: "case len(s.sealed.segments) == 1:\n\t\treturn s.progress.now().last, true",
	},
	"age removes all at once": {
		file: "retain.go", from: "if len(s.sealed.segments) > 0 && now.Sub", to: "for len(s.sealed.segments) > 0 && now.Sub",
	},
	"what was sealed before does not count": {
		file: "retain.go", from: "\t\ts.add(sealedSegment{e.first, size, written})\n", to: "\t\t_, _ = size, written\n",
	},
	"beyond the bound it goes on writing": {
		file: "retain.go", from: "!ok || !s.overLimit() {", to: "!ok || s.overLimit() {",
	},

	"only the first event that failed is written again": {
		file: "deliverer.go", from: "p.events = append(left, p.events[len(batch):]...)", to: "p.events = append(left[:1], p.events[len(batch):]...)",
	},
	"only the first event that failed is written again, seen by kills": {
		file: "deliverer.go", from: "p.events = append(left, p.events[len(batch):]...)", to: "p.events = append(left[:1], p.events[len(batch):]...)",
		rig: "TestKillsWhileDelivering",
	},
	"the batch is written again as a whole": {
		file: "deliverer.go", from: "\t\tif err == nil {\n\t\t\tcontinue\n\t\t}\n", to: "",
	},
	"a probe is the whole batch": {
		file: "deliverer.go", from: "if failures >= probeAfter {", to: "if failures < 0 {",
	},
	"the wait does not heed what the destination asks for": {
		file: "deliverer.go", from: "wait = max(wait, asked)", to: "_ = asked",
	},
	"a panic of a destination kills": {
		file: "deliverer.go", from: "recover(); cause != nil {\n\t\t\tp.log.Error(\"journal: a destination", to: "any(nil); cause != nil {\n\t\t\tp.log.Error(\"journal: a destination",
	},
	"a Write has no deadline": {
		file: "deliverer.go", from: "context.WithTimeout(ctx, p.opts.Timeout)", to: "context.WithCancel(ctx)",
	},
	"a replay passes over what is refused": {
		file: "deliverer.go", from: "inlet.IsPermanent(err) {\n\t\t\treturn err", to: "inlet.IsPermanent(err) {\n\t\t\treturn nil",
	},
	"what is filtered out is never settled": {
		file: "deliverer.go", from: "p.last, p.tail.next = m.last,", to: "p.last, p.tail.next = p.last,",
	},

	"nothing is flushed, seen by a power cut while it is delivered": {
		file: "store.go", from: "if err := s.active.file.Sync(); err != nil {", to: "if err := error(nil); err != nil {",
		rig: "TestPowerCutsWhileDelivering",
	},
	"a reader goes beyond the mark": {
		file: "watermark.go", from: "\t\treturn m.size\n", to: "\t\treturn all\n",
	},
	"a listing is believed that misses a name": {
		file: "tail.go", from: "m.segment > m.last ||", to: "m.segment > 0 ||",
	},
	"a segment is looked for under one name only": {
		file: "tail.go", from: "[]string{e.ext, extSealed, extSuspect}", to: "[]string{e.ext}",
	},
	"what is dropped is not counted": {
		file: "tail.go", from: "t.missed += last - t.next + 1", to: "t.missed += 0",
	},
	"what is dropped is not counted, seen from outside": {
		file: "tail.go", from: "t.missed += last - t.next + 1", to: "t.missed += 0",
		rig: "TestADeadDestinationThatMayLoseTheOldest",
	},
	"what was given up is not counted": {
		file: "tail.go", from: "if !t.gap {", to: "if true || !t.gap {",
	},
	"a segment that is gone ends the delivery": {
		file: "deliver_run.go", from: "case errors.Is(err, errGone):\n\t\treturn true", to: "case errors.Is(err, errGone):\n\t\treturn false",
	},
	"a segment is given up for want of descriptors": {
		file: "deliver_run.go", from: "osfs.IsScarce(err), d.deliverer", to: "d.deliverer",
	},
	"the segment that is written to is given up": {
		file: "deliver_run.go", from: ", d.deliverer.tail.entry.first >= m.segment:", to: ":",
	},
	"a segment is given up at the first failure": {
		file: "deliver_run.go", from: "return d.failures >= readAttempts", to: "return d.failures >= 1",
	},

	"the directory is free before the deliveries have ended": {
		file: "committer.go", from: "\tc.store.destinations.ends.Wait()\n", to: "",
	},
	"a delivery begins after the close": {
		file: "destinations.go", from: "case d.closed:\n\t\treturn at", to: "case false:\n\t\treturn at",
	},
	"two deliveries to one destination": {
		file: "destinations.go", from: "case d.running[v.name] != nil:", to: "case false:",
	},
	"one is forgotten while it is delivered to": {
		file: "destinations.go", from: "if d.running[name] != nil {", to: "if false {",
	},

	"a dead letter is taken for stored that is not": {
		file: "deliver.go", from: "return l.journal.Write(ctx, letters)", to: "_ = l.journal.Write(ctx, letters)\n\treturn nil",
	},
	"a dead letter is taken for stored that is not, seen on a full disk": {
		file: "deliver.go", from: "return l.journal.Write(ctx, letters)", to: "_ = l.journal.Write(ctx, letters)\n\treturn nil",
		rig: "TestADiskThatIsFullWhileDelivering",
	},
	"dead letters are not closed": {
		file: "deliver.go", from: "return l.journal.Close(context.Background())", to: "return nil",
	},
	"the failure of the letters' sink is ignored": {
		file: "../deadletter.go", from: "if errs != nil && errs[n] != nil {", to: "if len(errs) < 0 {",
	},
	"an id is remembered before its event is stored": {
		file: "../dedupe.go", from: "d.held[c.keys[i]] = claim{c, i}\n", to: "d.held[c.keys[i]] = claim{c, i}\n\t\t\td.seen.add(c.keys[i], now)\n",
	},
	"an id is remembered although its event is not stored": {
		file: "../dedupe.go", from: "if returned && (errs == nil || errs[n] == nil) {", to: "if returned && (errs == nil || errs[n] == nil || n >= 0) {",
	},
	"an id is not held while its event is written": {
		file: "../dedupe.go", from: "d.held[c.keys[i]] = claim{c, i}\n", to: "",
	},
}
