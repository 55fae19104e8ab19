package journal

import (
	"os"
	"runtime"
)

// A lull lets everything else run that can run.
//
// runtime.Gosched is not enough for that: it returns as soon as no other goroutine is ready,
// before the runtime looks at the network again. A committer that waits by Gosched on the only
// processor does not see the requests that have arrived meanwhile. So a lull also waits for the
// network: it writes a byte into a pipe of its own, and goes on once the runtime has noticed that,
// together with everything that had arrived before.
//
// Only one goroutine may use a lull. The zero value is ready to be used.
type lull struct {
	tried    bool // to make the pipe
	from, to *os.File
	buf      [1]byte
}

// wait returns after what is ready, and what has arrived from the network, had its turn. Where
// that cannot be known, since there are no such pipes, it is runtime.Gosched.
func (l *lull) wait() {
	if !l.tried {
		l.makePipe()
	}
	if l.from != nil {
		l.throughPipe()
	}
	runtime.Gosched() // to those that the network has made ready
}

func (l *lull) makePipe() {
	l.tried = true
	if from, to, err := os.Pipe(); err == nil {
		l.from, l.to = from, to
	}
}

// throughPipe sends a byte through the pipe. The function that is given to conn.Read is called
// before that waits, when it fills the pipe, and once more after that.
func (l *lull) throughPipe() {
	conn, err := l.from.SyscallConn()
	if err != nil {
		return
	}
	sent := 0
	_ = conn.Read(func(uintptr) (done bool) {
		if sent > 0 {
			return true
		}
		sent, _ = l.to.Write(l.buf[:])
		return sent == 0
	})
	if sent > 0 {
		_, _ = l.from.Read(l.buf[:])
	}
}

// close closes the pipe.
func (l *lull) close() {
	if l.from != nil {
		_, _ = l.from.Close(), l.to.Close()
	}
}
