package inlet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet/internal/account"
	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/body"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/lanes"
	"github.com/inlet-go/inlet/internal/wire"
)

// PayloadLimits bound what the body of a request may make the server read and hold. The
// zero value means all defaults.
type PayloadLimits struct {
	// MaxBytes bounds a body after decompression, in bytes. Routes have lower limits of
	// their own. Defaults to 4 MiB.
	MaxBytes int64
	// MaxWireBytes bounds a body as it was sent, in bytes. Defaults to MaxBytes.
	MaxWireBytes int64
	// MaxRatio bounds how many times larger a body gets by decompression, from 64 KiB on.
	// Defaults to 200.
	MaxRatio int64
	// ReadTimeout is how long a body may take to arrive. It replaces the server's own
	// ReadTimeout. A body that arrives at less than 1 KiB per second on average is given up
	// after two seconds. Defaults to 10 seconds.
	ReadTimeout time.Duration
	// MaxBytesInFlight bounds the memory that all requests use together, in bytes: their
	// bodies, as sent and as decompressed, the index of those, their events with what is
	// put together for them, what a sink encodes, and their answers. Each is reserved
	// before it is made. A request that does not fit now is refused with 503, before its
	// body is read if the announced length says so; one that alone needs more than the
	// bound, with 400. A body is counted with 32 KiB when it is announced and with more
	// only as it arrives, so that a large Content-Length alone cannot exhaust the budget.
	// The minimum is 4 MiB and four times each of MaxBytes and MaxWireBytes. Defaults to
	// 256 MiB, or the minimum if that is more.
	MaxBytesInFlight int64
}

// defaultMaxInFlight is how many concurrent requests a handler accepts.
const defaultMaxInFlight = 4096

// withDefaults returns a filled copy. The error names every field at fault.
func (l PayloadLimits) withDefaults() (PayloadLimits, error) {
	l.MaxBytes = cmp.Or(l.MaxBytes, 4<<20)
	l.MaxWireBytes = cmp.Or(l.MaxWireBytes, l.MaxBytes)
	l.MaxRatio = cmp.Or(l.MaxRatio, 200)
	l.ReadTimeout = cmp.Or(l.ReadTimeout, 10*time.Second)
	minInFlight := max(4<<20, 4*l.MaxBytes, 4*l.MaxWireBytes)
	l.MaxBytesInFlight = cmp.Or(l.MaxBytesInFlight, max(256<<20, minInFlight))
	return l, errors.Join(
		check.AtLeast("Payload.MaxBytes", l.MaxBytes, 1),
		check.AtMost("Payload.MaxBytes", l.MaxBytes, body.MaxBytes),
		check.AtLeast("Payload.MaxWireBytes", l.MaxWireBytes, 1),
		check.AtMost("Payload.MaxWireBytes", l.MaxWireBytes, body.MaxBytes),
		check.AtLeast("Payload.MaxRatio", l.MaxRatio, 1),
		check.AtLeast("Payload.ReadTimeout", l.ReadTimeout, 1),
		check.AtLeast("Payload.MaxBytesInFlight", l.MaxBytesInFlight, minInFlight),
	)
}

// reader returns the reader of bodies within filled limits.
func (l PayloadLimits) reader() *bodies {
	return (&bodies{budget: account.NewBudget(l.MaxBytesInFlight), reader: body.NewReader(body.Options{
		MaxBytes: l.MaxBytes, MaxWireBytes: l.MaxWireBytes, MaxRatio: l.MaxRatio,
		ReadTimeout: l.ReadTimeout,
	})}).within(admission.BodiesOf(defaultMaxInFlight))
}

// bodies reads the bodies of requests, and bounds how many of one client it reads
// concurrently, how slowly, and how many in all while the processor is busy.
type bodies struct {
	reader *body.Reader
	budget *account.Budget // of all requests together
	shares *admission.Shares
	rests  *admission.Shares // of the refused ones whose rest is read
	turns  *admission.Turns
	bounds admission.Bodies
	log    *admission.Overloads
	logger *slog.Logger
	warned *atomic.Bool // of a writer without deadlines
}

// reading returns a copy that reads bodies as others are read, within the bounds of b.
func (b *bodies) reading(as *bodies) *bodies {
	other := *b
	other.reader, other.budget = as.reader, as.budget
	return &other
}

// within returns a copy that reads bodies within other bounds.
func (b *bodies) within(bounds admission.Bodies) *bodies {
	other := *b
	other.bounds = bounds
	other.shares, other.rests = new(admission.Shares), new(admission.Shares)
	other.shares.Init(bounds.MaxShare)
	other.rests.Init(bounds.MaxShare)
	other.logger, other.warned = cmp.Or(bounds.Logger, slog.Default()), new(atomic.Bool)
	other.log = admission.NewOverloads(other.logger)
	other.turns = admission.NewTurns(bounds.MaxWait, bounds.MaxWaiting())
	return &other
}

// read reads the body of r, which a client sends, on these terms.
func (b *bodies) read(w http.ResponseWriter, r *http.Request, l lanes.Lane, client netip.Addr, t body.Terms) (*body.Buffer, int64, error) {
	if err := b.shares.Enter(l, client); err != nil {
		return nil, 0, err
	}
	defer b.shares.Leave(l, client)
	b.checkWriter(w, r)
	t.MinRate, t.Lane = b.bounds.MinRate, l
	return b.reader.Read(w, r, t)
}

// logOverload logs the refusal of a request by a layer behind the one that reads its body.
func logOverload(r *http.Request, err error) {
	if b, ok := r.Body.(*payloadBody); ok && b.payload.deferred != nil {
		b.payload.deferred.bodies.logOverload(r.Context(), err)
	}
}

// logOverload logs an error if it is that of an overload.
func (b *bodies) logOverload(ctx context.Context, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != CodeOverloaded || e.Err == nil {
		return
	}
	why, ok := errors.AsType[*admission.Refusal](e.Err)
	if !ok {
		why = &admission.Refusal{Limit: "sink", Reason: e.Err.Error()}
	}
	b.log.Log(ctx, why)
}

// checkWriter warns, once, if the server could end slow bodies and a writer around its own is in
// the way.
func (b *bodies) checkWriter(w http.ResponseWriter, r *http.Request) {
	if lent, ok := w.(*lentWriter); ok {
		w = lent.ResponseWriter
	}
	last := body.LastWriter(w)
	if last == nil || b.warned.Load() || r.Context().Value(http.ServerContextKey) == nil || b.warned.Swap(true) {
		return
	}
	b.logger.WarnContext(r.Context(), "inlet: slow bodies cannot be ended, since a ResponseWriter has no deadlines; "+
		"give the writer that a middleware wraps around the server's own a method Unwrap() http.ResponseWriter, or leave that middleware out",
		"type", fmt.Sprintf("%T", last))
}

// A payload is the decoded body of a request, read once and shared by every layer that
// needs it.
//
// Ownership: who uses it may use its bytes, read-only, until it calls release, which it must
// do exactly once. A layer keeps it for those behind it, from keep to unkeep. When it is
// neither used nor kept, the memory is used for another request. A layer that panics does not
// give it up, and its memory is left to the garbage collector.
//
// Concurrency: all methods and the reader in r.Body may be called concurrently; bytes may
// not be used concurrently with one's own release.
type payload struct {
	mu          sync.Mutex
	users, kept int32
	memory      *payloadMemory // nil when it has been freed
	own         payloadMemory  // which that is, if the bytes were read from a request
	size        int64          // as sent
	replaced    *payload
	slot        atomic.Pointer[lanes.Credits] // that counts the request in its first layer, or nil
	lane        lanes.Lane                    // there
	deferred    *deferredRead                 // nil if it is not read by a layer
	// received is the decoded length of the body as it came, to which limits apply even
	// where a layer has replaced it.
	received int
	// failures are the events that a migration could not migrate, in their order. They are set
	// before the payload is passed on.
	failures []Reject
	coding   body.Coding // of the body as it came
	body     payloadBody
}

// payloadMemory is the memory of a payload. What is made for it is reserved in the account of
// its request first: it is the meter of its document.
type payloadMemory struct {
	bytes    []byte
	ownBytes int          // of bytes, unless they are in one of the next two, and of what a migration reports
	buffer   *body.Buffer // that bytes are in, if they were read from a request
	work     *workspace   // that the index is in, nil before there is one

	account  *account.Account // of the request
	reserved int64            // there, for all but the buffer
	pooled   bool             // it is reused; else it is a part of its payload
	// What commandersact.Migrator.PlainContexts says of bytes.
	plainRoot, plainItems bool
}

// A workspace is what requests share one after another, in addition to the buffers of bodies.
type workspace struct {
	document wire.Document
	bytes    []byte // of a payload that replaces another one
	large    bool   // it is kept for large bodies
	size     int64  // of all this in memory, when it was last counted
}

const (
	// smallPooled is how much memory a request may leave to a small one. A client that
	// sends little does not hold, and is not charged for, what was made for a large body.
	smallPooled = 32 << 10
	// smallBody is how long the body of a small request is at most.
	smallBody = smallPooled / 4
	// maxPooled is how much memory a request may leave to the next one. What a rare large
	// body needed goes back to the garbage collector.
	maxPooled = 512 << 10
)

var (
	payloads        = sync.Pool{New: func() any { return new(payloadMemory) }}
	smallWorkspaces = sync.Pool{New: func() any { return new(workspace) }}
	largeWorkspaces = sync.Pool{New: func() any { return &workspace{large: true} }}
)

// newPayloadMemory returns empty memory at the charge of a.
func newPayloadMemory(a *account.Account) *payloadMemory {
	m := payloads.Get().(*payloadMemory)
	m.account, m.pooled = a, true
	return m
}

// memoryOf returns the payload's own memory, at the charge of a, with the bytes of a buffer.
func (p *payload) memoryOf(a *account.Account, b *body.Buffer) *payloadMemory {
	p.own = payloadMemory{account: a, buffer: b, bytes: b.Bytes}
	return &p.own
}

// prepare makes the memory for an index of a body available.
func (m *payloadMemory) prepare(bytes int) error {
	if m.work != nil {
		return nil
	}
	pool := &smallWorkspaces
	if bytes > smallBody {
		pool = &largeWorkspaces
	}
	work := pool.Get().(*workspace)
	if err := m.Reserve(work.size); err != nil {
		pool.Put(work)
		return accountError(err)
	}
	m.work = work
	work.document.SetMeter(m)
	return nil
}

// Reserve reserves what is about to be made.
func (m *payloadMemory) Reserve(n int64) error {
	err := m.account.Reserve(n)
	if err == nil {
		m.reserved += n
	}
	return err
}

// grow makes room for n bytes in the workspace.
func (m *payloadMemory) grow(n int) error {
	if cap(m.work.bytes) >= n {
		return nil
	}
	if err := m.Reserve(int64(n)); err != nil {
		return accountError(err)
	}
	m.work.bytes = make([]byte, 0, n)
	return nil
}

// settle reserves what was made beyond what was reserved, and gives back the rest.
func (m *payloadMemory) settle() error {
	m.correct()
	if lacking := m.made() - m.reserved; lacking > 0 {
		if err := m.Reserve(lacking); err != nil {
			return accountError(err)
		}
	}
	return nil
}

// correct gives back what was reserved beyond what was made.
func (m *payloadMemory) correct() {
	if made := m.made(); made < m.reserved {
		m.account.Return(m.reserved - made)
		m.reserved = made
	}
}

// made returns how much memory m has, without its buffer, which is charged for itself.
func (m *payloadMemory) made() int64 {
	if m.work == nil {
		return int64(m.ownBytes)
	}
	m.work.size = int64(cap(m.work.bytes)) + m.work.document.Memory()
	return int64(m.ownBytes) + m.work.size
}

// free gives the memory to the next payload.
func (m *payloadMemory) free() {
	reserved := m.reserved
	if m.buffer != nil {
		reserved += m.buffer.Release()
	}
	if m.work != nil {
		m.work.free()
	}
	m.account.Return(reserved)
	pooled := m.pooled
	*m = payloadMemory{}
	if pooled {
		payloads.Put(m)
	}
}

func (w *workspace) free() {
	w.document.Reset()
	w.document.SetMeter(nil)
	w.bytes = w.bytes[:0]
	switch made := w.size; {
	case made <= smallPooled && !w.large:
		smallWorkspaces.Put(w)
	case made <= maxPooled:
		w.large = true
		largeWorkspaces.Put(w)
	}
}

// bytes returns the decoded body.
func (p *payload) bytes() []byte { return p.memory.bytes }

// release ends the caller's use. It does nothing on a nil payload.
func (p *payload) release() {
	if p != nil {
		p.hold(-1, 0)
	}
}

// acquire adds a user, unless the payload has been given up.
func (p *payload) acquire() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users+p.kept == 0 {
		return false
	}
	p.users++
	return true
}

// keep has a layer keep what it used, for those behind it. It does nothing on a nil payload.
func (p *payload) keep() {
	if p != nil {
		p.hold(-1, 1)
	}
}

// unkeep ends keep, after those behind have returned. It does nothing on a nil payload.
func (p *payload) unkeep() {
	if p != nil {
		p.hold(0, -1)
	}
}

// giveUp ends all keeping of this payload and of those that it replaced, and the counting of
// their request, before the layers have returned. Those that still use one are not affected.
func (p *payload) giveUp() {
	for ; p != nil; p = p.replaced {
		p.leaveSlot()
		p.hold(0, -math.MaxInt32)
	}
}

// hold changes how many use and keep the payload, and frees its memory after the last one.
func (p *payload) hold(users, kept int32) {
	p.mu.Lock()
	held := p.users + p.kept
	p.users += users
	p.kept = max(0, p.kept+kept)
	var m *payloadMemory
	if held > 0 && p.users+p.kept == 0 {
		m, p.memory = p.memory, nil
	}
	p.mu.Unlock()
	if m != nil {
		m.free()
	}
}

// leaveSlot counts the request out of its first layer, once. It does nothing on a nil payload.
func (p *payload) leaveSlot() {
	if p == nil {
		return
	}
	if count := p.slot.Swap(nil); count != nil {
		count.Give(p.lane, 1)
	}
}

// readBy returns the bodies of the layer that reads the payload, or nil.
func (p *payload) readBy() *bodies {
	if p.deferred == nil {
		return nil
	}
	return p.deferred.bodies
}

// deferredRead is how a payload is to be read.
type deferredRead struct {
	mu     sync.Mutex
	done   atomic.Bool
	limit  int32 // at most body.MaxBytes
	err    error
	from   bodyReader
	bodies *bodies
	r      *http.Request // whose Body the client sends
	w      lentWriter
}

// errReaderPanicked is for those that ask again after the reader of a body has panicked.
var errReaderPanicked = &Error{Code: CodeIncompleteBody, Err: errors.New("the reader of the body panicked")}

// A bodyReader reads the body of a request at the charge of its account: its state does.
type bodyReader interface {
	charged() (*account.Account, lanes.Lane)
	readBody(b *bodies, w http.ResponseWriter, r *http.Request, limit int64, now time.Time) (*body.Buffer, int64, error)
}

// load reads the payload, unless that was done, if it has at most limit bytes, or less if its
// layer says so. Its time to arrive counts from now. The caller must be a user.
func (p *payload) load(limit int64, now time.Time) error {
	d := p.deferred
	if d == nil {
		return nil
	}
	if d.done.Load() {
		return d.err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done.Load() {
		return d.err
	}
	d.err = errReaderPanicked // unless it returns
	defer d.done.Store(true)
	buffer, size, err := d.from.readBody(d.bodies, &d.w, d.r, min(limit, int64(d.limit)), now)
	if d.err = err; err != nil {
		return err
	}
	a, _ := d.from.charged()
	p.memory, p.size, p.coding = p.memoryOf(a, buffer), size, buffer.Coding
	p.received = len(p.memory.bytes)
	return nil
}

// pending reports whether the payload of r is yet to be read, by the bounds of another layer.
func pending(r *http.Request) bool {
	b, ok := r.Body.(*payloadBody)
	return ok && b.payload.deferred != nil && !b.payload.deferred.done.Load()
}

// A lentWriter sets deadlines until the layer that it belongs to returns. After that the
// connection is that of another request.
type lentWriter struct {
	http.ResponseWriter
	mu       sync.Mutex
	returned bool
}

// SetReadDeadline sets the deadline, as long as it is that of this request.
func (w *lentWriter) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.returned {
		return http.ErrNotSupported
	}
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(t)
}

// end ends the use of the writer.
func (w *lentWriter) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.returned = true
}

// index returns the structure of the body. It is read on the first call, and again if the
// limits differ.
func (p *payload) index(limits wire.Limits) (*wire.Document, error) {
	m := p.memory
	if err := m.prepare(len(m.bytes)); err != nil {
		return nil, err
	}
	d := &m.work.document
	if d.Limits() == limits {
		return d, nil
	}
	err := d.Read(m.bytes, batchMember, limits)
	m.correct()
	if err != nil {
		return nil, documentError(err, limits)
	}
	return d, nil
}

// batchMember is the root member that lists events, in every dialect that has batches.
const batchMember = `"batch"`

// documentError maps an error of the index to its public error.
func documentError(err error, limits wire.Limits) *Error {
	var syntax *wire.SyntaxError
	var fault *wire.FaultError
	if refused := accountError(err); refused != nil {
		return refused
	}
	switch {
	case errors.As(err, &syntax):
		return &Error{Code: CodeInvalidJSON, Message: syntax.Error(), Offset: syntax.Offset}
	case errors.As(err, &fault):
		p := problemOf(fault.Fault)
		return &Error{Code: p.Code, Message: p.Message, Field: p.Field, event: true}
	case errors.Is(err, wire.ErrTooManyItems):
		return &Error{Code: CodeTooManyEvents, Field: "batch", Message: fmt.Sprintf("the batch has more than %d events", limits.Items)}
	}
	return &Error{Code: CodeInvalidRequest, Message: "the body must be a JSON object"}
}

// payloadBody is the r.Body of a request whose payload was read, or will be. It copies out:
// the buffer that it reads into belongs to its caller, whatever becomes of the payload.
type payloadBody struct {
	payload *payload
	offset  atomic.Int64
}

// Read copies from the payload, which it reads from the client unless that was done. It
// fails after the payload was given up.
func (b *payloadBody) Read(dst []byte) (int, error) {
	if !b.payload.acquire() {
		return 0, http.ErrBodyReadAfterClose
	}
	defer b.payload.release()
	if d := b.payload.deferred; d != nil && !d.done.Load() {
		// By a goroutine that may outlive the layers.
		a, lane := d.from.charged()
		a.Enter(d.bodies.budget, lane)
		defer a.Leave()
		if err := b.payload.load(math.MaxInt64, time.Now()); err != nil {
			return 0, err
		}
	} else if d != nil && d.err != nil {
		return 0, d.err
	}
	n := copy(dst, b.payload.memory.bytes[b.offset.Load():])
	if n == 0 && len(dst) > 0 {
		return 0, io.EOF
	}
	b.offset.Add(int64(n))
	return n, nil
}

// Close does nothing: the body that was read belongs to the server.
func (b *payloadBody) Close() error { return nil }

// headerContentEncoding is in the canonical form in which net/http keeps it.
const headerContentEncoding = "Content-Encoding"

// maxQuery bounds the query of a request, in bytes. A pixel's event is in it. Browsers and
// proxies give up long before it.
const maxQuery = 64 << 10

func tooLarge(limit int64) *Error {
	return &Error{Code: CodePayloadTooLarge, Message: fmt.Sprintf("the payload is larger than %d bytes", limit)}
}

// accountError maps an error of an account to its public error. It is nil for others.
func accountError(err error) *Error {
	switch {
	case errors.Is(err, account.ErrOverBudget):
		return overloaded(&tooManyBytes)
	case errors.Is(err, account.ErrNeverFits):
		return &Error{Code: CodePayloadTooLarge, Message: "the request needs more memory than all requests together may use"}
	}
	return nil
}

// bodyError maps an error of reading a body to its public error. It is the only place that
// does.
func bodyError(err error) error {
	if known, ok := errors.AsType[*Error](err); ok { // of a payload that was read through r.Body
		return known
	}
	if refused := accountError(err); refused != nil {
		return refused
	}
	if big, ok := errors.AsType[*body.TooLargeError](err); ok {
		return tooLarge(big.Limit)
	}
	switch {
	case errors.Is(err, admission.ErrFull):
		return overloaded(&tooManyOfClient)
	case errors.Is(err, admission.ErrBusy):
		return overloaded(&busyProcessors)
	case errors.Is(err, body.ErrExpandsTooMuch):
		return &Error{Code: CodePayloadTooLarge, Message: "the payload expands too much"}
	case errors.Is(err, body.ErrUnsupportedEncoding):
		return &Error{Code: CodeUnsupportedEncoding, Field: headerContentEncoding,
			Message: "the content encoding must be gzip, deflate, zstd or none, and only one"}
	case errors.Is(err, body.ErrTwice):
		return &Error{Code: CodeInvalidEncoding, Message: "the body is compressed twice"}
	case errors.Is(err, body.ErrUTF16):
		return &Error{Code: CodeInvalidJSON, Message: "the body is UTF-16 or UTF-32; it must be UTF-8"}
	case errors.Is(err, body.ErrZstdWindow):
		return &Error{Code: CodeInvalidEncoding, Message: "the zstd window is larger than 8 MiB"}
	case errors.Is(err, body.ErrTimeout):
		return &Error{Code: CodeBodyTimeout, Err: err}
	case errors.Is(err, body.ErrIncomplete):
		return &Error{Code: CodeIncompleteBody, Err: err}
	case errors.Is(err, body.ErrCorrupt):
		return &Error{Code: CodeInvalidEncoding, Err: err}
	}
	return asError(err)
}
