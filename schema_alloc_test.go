package inlet

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
)

// What is delivered from a journal is read back first.
func TestReadingAnEventBackTakesFewAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector makes pools forget")
	}
	line := []byte(`{"type":"track","event":"Order Completed","messageId":"m1","userId":"u1","anonymousId":"a1","timestamp":"2026-01-02T03:04:05Z","receivedAt":"2026-01-02T03:04:05Z","sourceId":"web","dialect":"segment","properties":{"total":27.50,"products":[{"sku":"G-32"}]},"context":{"page":{"url":"https://shop.example/?step=3&coupon=MAYDEALS"}}}`)
	e := new(Event)
	allocations := testing.AllocsPerRun(100, func() { _ = e.UnmarshalJSON(line) })
	require.LessOrEqual(t, allocations, 11.0)
}
