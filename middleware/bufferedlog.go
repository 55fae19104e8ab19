package middleware

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/guard"
)

// BufferedLogOptions configure [NewBufferedLog]. A nil pointer means all defaults.
type BufferedLogOptions struct {
	// JSON makes the lines those of [slog.JSONHandler]. Defaults to false: those of
	// [slog.TextHandler].
	JSON bool
	// Level is the lowest level that is written. Defaults to [slog.LevelInfo].
	Level slog.Leveler
	// MaxDelay is how long a line stays in memory at most. Defaults to 100 milliseconds.
	MaxDelay time.Duration
	// MaxBytes is how many bytes of lines stay in memory at most. Defaults to 65,536.
	MaxBytes int
}

// A BufferedLog is a [slog.Handler] that writes many lines together. It is for the records of
// [AccessLog]: one costs a third of what it does if each is written on its own. Its lines are those
// of the handlers of package slog.
//
// Delay: a line is written at the latest after MaxDelay, or when MaxBytes are waiting. A record at
// level Error or above is written immediately, with all before it, except for those of AccessLog.
//
// Loss: a process that is killed, or that ends without a call of Close, loses the lines of the
// last MaxDelay at most, and not more than MaxBytes of them. Lines that the writer fails to write,
// by an error or a panic, are dropped, as those of package slog are; Flush and Close return the
// first error since the last call of one of the two.
//
// Close, after the server has shut down, writes everything. No goroutine is left then, and lines
// that come later are written immediately.
//
// It may be used concurrently. The writer is not called concurrently; while it is slow, those who
// log wait.
type BufferedLog struct {
	level slog.Leveler
	json  bool
	lines *lineBuffer
	slog  slog.Handler // makes all lines but those of AccessLog
	plain bool         // no attributes and no group were added
}

// NewBufferedLog returns a log that writes to w. The caller must call Close in the end. The error
// says that w is nil, or names every field of the options that is out of range.
func NewBufferedLog(w io.Writer, o *BufferedLogOptions) (*BufferedLog, error) {
	var filled BufferedLogOptions
	if o != nil {
		filled = *o
	}
	if filled.Level == nil {
		filled.Level = slog.LevelInfo
	}
	filled.MaxDelay = cmp.Or(filled.MaxDelay, 100*time.Millisecond)
	filled.MaxBytes = cmp.Or(filled.MaxBytes, 64<<10)
	err := errors.Join(
		check.Options("middleware", "NewBufferedLog", check.NotNil("w", w == nil)),
		check.Options("middleware", "BufferedLogOptions",
			check.AtLeast("MaxDelay", filled.MaxDelay, 1), check.AtLeast("MaxBytes", filled.MaxBytes, 1)))
	if err != nil {
		return nil, err
	}
	lines := &lineBuffer{w: w, maxBytes: filled.MaxBytes, maxDelay: filled.MaxDelay}
	options := &slog.HandlerOptions{Level: filled.Level}
	handler := slog.Handler(slog.NewTextHandler(lines, options))
	if filled.JSON {
		handler = slog.NewJSONHandler(lines, options)
	}
	return &BufferedLog{filled.Level, filled.JSON, lines, handler, true}, nil
}

// Enabled reports whether records of a level are written.
func (l *BufferedLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= l.level.Level()
}

// Handle puts the line of a record into the buffer, and writes the buffer if it has to. An error of
// the writer is not returned here but by Flush and Close.
func (l *BufferedLog) Handle(ctx context.Context, r slog.Record) error {
	err := l.slog.Handle(ctx, r)
	if r.Level >= slog.LevelError {
		l.lines.flush()
	}
	return err
}

// WithAttrs returns a handler whose lines have more attributes, with the same buffer.
func (l *BufferedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &BufferedLog{l.level, l.json, l.lines, l.slog.WithAttrs(attrs), false}
}

// WithGroup returns a handler whose attributes are in a group, with the same buffer.
func (l *BufferedLog) WithGroup(name string) slog.Handler {
	return &BufferedLog{l.level, l.json, l.lines, l.slog.WithGroup(name), false}
}

// Flush writes what is in the buffer.
func (l *BufferedLog) Flush() error {
	l.lines.flush()
	return l.lines.takeError()
}

// Close writes what is in the buffer, and ends the delay of what comes later. Closing twice does no
// harm.
func (l *BufferedLog) Close() error {
	l.lines.close()
	return l.lines.takeError()
}

// logRequest logs the record of a request. The attributes are strings, integers, durations and
// booleans; one without a value stands for the address, whose text is made last.
func logRequest(ctx context.Context, logger *slog.Logger, at time.Time, level slog.Level, attrs []slog.Attr, ip netip.Addr) {
	if l, ok := logger.Handler().(*BufferedLog); ok && l.plain && ip.Zone() == "" && arePlain(attrs) {
		l.lines.appendRequest(l.json, at, level, attrs, ip)
		return
	}
	for i := range attrs {
		if attrs[i].Value.Kind() == slog.KindAny {
			attrs[i].Value = slog.StringValue(ip.String())
		}
	}
	logger.LogAttrs(ctx, level, requestMessage, attrs...)
}

// requestMessage is the message of the records of requests.
const requestMessage = "middleware: request"

// arePlain reports whether all texts are as they are in a line, without quotes in text and without
// escapes in JSON. Nearly all requests have only such texts.
func arePlain(attrs []slog.Attr) bool {
	for i := range attrs {
		if v := &attrs[i].Value; v.Kind() == slog.KindString && !isPlain(v.String()) {
			return false
		}
	}
	return true
}

func isPlain(text string) bool {
	for i := range len(text) {
		if !plainBytes[text[i]] {
			return false
		}
	}
	return text != ""
}

// plainBytes are the bytes of plain text.
var plainBytes = func() (plain [256]bool) {
	for c := ' ' + 1; c < 0x7F; c++ {
		plain[c] = !strings.ContainsRune(`"=\`, c)
	}
	return plain
}()

// A lineBuffer gathers lines, and writes them to w.
type lineBuffer struct {
	w        io.Writer
	maxBytes int
	maxDelay time.Duration

	mu      sync.Mutex
	waiting []byte
	stamp   timeStamp
	err     error
	closed  bool
	timer   *time.Timer    // that writes what is waiting, nil if none runs
	writing sync.WaitGroup // for what the timer does
}

// Write appends a line that package slog has made.
func (b *lineBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, line...)
	b.appended()
	return len(line), nil
}

// appendRequest appends the line of a request.
func (b *lineBuffer) appendRequest(asJSON bool, at time.Time, level slog.Level, attrs []slog.Attr, ip netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if asJSON {
		b.waiting = b.stamp.appendJSON(append(b.waiting, `{"time":"`...), at)
		b.waiting = append(append(b.waiting, `","level":"`...), level.String()...)
		b.waiting = appendJSONAttrs(append(b.waiting, `","msg":"`+requestMessage+`"`...), attrs, ip)
	} else {
		b.waiting = b.stamp.appendText(append(b.waiting, "time="...), at)
		b.waiting = append(append(b.waiting, " level="...), level.String()...)
		b.waiting = appendTextAttrs(append(b.waiting, ` msg="`+requestMessage+`"`...), attrs, ip)
	}
	b.appended()
}

// appended writes what is waiting if it is too much to wait, or else sees to it that it is written
// in time.
func (b *lineBuffer) appended() {
	switch {
	case b.closed || len(b.waiting) >= b.maxBytes:
		b.write()
	case b.timer == nil:
		b.writing.Add(1)
		b.timer = time.AfterFunc(b.maxDelay, func() {
			defer b.writing.Done()
			b.mu.Lock()
			defer b.mu.Unlock()
			b.timer = nil
			b.write()
		})
	}
}

// write writes what is waiting. A panic of the writer is a failure: in the goroutine of the timer
// it would end the process, and in that of a request the lines would stay.
func (b *lineBuffer) write() {
	if len(b.waiting) == 0 {
		return
	}
	var err error
	guard.Call(&err, func() error {
		_, err := b.w.Write(b.waiting)
		return err
	})
	if cap(b.waiting) > max(2*b.maxBytes, 16<<10) {
		b.waiting = nil // a line was long, and its memory would stay forever
	}
	b.waiting = b.waiting[:0]
	if b.err == nil {
		b.err = err
	}
}

func (b *lineBuffer) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.write()
}

func (b *lineBuffer) close() {
	b.mu.Lock()
	b.closed = true
	b.write()
	if b.timer != nil && b.timer.Stop() {
		b.timer = nil
		b.writing.Done()
	}
	b.mu.Unlock()
	b.writing.Wait() // for a timer that ran out meanwhile
}

// takeError returns the first error since the last call.
func (b *lineBuffer) takeError() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.err
	b.err = nil
	return err
}

// A timeStamp makes the text of times, and keeps what those of one second have in common.
type timeStamp struct {
	second int64  // since 1970
	date   []byte // of that second, and its time: 2006-01-02T15:04:05
	zone   []byte // Z or +01:00
}

// set brings the common parts to the second of a time.
func (s *timeStamp) set(at time.Time) {
	if second := at.Unix(); second != s.second || len(s.date) == 0 {
		s.second = second
		s.date = at.AppendFormat(s.date[:0], "2006-01-02T15:04:05")
		s.zone = at.AppendFormat(s.zone[:0], "Z07:00")
	}
}

// appendText appends a time with milliseconds.
func (s *timeStamp) appendText(dst []byte, at time.Time) []byte {
	s.set(at)
	ms := at.Nanosecond() / 1e6
	dst = append(append(dst, s.date...), '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	return append(dst, s.zone...)
}

// appendJSON appends a time with nanoseconds, without zeros at their end.
func (s *timeStamp) appendJSON(dst []byte, at time.Time) []byte {
	s.set(at)
	dst = append(dst, s.date...)
	if ns := at.Nanosecond(); ns > 0 {
		var digits [10]byte
		for i := 9; i > 0; i-- {
			digits[i] = byte('0' + ns%10)
			ns /= 10
		}
		digits[0] = '.'
		end := len(digits)
		for digits[end-1] == '0' {
			end--
		}
		dst = append(dst, digits[:end]...)
	}
	return append(dst, s.zone...)
}

// appendTextAttrs appends attributes whose texts are plain, and the end of the line.
func appendTextAttrs(dst []byte, attrs []slog.Attr, ip netip.Addr) []byte {
	for i := range attrs {
		dst = append(append(append(dst, ' '), attrs[i].Key...), '=')
		switch v := &attrs[i].Value; v.Kind() {
		case slog.KindString:
			dst = append(dst, v.String()...)
		case slog.KindAny:
			dst = ip.AppendTo(dst)
		case slog.KindDuration:
			dst = append(dst, v.Duration().String()...)
		case slog.KindBool:
			dst = strconv.AppendBool(dst, v.Bool())
		default:
			dst = strconv.AppendInt(dst, v.Int64(), 10)
		}
	}
	return append(dst, '\n')
}

// appendJSONAttrs appends attributes whose texts are plain, and the end of the line.
func appendJSONAttrs(dst []byte, attrs []slog.Attr, ip netip.Addr) []byte {
	for i := range attrs {
		dst = append(append(append(dst, `,"`...), attrs[i].Key...), `":`...)
		switch v := &attrs[i].Value; v.Kind() {
		case slog.KindString:
			dst = append(append(append(dst, '"'), v.String()...), '"')
		case slog.KindAny:
			dst = append(ip.AppendTo(append(dst, '"')), '"')
		case slog.KindDuration:
			dst = strconv.AppendInt(dst, int64(v.Duration()), 10)
		case slog.KindBool:
			dst = strconv.AppendBool(dst, v.Bool())
		default:
			dst = strconv.AppendInt(dst, v.Int64(), 10)
		}
	}
	return append(dst, "}\n"...)
}
