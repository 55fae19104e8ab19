package check_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/check"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"below", check.AtLeast("Rate", -1, 0), "Rate is -1, must be at least 0"},
		{"at the least", check.AtLeast("Rate", 0, 0), ""},
		{"above", check.AtMost("Depth", 1001, 1000), "Depth is 1001, must be at most 1000"},
		{"at the most", check.AtMost("Depth", 1000, 1000), ""},
		{"unknown", check.Known("Sync", 7, 1, 2), "Sync is 7, must be one of [1 2]"},
		{"known", check.Known("Sync", 2, 1, 2), ""},
		{"nil", check.NotNil("Keys", true), "Keys is nil"},
		{"not nil", check.NotNil("Keys", false), ""},
		{"a nil element", check.NoneNil("Validators", []error{check.Fault("a", "b"), nil}, func(e error) bool { return e == nil }), "Validators[1] is nil"},
		{"no nil element", check.NoneNil("Validators", []int{1}, func(int) bool { return false }), ""},
		{"of its own", check.Fault("PublicURL", "must begin with %q", "https://"), `PublicURL must begin with "https://"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.want == "" {
				require.NoError(t, tt.err)
				return
			}
			require.EqualError(t, tt.err, tt.want)
		})
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	require.NoError(t, check.Options("inlet", "Options", nil, nil))
	err := check.Options("inlet", "Options", check.AtLeast("A", 0, 1), nil, check.NotNil("B", true))
	require.EqualError(t, err, "inlet: Options: A is 0, must be at least 1\nB is nil")
}
