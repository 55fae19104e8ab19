package plan_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/plan"
)

var nowhere = inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil })

// A plan in a file is replaced within moments; a bad one changes nothing.
func TestFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "plan.json")
		save := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
		save(`{"name":"shop","version":1,"rules":[]}`)
		f, err := plan.Open(path, &plan.FileOptions{Logger: quiet})
		require.NoError(t, err)
		require.Equal(t, "1", f.Plan().Version())
		time.Sleep(time.Minute + time.Second/2)
		since := f.Stats().Since
		save(`{"name":"shop","version":2,"rules":[]}`)
		time.Sleep(2 * time.Second)
		require.Equal(t, "2", f.Plan().Version())
		require.True(t, f.Stats().Since.After(since))
		save(`{"name":"shop","version":3,"modes":"block","rules":[]}`)
		time.Sleep(2 * time.Second)
		require.ErrorContains(t, f.Err(), "plan: "+path+`: "modes" is "block"`)
		require.Error(t, f.Reload())
		save("\uFEFF{\r\n\t\"rules\": [\r\n\t\t{\"type\": \"track\",}\r\n\t]\r\n}")
		require.ErrorContains(t, f.Reload(), "plan: "+path+": must be a JSON object: line 3, column 20: ")
		save(`{"name":"shop","version":"\ud800","rules":[]}`)
		require.ErrorContains(t, f.Reload(), "plan: "+path+": must be a JSON object: line 1, column ")
		require.Equal(t, "2", f.Plan().Version(), "the last good plan stays in use")
		require.NoError(t, f.Close())
		require.NoError(t, f.Close())
	})
	t.Run("of another format", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "plan.json")
		require.NoError(t, os.WriteFile(path, []byte(`{"rules":[]}`), 0o600))
		f, err := plan.Open(path, &plan.FileOptions{Logger: quiet, Parse: func(r io.Reader) (*plan.Plan, error) {
			p, err := plan.Load(r, nil)
			if err != nil {
				return nil, err
			}
			return p.WithModes(map[plan.Kind]plan.Mode{plan.UnplannedEvent: plan.Reject}), nil
		}})
		require.NoError(t, err)
		defer func() { require.NoError(t, f.Close()) }()
		require.NotNil(t, f.Validator()(order("a", good)))
	})
	_, err := plan.Open(filepath.Join(t.TempDir(), "none"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = plan.Open("", &plan.FileOptions{Interval: -1})
	require.ErrorContains(t, err, "plan: FileOptions: Interval is -1ns, must be at least 1ns")
}
