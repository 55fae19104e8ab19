//go:build torture && linux

package torture

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// A disk is an ext4 file system in a file. It writes its metadata back so seldom
// that whatever is on it after a cut was flushed.
type disk struct {
	image, mount string
}

// newDisk makes and mounts a disk of that size.
func newDisk(t *testing.T, mib int64) *disk {
	t.Helper()
	needRoot(t)
	needTool(t, "mkfs.ext4")
	dir := t.TempDir()
	d := &disk{filepath.Join(dir, "image"), filepath.Join(dir, "mount")}
	require.NoError(t, os.Mkdir(d.mount, 0o700))
	require.NoError(t, os.WriteFile(d.image, nil, 0o600))
	require.NoError(t, os.Truncate(d.image, mib<<20))
	run(t, "mkfs.ext4", "-q", "-F", "-m", "0", d.image)
	d.attach(t)
	t.Cleanup(func() { d.detach(t) })
	return d
}

// dir is where a journal lives on the disk.
func (d *disk) dir() string { return filepath.Join(d.mount, "journal") }

func (d *disk) attach(t *testing.T) {
	t.Helper()
	run(t, "mount", "-o", "loop,commit=1000", d.image, d.mount)
}

// detach unmounts and waits until the loop device is gone: a mount before that
// would get the dying file system again, where everything fails.
func (d *disk) detach(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := exec.Command("umount", d.mount).Run()
		if err == nil || time.Now().After(deadline) {
			require.NoError(t, err, "umount")
			break
		}
	}
	require.Eventually(t, func() bool {
		out, err := exec.Command("losetup", "-j", d.image).Output()
		return err == nil && len(out) == 0
	}, 20*time.Second, 10*time.Millisecond, "the loop device stays")
}

// cut ends the file system immediately, as a power cut does: what was not flushed never
// reaches the image, not even the file system's own log.
func (d *disk) cut(t *testing.T) {
	t.Helper()
	const ioctlShutdown, withoutFlushingTheLog = 0x8004587d, 2
	root, err := os.Open(d.mount)
	require.NoError(t, err)
	defer root.Close()
	mode := uint32(withoutFlushingTheLog)
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, root.Fd(), ioctlShutdown, uintptr(unsafe.Pointer(&mode)))
	require.Zero(t, errno, "shut the file system down: %v", errno)
}

// restart is the restart of the machine after a cut.
func (d *disk) restart(t *testing.T) {
	t.Helper()
	d.detach(t)
	d.attach(t)
}

// fill uses all free space, and returns a function that frees it.
func (d *disk) fill(t *testing.T) (free func()) {
	t.Helper()
	name := filepath.Join(d.mount, "filler")
	f, err := os.Create(name)
	require.NoError(t, err)
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	require.NoError(t, f.Close())
	return func() { require.NoError(t, os.Remove(name)) }
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
	return string(out)
}
