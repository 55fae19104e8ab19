package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// The steps from no plan to a replayed quarantine, as they are printed.
func TestSteps(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), t.TempDir(), &out))
	require.Equal(t, `1. Without a plan, all 30 events are stored.
2. The plan that was inferred has the rules:
     track Order Complete
     track Order Completed
3. The plan is observed; everything is stored: version 1, 10 clean, 20 observed, 0 quarantined.
     10 × track "Order Complete": track "Order Complete" is not in the plan (last from analytics.js 1.50.0)
     10 × track "Order Completed": properties.total must be a number, but it is the text "9.99" (last from analytics-ios 4.1.8)
4. The website is fixed; the app of some users is not: version 1, 10 clean, 10 observed, 0 quarantined.
     10 × track "Order Completed": properties.total must be a number, but it is the text "9.99" (last from analytics-ios 4.1.8)
5. Violations are quarantined, and clients get 200: version 2, 10 clean, 0 observed, 10 quarantined.
     10 × track "Order Completed": properties.total must be a number, but it is the text "9.99" (last from analytics-ios 4.1.8)
6. By the new plan, 10 of the events in quarantine are stored, and 0 stay.
`, out.String())
}
