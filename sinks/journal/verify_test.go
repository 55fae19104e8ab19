package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	usd := strings.Replace(lines(2, 1), "EUR", "USD", 1)
	for name, tt := range map[string]struct {
		files  map[string]string
		faults []string
		gaps   string
		events uint64
	}{
		"nothing":          {},
		"whole":            {files: map[string]string{seg1: lines(1, 2), part3: lines(3, 1)}, events: 3},
		"a gap":            {files: map[string]string{seg1: lines(1, 1) + lines(3, 1), seg6: lines(6, 1)}, gaps: "2-2 4-5", events: 3},
		"a flipped bit":    {files: map[string]string{seg1: lines(1, 1) + usd + lines(3, 1)}, faults: []string{fmt.Sprintf("%s: offset %d, %d bytes: damaged: the checksum is wrong", seg1, len(usd), len(usd))}, gaps: "2-2", events: 2},
		"a torn tail":      {files: map[string]string{part1: lines(1, 1) + usd[:50]}, events: 1},
		"an old torn tail": {files: map[string]string{seg1: lines(1, 1) + usd[:50]}, faults: []string{fmt.Sprintf("%s: offset %d, 50 bytes: damaged: the checksum is wrong", seg1, len(usd))}, events: 1},
		"a lost newline":   {files: map[string]string{seg1: strings.TrimSuffix(lines(1, 1), "\n") + "x" + lines(2, 1)}, faults: []string{seg1 + ": offset 0, 543 bytes: the newline after the event is damaged"}, events: 2},
		"an old block":     {files: map[string]string{seg1: lines(1, 2) + lines(1, 1) + lines(3, 1)}, faults: []string{"the number 1 is not above that of the line before, 2"}, events: 3},
		"a foreign number": {files: map[string]string{seg3: lines(2, 1) + lines(3, 1)}, faults: []string{"the number 2 is not above that of the line before, 2"}, events: 1},
		"an overlap":       {files: map[string]string{seg1: lines(1, 3), seg3: lines(3, 1)}, faults: []string{seg3 + ": its first number, 3, is not above 3 of an earlier segment"}, events: 4},
		"impossible names": {files: map[string]string{"99999999999999999999.ndjson": ""}, faults: []string{"no segment can have this number"}},
		"small files":      {files: map[string]string{lastName: "x", "cursors/a": "x", "dead/a/REDRIVEN": "x"}, faults: []string{"LAST: damaged file", "cursors/a: damaged cursor file", "dead/a/REDRIVEN: damaged file"}},
		"dead letters":     {files: map[string]string{"dead/a/" + seg1: usd}, faults: []string{"dead/a/" + seg1 + ": offset 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := memfs.New()
			for file, content := range tt.files {
				m.Put(file, content)
			}
			r, err := Verify(t.Context(), memfs.Dir, &VerifyOptions{fs: m})
			require.NoError(t, err)
			require.Len(t, r.Faults, len(tt.faults), "%v", r.Faults)
			require.Equal(t, uint64(len(tt.faults)), r.FaultCount)
			for i, fault := range tt.faults {
				require.Contains(t, r.Faults[i].String(), fault)
			}
			var gaps []string
			for _, g := range r.Gaps {
				gaps = append(gaps, fmt.Sprintf("%d-%d", g.First, g.Last))
			}
			require.Equal(t, tt.gaps, strings.Join(gaps, " "))
			require.Equal(t, tt.events, r.Events)
			requireOnlyRead(t, m)
		})
	}
	t.Run("what is no file", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		m.PutSpecial(seg1)
		m.Put(seg3, lines(3, 1))
		r, err := Verify(t.Context(), memfs.Dir, &VerifyOptions{fs: m})
		require.NoError(t, err)
		require.Equal(t, []Fault{{File: seg1, Text: "not a regular file"}}, r.Faults)
		require.Equal(t, uint64(1), r.Events)
		ids, err := readIDs(t.Context(), m, ReadOptions{})
		require.NoError(t, err)
		require.Equal(t, []string{"m3"}, ids)
	})
	t.Run("faults are bounded, and counted", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		m.Put(seg1, strings.Repeat("x\n", 500)+lines(1, 1)+lines(900, 1))
		m.Put("dead/a/"+seg1, strings.Repeat("x\n", 500))
		r, err := Verify(t.Context(), memfs.Dir, &VerifyOptions{MaxFaults: 3, fs: m})
		require.NoError(t, err)
		require.Len(t, r.Faults, 3)
		require.Equal(t, uint64(1000), r.FaultCount)
		require.Equal(t, 500, r.Segments[0].Damaged)
		require.Equal(t, uint64(898), r.Missing)
	})
	t.Run("a file whose end is there before its middle is read again", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		m.Put(part1, lines(1, 1)+usd+lines(3, 1))
		opened := 0
		m.Fault = func(op, name string, size int) (int, error) {
			if op == "open" && strings.HasSuffix(name, part1) {
				if opened++; opened == 2 {
					m.Put(part1, lines(1, 3))
				}
			}
			return size, nil
		}
		r, err := Verify(t.Context(), memfs.Dir, &VerifyOptions{fs: m})
		require.NoError(t, err)
		require.Empty(t, r.Faults)
		require.Empty(t, r.Gaps)
		require.Equal(t, uint64(3), r.Events)
		require.Len(t, r.Segments, 1)
	})
	t.Run("failures", func(t *testing.T) {
		t.Parallel()
		_, err := Verify(t.Context(), t.TempDir()+"/none", nil)
		require.Error(t, err)
		_, err = Verify(t.Context(), t.TempDir(), &VerifyOptions{MaxFaults: -1})
		require.ErrorContains(t, err, "MaxFaults")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		m := memfs.New()
		m.Put(seg1, lines(1, 1))
		_, err = Verify(ctx, memfs.Dir, &VerifyOptions{fs: m})
		require.ErrorIs(t, err, context.Canceled)
	})
}

// Verify finds no fault in what a journal has written, at any time, and knows its destinations.
func TestVerifyRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := memfs.New()
		j := openMem(t, m, Options{SegmentBytes: 2000, WriteAhead: true, LowWater: -1})
		to := &target{answer: refuses(inlet.Permanent(errors.New("no")), "m3")}
		d := deliver(t, j, to, nil)
		for n := range 30 {
			write(t, j, fmt.Sprintf("m%d", n+1))
			if n == 19 {
				drain(t, d)
				time.Sleep(2 * time.Second) // the cursor is saved
				to.answers(down)
			}
			r, err := Verify(t.Context(), memfs.Dir, &VerifyOptions{fs: m})
			require.NoError(t, err)
			require.Empty(t, r.Faults)
			require.Equal(t, uint64(n+1), r.Events)
			require.Equal(t, uint64(n+1), r.LastSeq)
			require.Equal(t, day, r.LastReceived)
		}
		time.Sleep(5 * time.Second)
		r, err := Verify(t.Context(), memfs.Dir, &VerifyOptions{fs: m})
		require.NoError(t, err)
		require.Len(t, r.Destinations, 1)
		got := r.Destinations[0]
		require.Equal(t, uint64(1), got.DeadLetters.Events)
		got.DeadLetters = nil
		require.Equal(t, DestinationReport{Name: "d", Cursor: true, Position: 20, Behind: 10, Holds: true}, got)
	})
}

// TestPipes is about named pipes in the place of what is not a segment: no call waits for them.
func TestPipes(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]string{
		lastName: "LAST", "cursors/d": "cursors/d", "dead/d/REDRIVEN": "dead/d/REDRIVEN", "dead/d/LAST": "dead/d/LAST",
		"dead/d": "dead/d", "cursors": "", "dead": "", "quarantine": "-",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, seg1), []byte(lines(1, 1)), 0o600))
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
			makePipe(t, filepath.Join(dir, name))
			r, err := Verify(t.Context(), dir, nil)
			switch fault {
			case "":
				require.ErrorContains(t, err, "not a directory")
			case "-": // of which only the size is of interest
				require.NoError(t, err)
			default:
				require.NoError(t, err)
				require.Len(t, r.Faults, 1)
				require.Equal(t, fault, r.Faults[0].File)
				require.Regexp(t, "^not a (regular file|directory)$|: not a regular file$", r.Faults[0].Text)
			}
			// Nor do those that write: they go on, or say what is wrong.
			if j, err := Open(dir, &Options{LowWater: -1}); err == nil {
				closeNow(t, j)
			}
			_, _ = Erase(t.Context(), dir, func(*inlet.Event) bool { return false }, nil)
			for range ReadLetters(t.Context(), dir, "d", nil) {
			}
		})
	}
}

// A file among the directories of dead letters stops no call.
func TestStrayFiles(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the error is not known there")
	}
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "dead", "z"), 0o700))
	for file, content := range map[string]string{seg1: lines(1, 2), "dead/notes": "x", "dead/z/" + seg1: lines(1, 1)} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
	}
	r, err := Verify(t.Context(), dir, nil)
	require.NoError(t, err)
	require.Equal(t, []Fault{{File: "dead/notes", Text: "not a directory"}}, r.Faults)
	require.Len(t, r.Destinations, 1)

	done, err := Erase(t.Context(), dir, func(e *inlet.Event) bool { return e.MessageID == "m1" }, nil)
	require.NoError(t, err)
	require.Equal(t, uint64(1), done.Events)
	require.Equal(t, uint64(1), done.Letters)
	require.Equal(t, []string{"dead/notes"}, done.Unchecked)
	require.FileExists(t, filepath.Join(dir, "dead", "notes"))
}
