// Package memfs is a strict file system in memory, for tests: after a power cut it holds
// what was flushed and nothing else, contents and names alike. Faults are injected by a
// function that sees every operation first.
package memfs

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
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// Dir is the directory that [FS.Put], [FS.Content] and [FS.Names] refer to.
const Dir = "journal"

const capacity = 1 << 40

var errSpecial = errors.New("memfs: not a regular file")

// An FS implements [osfs.FS]. Make one with [New].
type FS struct {
	// Fault is called before each operation ("write", "sync", "truncate", "create",
	// "overwrite", "rename", "syncdir", "list", "open", "remove") on a file, and may
	// fail it or block. A write stores the first n bytes of its size, also if it
	// fails. Set it before the operations that it is for. Defaults to nil: nothing
	// fails.
	Fault func(op, name string, size int) (n int, err error)

	mu      sync.Mutex
	free    int64
	live    map[string]*inode
	durable map[string]*inode // by the names that survive a power cut
	locked  map[string]*lock
	ops     []string
}

// An inode is a file without its names.
type inode struct {
	data, durable []byte
	written       time.Time
	special       bool // not a regular file
}

// New returns an empty file system of 1 TiB.
func New() *FS {
	return &FS{free: capacity, live: map[string]*inode{}, durable: map[string]*inode{}, locked: map[string]*lock{}}
}

// Kill returns what is left after the end of the process: everything except its locks.
func (m *FS) Kill() *FS {
	after := New()
	m.mu.Lock()
	defer m.mu.Unlock()
	after.live, after.durable = maps.Clone(m.live), maps.Clone(m.durable)
	return after
}

// PowerCut returns what is left after a power cut.
func (m *FS) PowerCut() *FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := New()
	for name, node := range m.durable {
		data := slices.Clone(node.durable)
		after.live[name] = &inode{data: data, durable: data, written: node.written, special: node.special}
	}
	after.durable = maps.Clone(after.live)
	return after
}

// TornPowerCut is PowerCut for a disk that has stored some of what was not flushed: any
// sectors of a file, and any of the names.
func (m *FS) TornPowerCut(r *rand.Rand) *FS {
	after := m.PowerCut()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.live)) {
		node := m.live[name]
		if after.live[name] == nil && r.IntN(2) == 0 {
			continue
		}
		torn := tear(r, node)
		after.live[name] = &inode{data: torn, durable: torn, written: node.written, special: node.special}
	}
	after.durable = maps.Clone(after.live)
	return after
}

func tear(r *rand.Rand, node *inode) []byte {
	const sector = 64 // smaller than on a disk, because the files of tests are
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

// SetFree sets the free space, in bytes.
func (m *FS) SetFree(n int64) {
	m.mu.Lock()
	m.free = n
	m.mu.Unlock()
}

// Put makes a file, durably. Its name begins at [Dir].
func (m *FS) Put(name, content string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := &inode{data: []byte(content), durable: []byte(content), written: time.Now()}
	m.live[Dir+"/"+name], m.durable[Dir+"/"+name] = node, node
}

// Append adds to the end of a file, which must exist, as another process does. Its name begins at
// [Dir].
func (m *FS) Append(name, content string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.live[Dir+"/"+name]
	node.data = append(node.data, content...)
}

// PutSpecial makes something that is no regular file, such as a directory, durably.
// Its name begins at [Dir].
func (m *FS) PutSpecial(name string) {
	m.Put(name, "")
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live[Dir+"/"+name].special = true
}

// SetWritten sets the time at which a file was last written to. The file must exist, and
// its name begins at [Dir].
func (m *FS) SetWritten(name string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live[Dir+"/"+name].written = at
}

// Unlock takes the lock of that name away from its holder, as if the lock file had been
// deleted. Its name begins at [Dir].
func (m *FS) Unlock(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.locked, Dir+"/"+name)
}

// Content returns the bytes of a file, which must exist. Its name begins at [Dir].
func (m *FS) Content(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.live[Dir+"/"+name].data)
}

// Names returns the names of all files in order, as they are below [Dir].
func (m *FS) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.live {
		names = append(names, strings.TrimPrefix(name, Dir+"/"))
	}
	slices.Sort(names)
	return names
}

// Ops returns the operations since the last call, such as "sync NAME", in order.
func (m *FS) Ops() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	ops := m.ops
	m.ops = nil
	return ops
}

// begin calls Fault and then takes the lock.
func (m *FS) begin(op, name string, size int) (n int, err error) {
	n = size
	if m.Fault != nil {
		n, err = m.Fault(op, name, size)
	}
	m.mu.Lock()
	m.ops = append(m.ops, op+" "+path.Base(name))
	return n, err
}

// MakeDir implements [osfs.FS]. Directories always exist here.
func (m *FS) MakeDir(string) error { return nil }

// List implements [osfs.FS].
func (m *FS) List(dir string) (names []string, err error) {
	_, err = m.begin("list", dir, 0)
	defer m.mu.Unlock()
	found := map[string]bool{}
	for name := range m.live {
		if rest, below := strings.CutPrefix(name, dir+"/"); below {
			name, _, _ = strings.Cut(rest, "/") // a directory's name, if the file is in one
			found[name] = true
		}
	}
	return slices.Collect(maps.Keys(found)), err
}

// Irregular implements [osfs.FS]. It is not an operation of [FS.Ops].
func (m *FS) Irregular(dir string) (names []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, node := range m.live {
		if node.special && path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	return names, nil
}

// Create implements [osfs.FS].
func (m *FS) Create(name string) (osfs.File, error) {
	_, err := m.begin("create", name, 0)
	defer m.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case m.live[name] != nil:
		return nil, fs.ErrExist
	}
	m.live[name] = new(inode)
	return m.file(name), nil
}

// Overwrite implements [osfs.FS].
func (m *FS) Overwrite(name string) (osfs.File, error) {
	_, err := m.begin("overwrite", name, 0)
	defer m.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case m.live[name] == nil:
		return nil, fs.ErrNotExist
	}
	return m.file(name), nil
}

// file opens a file for writing. It is called with mu held.
func (m *FS) file(name string) *file { return &file{fs: m, name: name, node: m.live[name]} }

// Open implements [osfs.FS].
func (m *FS) Open(name string) (io.ReadSeekCloser, error) {
	_, err := m.begin("open", name, 0)
	defer m.mu.Unlock()
	node := m.live[name]
	switch {
	case err != nil:
		return nil, err
	case node == nil:
		return nil, fs.ErrNotExist
	case node.special:
		return nil, errSpecial
	}
	return &reader{fs: m, node: node}, nil
}

// Stat implements [osfs.FS].
func (m *FS) Stat(name string) (size int64, written time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.live[name]
	if node == nil {
		return 0, time.Time{}, fs.ErrNotExist
	}
	return int64(len(node.data)), node.written, nil
}

// ReadEnd implements [osfs.FS]. The operation is "open".
func (m *FS) ReadEnd(name string, p []byte) (n int, size int64, written time.Time, err error) {
	_, err = m.begin("open", name, 0)
	defer m.mu.Unlock()
	node := m.live[name]
	switch {
	case err != nil:
		return 0, 0, time.Time{}, err
	case node == nil:
		return 0, 0, time.Time{}, fs.ErrNotExist
	case node.special:
		return 0, 0, time.Time{}, errSpecial
	}
	n = copy(p, node.data[max(0, len(node.data)-len(p)):])
	return n, int64(len(node.data)), node.written, nil
}

// SyncFile implements [osfs.FS].
func (m *FS) SyncFile(name string) error {
	m.mu.Lock()
	f := m.file(name)
	m.mu.Unlock()
	return f.Sync()
}

// Cut implements [osfs.FS].
func (m *FS) Cut(name string, size int64) error {
	m.mu.Lock()
	f := m.file(name)
	m.mu.Unlock()
	return errors.Join(f.Truncate(size), f.Sync())
}

// Rename implements [osfs.FS].
func (m *FS) Rename(from, to string) error {
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

// Remove implements [osfs.FS].
func (m *FS) Remove(name string) error {
	_, err := m.begin("remove", name, 0)
	defer m.mu.Unlock()
	switch {
	case err != nil:
		return err
	case m.live[name] == nil:
		return fs.ErrNotExist
	}
	delete(m.live, name)
	return nil
}

// SyncDir implements [osfs.FS].
func (m *FS) SyncDir(dir string) error {
	_, err := m.begin("syncdir", dir, 0)
	defer m.mu.Unlock()
	if err != nil {
		return err
	}
	inDir := func(name string, _ *inode) bool { return path.Dir(name) == dir }
	maps.DeleteFunc(m.durable, inDir)
	for name, node := range m.live {
		if inDir(name, node) {
			m.durable[name] = node
		}
	}
	return nil
}

// Lock implements [osfs.FS].
func (m *FS) Lock(name string) (osfs.Lock, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked[name] != nil {
		return nil, osfs.ErrLocked
	}
	l := &lock{fs: m, name: name}
	m.locked[name] = l
	return l, nil
}

type lock struct {
	fs   *FS
	name string
}

func (l *lock) Held() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.fs.locked[l.name] != l {
		return fs.ErrNotExist
	}
	return nil
}

func (l *lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.fs.locked[l.name] == l {
		delete(l.fs.locked, l.name)
	}
	return nil
}

// Free implements [osfs.FS].
func (m *FS) Free(string) (free, total int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.free, capacity, nil
}

// A reader reads a file that may be written to meanwhile.
type reader struct {
	fs   *FS
	node *inode
	at   int64
}

func (r *reader) Read(p []byte) (int, error) {
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	if r.at >= int64(len(r.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, r.node.data[r.at:])
	r.at += int64(n)
	return n, nil
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
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

func (*reader) Close() error { return nil }

// A file implements [osfs.File]. It has a write position of its own, which is the end of
// a new file.
type file struct {
	fs   *FS
	name string
	node *inode
	at   int
}

func (f *file) Write(p []byte) (int, error) {
	n, err := f.fs.begin("write", f.name, len(p))
	defer f.fs.mu.Unlock()
	f.node.data = append(f.node.data, make([]byte, max(0, f.at+n-len(f.node.data)))...)
	f.at += copy(f.node.data[f.at:], p[:n])
	f.node.written = time.Now()
	return n, err
}

func (f *file) Sync() error {
	_, err := f.fs.begin("sync", f.name, 0)
	defer f.fs.mu.Unlock()
	if err == nil {
		f.node.durable = slices.Clone(f.node.data)
	}
	return err
}

func (f *file) Truncate(size int64) error {
	_, err := f.fs.begin("truncate", f.name, 0)
	defer f.fs.mu.Unlock()
	if err == nil {
		f.node.data = f.node.data[:size]
		f.at = int(size)
	}
	return err
}

func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.live[f.name] != f.node {
		return 0, fs.ErrNotExist
	}
	return int64(len(f.node.data)), nil
}

func (f *file) Close() error { return nil }

// Failing returns a Fault that fails an operation with err while on is set. Of a write
// it stores half.
func Failing(op string, err error, on *Switch) func(op, name string, size int) (int, error) {
	return func(got, _ string, size int) (int, error) {
		if got == op && on.IsOn() {
			return size / 2, err
		}
		return size, nil
	}
}

// A Switch is a bool that may be set while others read it. The zero value is off.
type Switch struct{ on atomic.Bool }

// Set turns the switch on or off.
func (s *Switch) Set(on bool) { s.on.Store(on) }

// IsOn reports whether the switch is on.
func (s *Switch) IsOn() bool { return s.on.Load() }
