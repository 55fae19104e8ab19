package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// readIDs returns the ids of what Read yields, and its errors.
func readIDs(ctx context.Context, m *memfs.FS, o ReadOptions) (ids []string, err error) {
	o.fs = m
	for r, fault := range Read(ctx, memfs.Dir, &o) {
		if fault != nil {
			err = errors.Join(err, fault)
			continue
		}
		ids = append(ids, fmt.Sprintf("m%d", r.Seq))
		if r.Event.MessageID != ids[len(ids)-1] {
			err = errors.Join(err, fmt.Errorf("%s has the number %d", r.Event.MessageID, r.Seq))
		}
	}
	return ids, err
}

func requireOnlyRead(t *testing.T, m *memfs.FS) {
	t.Helper()
	for _, op := range m.Ops() {
		require.Regexp(t, "^(list|open) ", op)
	}
}

// What Read yields of directories that no journal has opened since.
func TestRead(t *testing.T) {
	t.Parallel()
	damaged := strings.Replace(lines(2, 1), "EUR", "USD", 1)
	odd := func(e *inlet.Event) bool { return strings.ContainsAny(e.MessageID[len(e.MessageID)-1:], "13579") }
	three := map[string]string{seg1: lines(1, 2), seg3: lines(3, 2), part5: lines(5, 2)}
	for name, tt := range map[string]struct {
		files map[string]string
		o     ReadOptions
		want  string
	}{
		"nothing":                           {nil, ReadOptions{}, ""},
		"sealed and active":                 {three, ReadOptions{}, "m1 m2 m3 m4 m5 m6"},
		"from a number":                     {three, ReadOptions{Start: FromSeq(4)}, "m4 m5 m6"},
		"from a number that is not there":   {map[string]string{seg1: lines(1, 1), seg5: lines(5, 1)}, ReadOptions{Start: FromSeq(3)}, "m5"},
		"from the end":                      {three, ReadOptions{Start: FromNow()}, ""},
		"the last three":                    {three, ReadOptions{Last: 3}, "m4 m5 m6"},
		"the last that are wanted":          {three, ReadOptions{Last: 2, Filter: odd}, "m3 m5"},
		"more than there are":               {three, ReadOptions{Last: 9, Filter: odd}, "m1 m3 m5"},
		"as many as there can be":           {three, ReadOptions{Last: math.MaxInt/2 + 1}, "m1 m2 m3 m4 m5 m6"},
		"the last from a number":            {three, ReadOptions{Last: 9, Start: FromSeq(4)}, "m4 m5 m6"},
		"a torn tail":                       {map[string]string{part1: lines(1, 2) + lines(3, 1)[:99]}, ReadOptions{}, "m1 m2"},
		"no newline at the end":             {map[string]string{part1: strings.TrimSuffix(lines(1, 2), "\n")}, ReadOptions{}, "m1"},
		"damage in the middle":              {map[string]string{part1: lines(1, 1) + damaged + lines(3, 1)}, ReadOptions{}, "m1 m3"},
		"damage in a sealed file":           {map[string]string{seg1: lines(1, 1) + damaged + lines(3, 1)}, ReadOptions{}, "m1 m3"},
		"written ahead":                     {map[string]string{part1: lines(1, 2) + strings.Repeat("\n", 9000)}, ReadOptions{}, "m1 m2"},
		"an empty segment":                  {map[string]string{seg1: "", seg3: lines(3, 1)}, ReadOptions{Last: 2}, "m3"},
		"a repair that a crash interrupted": {map[string]string{seg1: lines(1, 2), seg1 + ".suspect": lines(1, 2), part3: lines(3, 1)}, ReadOptions{}, "m1 m2 m3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := memfs.New()
			for file, content := range tt.files {
				m.Put(file, content)
			}
			before := m.Names()
			got, err := readIDs(t.Context(), m, tt.o)
			require.NoError(t, err)
			require.Equal(t, tt.want, strings.Join(got, " "))
			require.Equal(t, before, m.Names())
			requireOnlyRead(t, m)
		})
	}
	t.Run("from a time", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		for i, name := range []string{seg1, seg3, seg5} {
			var content []byte
			for n := range 2 {
				e := event(fmt.Sprintf("m%d", 2*i+n+1))
				e.ReceivedAt = day.Add(time.Duration(2*i+n) * time.Hour)
				content = append(content, lineOf(e, uint64(2*i+n+1))...)
			}
			m.Put(name, string(content))
		}
		for hours, want := range map[float64]string{-1: "m1 m2 m3 m4 m5 m6", 0.5: "m2 m3 m4 m5 m6", 3: "m4 m5 m6", 3.5: "m5 m6", 9: ""} {
			at := FromTime(day.Add(time.Duration(hours * float64(time.Hour))))
			got, err := readIDs(t.Context(), m, ReadOptions{Start: at})
			require.NoError(t, err)
			require.Equal(t, want, strings.Join(got, " "), "%v", hours)
			got, err = readIDs(t.Context(), m, ReadOptions{Start: at, Last: 3})
			require.NoError(t, err)
			all := strings.Fields(want)
			require.Equal(t, strings.Join(all[max(0, len(all)-3):], " "), strings.Join(got, " "), "%v", hours)
		}
	})
	t.Run("options", func(t *testing.T) {
		t.Parallel()
		_, err := readIDs(t.Context(), memfs.New(), ReadOptions{Last: -1, Interval: -1})
		require.ErrorContains(t, err, "Last")
		require.ErrorContains(t, err, "Interval")
	})
	t.Run("an event that is not one", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		bad := []byte(`{"type":"track","messageId":{"a":1}` + trailer)
		completeLine(bad, crcOf(bad[:len(bad)-crcTail-seqTail]), 2)
		m.Put(seg1, lines(1, 1)+string(bad)+lines(3, 1))
		got, err := readIDs(t.Context(), m, ReadOptions{})
		require.ErrorContains(t, err, "event 2")
		require.Equal(t, []string{"m1", "m3"}, got)
	})
	t.Run("a file that cannot be read", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		m.Put(seg1, lines(1, 2))
		m.Put(seg3, lines(3, 2))
		m.Fault = func(op, name string, _ int) (int, error) {
			if op == "open" && strings.HasSuffix(name, seg1) {
				return 0, errIO
			}
			return 0, nil
		}
		got, err := readIDs(t.Context(), m, ReadOptions{})
		require.ErrorIs(t, err, errIO)
		require.Equal(t, []string{"m3", "m4"}, got)
	})
	t.Run("a directory that does not exist", func(t *testing.T) {
		t.Parallel()
		for _, err := range Read(t.Context(), t.TempDir()+"/none", nil) {
			require.ErrorIs(t, err, fs.ErrNotExist)
		}
	})
}

// Read follows a journal that is written, sealed and opened again, and ends with its context.
func TestReadFollow(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"appended":      {SegmentBytes: 2000},
		"written ahead": {SegmentBytes: 4000, WriteAhead: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := memfs.New()
				ctx, cancel := context.WithCancel(t.Context())
				got := make(chan string, 1000)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for r, err := range Read(ctx, memfs.Dir, &ReadOptions{Follow: true, fs: m}) {
						if err != nil {
							got <- err.Error()
							continue
						}
						got <- fmt.Sprintf("m%d", r.Seq)
					}
				}()
				var want []string
				for range 3 {
					o.fs, o.LowWater = m, -1
					j, err := Open(memfs.Dir, &o)
					require.NoError(t, err)
					for range 20 {
						want = append(want, fmt.Sprintf("m%d", len(want)+1))
						write(t, j, want[len(want)-1])
						time.Sleep(300 * time.Millisecond)
						synctest.Wait()
					}
					closeNow(t, j)
				}
				time.Sleep(time.Second)
				cancel()
				<-ended
				close(got)
				var all []string
				for id := range got {
					all = append(all, id)
				}
				require.Equal(t, want, all)
			})
		})
	}
	t.Run("a line that is half there is read again", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		whole := lines(1, 3)
		first, second := len(lines(1, 1)), len(lines(1, 2))
		m.Put(part1, whole[:first+50])
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var got []uint64
		for r, err := range Read(ctx, memfs.Dir, &ReadOptions{Follow: true, Interval: time.Millisecond, fs: m}) {
			require.NoError(t, err)
			got = append(got, r.Seq)
			switch r.Seq {
			case 1: // the rest of the second, and a part of the third
				m.Append(part1, whole[first+50:second+9])
			case 2:
				m.Append(part1, whole[second+9:])
			case 3:
				cancel()
			}
		}
		require.Equal(t, []uint64{1, 2, 3}, got)
	})
}

// Letters are those of one destination, with their reasons and marks.
func TestReadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := memfs.New()
		j := openMem(t, m, Options{LowWater: -1})
		to := &target{answer: refuses(inlet.Permanent(errors.New("no such plan")), "a", "c")}
		d := deliver(t, j, to, &DeliverOptions{PauseAfter: -1})
		write(t, j, "a", "b", "c")
		drain(t, d)
		read := func(name string) (all []string) {
			for l, err := range ReadLetters(t.Context(), memfs.Dir, name, &ReadOptions{fs: m}) {
				require.NoError(t, err)
				reason, ok := sinks.RefusalOf(l.Event)
				require.True(t, ok)
				all = append(all, fmt.Sprintf("%d %s %s %t", l.Seq, l.Event.MessageID, reason.Error, l.Redriven))
			}
			return all
		}
		require.Equal(t, []string{"1 a no such plan false", "2 c no such plan false"}, read("d"))
		require.Empty(t, read("other"))
		to.answers(nil)
		n, err := d.Redrive(t.Context(), func(l *inlet.Event) bool { return l.MessageID == "c" })
		require.NoError(t, err)
		require.Equal(t, uint64(1), n)
		require.Equal(t, []string{"1 a no such plan false", "2 c no such plan true"}, read("d"))
		for _, err := range ReadLetters(t.Context(), memfs.Dir, "../d", &ReadOptions{fs: m}) {
			require.ErrorContains(t, err, "cannot be the name")
		}
	})
}
