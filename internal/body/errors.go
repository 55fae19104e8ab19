package body

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/inlet-go/inlet/internal/account"
)

// Why a body cannot be had. Errors wrap one of these, and where there is one the cause;
// those of package account are returned as they are.
var (
	// ErrExpandsTooMuch: the body gets more times larger than it may by decompression.
	ErrExpandsTooMuch = errors.New("body: expands too much")
	// ErrUnsupportedEncoding: the Content-Encoding is not supported.
	ErrUnsupportedEncoding = errors.New("body: unsupported content encoding")
	// ErrTwice: the body was compressed twice.
	ErrTwice = errors.New("body: compressed twice")
	// ErrUTF16: the body is UTF-16 or UTF-32.
	ErrUTF16 = errors.New("body: UTF-16 or UTF-32")
	// ErrZstdWindow: the window of a zstd body is larger than 8 MiB.
	ErrZstdWindow = errors.New("body: the zstd window is larger than 8 MiB")
	// ErrCorrupt: the body cannot be decompressed.
	ErrCorrupt = errors.New("body: cannot be decompressed")
	// ErrIncomplete: the body ended early.
	ErrIncomplete = errors.New("body: ended early")
	// ErrTimeout: the body did not arrive before its deadline.
	ErrTimeout = errors.New("body: did not arrive in time")
)

// A TooLargeError is a body larger than Limit bytes.
type TooLargeError struct{ Limit int64 }

// Error names the limit.
func (e *TooLargeError) Error() string { return fmt.Sprintf("body: larger than %d bytes", e.Limit) }

// isKnown reports whether err is an error of this package.
func isKnown(err error) bool {
	if _, ok := errors.AsType[*TooLargeError](err); ok {
		return true
	}
	return errors.Is(err, account.ErrOverBudget) || errors.Is(err, account.ErrNeverFits) ||
		errors.Is(err, ErrExpandsTooMuch) || errors.Is(err, ErrZstdWindow)
}

// readError classifies an error of reading what a client sends.
func readError(err error) error {
	if isKnown(err) {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	if foreign, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &TooLargeError{foreign.Limit}
	}
	return fmt.Errorf("%w: %w", ErrIncomplete, err)
}

// decodeError classifies an error of decompressing.
func decodeError(err error) error {
	if isKnown(err) {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}
