//go:build !unix

package journal

import "testing"

// makePipe skips the test: there are no named pipes here.
func makePipe(t *testing.T, _ string) { t.Skip("no named pipes") }
