package guard_test

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/guard"
)

func TestCall(t *testing.T) {
	t.Parallel()
	errFailed := errors.New("failed")
	call := func(f func() error) (err error) {
		done := make(chan struct{})
		go func() { // may end here
			defer close(done)
			guard.Call(&err, f)
		}()
		<-done
		return err
	}

	t.Run("returns", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, call(func() error { return nil }))
		require.Equal(t, errFailed, call(func() error { return errFailed }))
	})

	t.Run("panics", func(t *testing.T) {
		t.Parallel()
		err := call(func() error { panic("oops") })
		p, ok := guard.Panicked(err)
		require.True(t, ok)
		require.Equal(t, "oops", p.Cause)
		require.Contains(t, string(p.Stack), "guard_test.go")
		require.ErrorContains(t, err, "panic: oops\n\ngoroutine ")
		require.NoError(t, p.Unwrap())
	})

	t.Run("panics with an error", func(t *testing.T) {
		t.Parallel()
		require.ErrorIs(t, call(func() error { panic(http.ErrAbortHandler) }), http.ErrAbortHandler)
	})

	t.Run("panics with nil", func(t *testing.T) {
		t.Parallel()
		_, ok := guard.Panicked(call(func() error { panic(any(nil)) }))
		require.True(t, ok)
	})

	t.Run("ends its goroutine", func(t *testing.T) {
		t.Parallel()
		err := call(func() error { runtime.Goexit(); return nil })
		require.Equal(t, guard.ErrExited, err)
	})
}

func TestPanicked(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"nil":     nil,
		"another": errors.New("failed"),
		"wrapped": fmt.Errorf("wrapped: %w", &guard.Panic{Cause: "oops"}),
		"exited":  guard.ErrExited,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, ok := guard.Panicked(err)
			require.False(t, ok)
		})
	}
}
