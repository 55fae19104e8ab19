package journal

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A memFS is a strict file system in memory: after a power cut it holds no more
// than what was flushed, contents and names alike. Faults are injected by a hook
// that every operation calls first; it may also block.
type memFS struct {
	// fault may fail an operation ("write", "sync", "truncate", "create",
	// "rename", "syncdir", "list", "open", "remove") on a file. A write stores
	// n bytes of the size before it fails. Nil injects nothing.
	fault func(op, name string, size int) (n int, err error)
	free  int64

	mu      sync.Mutex
	live    map[string]*memNode
	durable map[string]*memNode
	locked  map[string]bool
	ops     []string // what happened, in order
}

type memNode struct {
	data, durable []byte
	written       time.Time
}

func newMemFS() *memFS {
	return &memFS{
		free: 1 << 40, live: map[string]*memNode{}, durable: map[string]*memNode{}, locked: map[string]bool{},
	}
}

// cut returns what is left after a power cut.
func (m *memFS) cut() *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := newMemFS()
	for name, node := range m.durable {
		data := slices.Clone(node.durable)
		after.live[name] = &memNode{data: data, durable: data, written: node.written}
	}
	after.durable = maps.Clone(after.live)
	return after
}

// tear is cut where, as of the disks of this world, some of what was not flushed
// is there all the same: any sectors of a file, and any of the names.
func (m *memFS) tear(r *rand.Rand) *memFS {
	after := m.cut()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.live)) {
		node := m.live[name]
		if after.live[name] == nil && r.IntN(2) == 0 {
			continue
		}
		torn := tearData(r, node)
		after.live[name] = &memNode{data: torn, durable: torn, written: node.written}
	}
	after.durable = maps.Clone(after.live)
	return after
}

func tearData(r *rand.Rand, node *memNode) []byte {
	const sector = 64 // smaller than true ones, as the test's files are
	data := slices.Clone(node.durable)
	if r.IntN(2) == 0 && len(node.data) > len(data) {
		data = append(data, make([]byte, len(node.data)-len(data))...) // the new size came first
	}
	for at := 0; at < min(len(data), len(node.data)); at += sector {
		if r.IntN(2) == 0 {
			end := min(at+sector, len(data), len(node.data))
			copy(data[at:end], node.data[at:end])
		}
	}
	return data
}

// begin calls the hook and then takes the lock.
func (m *memFS) begin(op, name string, size int) (int, error) {
	n, err := size, error(nil)
	if m.fault != nil {
		n, err = m.fault(op, name, size)
	}
	m.mu.Lock()
	m.ops = append(m.ops, op+" "+path.Base(name))
	return n, err
}

func (m *memFS) MakeDir(string) error { return nil }

func (m *memFS) List(dir string) (names []string, err error) {
	_, err = m.begin("list", dir, 0)
	defer m.mu.Unlock()
	for name := range m.live {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	return names, err
}

func (m *memFS) Create(name string) (file, error) {
	_, err := m.begin("create", name, 0)
	defer m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if m.live[name] != nil {
		return nil, fs.ErrExist
	}
	node := &memNode{}
	m.live[name] = node
	return &memFile{fs: m, name: name, node: node}, nil
}

func (m *memFS) SyncFile(name string) error {
	m.mu.Lock()
	node := m.live[name]
	m.mu.Unlock()
	return (&memFile{fs: m, name: name, node: node}).Sync()
}

func (m *memFS) Cut(name string, size int64) error {
	m.mu.Lock()
	f := &memFile{fs: m, name: name, node: m.live[name]}
	m.mu.Unlock()
	return errors.Join(f.Truncate(size), f.Sync())
}

func (m *memFS) Overwrite(name string) (file, error) {
	_, err := m.begin("overwrite", name, 0)
	defer m.mu.Unlock()
	node := m.live[name]
	switch {
	case err != nil:
		return nil, err
	case node == nil:
		return nil, fs.ErrNotExist
	}
	return &memFile{fs: m, name: name, node: node}, nil
}

func (m *memFS) Open(name string) (io.ReadSeekCloser, error) {
	_, err := m.begin("open", name, 0)
	defer m.mu.Unlock()
	node := m.live[name]
	switch {
	case err != nil:
		return nil, err
	case node == nil:
		return nil, fs.ErrNotExist
	}
	return &memReader{fs: m, node: node}, nil
}

func (m *memFS) Stat(name string) (int64, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.live[name]
	if node == nil {
		return 0, time.Time{}, fs.ErrNotExist
	}
	return int64(len(node.data)), node.written, nil
}

func (m *memFS) Rename(from, to string) error {
	_, err := m.begin("rename", from, 0)
	defer m.mu.Unlock()
	node := m.live[from]
	switch {
	case err != nil:
		return err
	case node == nil:
		return fs.ErrNotExist
	}
	delete(m.live, from)
	m.live[to] = node
	return nil
}

func (m *memFS) Remove(name string) error {
	_, err := m.begin("remove", name, 0)
	defer m.mu.Unlock()
	if err == nil && m.live[name] == nil {
		return fs.ErrNotExist
	}
	if err == nil {
		delete(m.live, name)
	}
	return err
}

func (m *memFS) SyncDir(dir string) error {
	_, err := m.begin("syncdir", dir, 0)
	defer m.mu.Unlock()
	if err != nil {
		return err
	}
	inDir := func(name string, _ *memNode) bool { return path.Dir(name) == dir }
	maps.DeleteFunc(m.durable, inDir)
	for name, node := range m.live {
		if path.Dir(name) == dir {
			m.durable[name] = node
		}
	}
	return nil
}

func (m *memFS) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked[name] {
		return nil, ErrLocked
	}
	m.locked[name] = true
	return closerFunc(func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.locked, name)
		return nil
	}), nil
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

func (m *memFS) Free(string) (free, total int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.free, 1 << 40, nil
}

func (m *memFS) setFree(n int64) {
	m.mu.Lock()
	m.free = n
	m.mu.Unlock()
}

// names returns the files, without their directory, in order.
func (m *memFS) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.live {
		names = append(names, strings.TrimPrefix(name, memDir+"/"))
	}
	slices.Sort(names)
	return names
}

// content returns the bytes of a file in the journal's directory.
func (m *memFS) content(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.live[memDir+"/"+name].data)
}

// put makes a file, durably.
func (m *memFS) put(name, content string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := &memNode{data: []byte(content), durable: []byte(content), written: time.Now()}
	m.live[memDir+"/"+name], m.durable[memDir+"/"+name] = node, node
}

// log returns the operations so far, and forgets them.
func (m *memFS) log() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	ops := m.ops
	m.ops = nil
	return ops
}

// A memReader reads a file that others may be writing.
type memReader struct {
	fs   *memFS
	node *memNode
	at   int64
}

func (r *memReader) Read(p []byte) (int, error) {
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	if r.at >= int64(len(r.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, r.node.data[r.at:])
	r.at += int64(n)
	return n, nil
}

func (r *memReader) Seek(offset int64, whence int) (int64, error) {
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += int64(len(r.node.data))
	}
	r.at = offset
	return offset, nil
}

func (*memReader) Close() error { return nil }

// A memFile is written at a position of its own, which is the end of what is
// there if it was made anew.
type memFile struct {
	fs   *memFS
	name string
	node *memNode
	at   int
}

func (f *memFile) Write(p []byte) (int, error) {
	n, err := f.fs.begin("write", f.name, len(p))
	defer f.fs.mu.Unlock()
	f.node.data = append(f.node.data, make([]byte, max(0, f.at+n-len(f.node.data)))...)
	f.at += copy(f.node.data[f.at:], p[:n])
	f.node.written = time.Now()
	return n, err
}

func (f *memFile) Sync() error {
	_, err := f.fs.begin("sync", f.name, 0)
	defer f.fs.mu.Unlock()
	if err == nil {
		f.node.durable = slices.Clone(f.node.data)
	}
	return err
}

func (f *memFile) Truncate(size int64) error {
	_, err := f.fs.begin("truncate", f.name, 0)
	defer f.fs.mu.Unlock()
	if err == nil {
		f.node.data = f.node.data[:size]
		f.at = int(size)
	}
	return err
}

func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.live[f.name] != f.node {
		return 0, fs.ErrNotExist
	}
	return int64(len(f.node.data)), nil
}

func (f *memFile) Close() error { return nil }

// failing returns a hook that fails the operation with err while on is true.
func failing(op string, err error, on *switchVar) func(string, string, int) (int, error) {
	return func(got, _ string, size int) (int, error) {
		if got == op && on.get() {
			return size / 2, err
		}
		return size, nil
	}
}

// A switchVar is a bool that may be set while others read it.
type switchVar struct {
	mu sync.Mutex
	on bool
}

func (s *switchVar) set(on bool) {
	s.mu.Lock()
	s.on = on
	s.mu.Unlock()
}

func (s *switchVar) get() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on
}

var (
	errNoSpace = &fs.PathError{Op: "write", Path: "segment", Err: syscall.ENOSPC}
	errIO      = &fs.PathError{Op: "write", Path: "segment", Err: syscall.EIO}
)
