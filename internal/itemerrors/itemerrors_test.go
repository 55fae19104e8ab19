package itemerrors_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
)

func TestJoin(t *testing.T) {
	t.Parallel()
	errFailed := errors.New("failed")
	for _, errs := range [][]error{
		{errFailed},
		{nil, errFailed, nil, inlet.Permanent(errFailed)},
	} {
		err := itemerrors.Join(errs)
		require.NoError(t, itemerrors.Validate(err.(*inlet.BatchError), len(errs)))
		require.Equal(t, errs, inlet.ItemErrors(err, len(errs)))
	}
	require.NoError(t, itemerrors.Join(nil))
	require.NoError(t, itemerrors.Join([]error{nil, nil}))
}

func TestFind(t *testing.T) {
	t.Parallel()
	batch := &inlet.BatchError{Items: []inlet.ItemError{{Err: errors.New("failed")}}}
	for _, tt := range []struct {
		name string
		err  error
		ok   bool
	}{
		{"nil", nil, false},
		{"another", errors.New("failed"), false},
		{"itself", batch, true},
		{"wrapped", fmt.Errorf("a: %w", fmt.Errorf("b: %w", batch)), true},
		{"permanent", inlet.Permanent(batch), true},
		{"joined", errors.Join(errors.New("failed"), batch), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found, ok := itemerrors.Find(tt.err)
			require.Equal(t, tt.ok, ok)
			if ok {
				require.Same(t, batch, found)
			}
		})
	}
}
