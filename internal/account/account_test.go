package account_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/account"
	"github.com/inlet-go/inlet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const size = 256 << 10

func TestReserve(t *testing.T) {
	t.Parallel()
	t.Run("what does not fit now may fit later", func(t *testing.T) {
		t.Parallel()
		b := account.NewBudget(size + 100)
		var first, second account.Account
		first.Enter(b, 0)
		second.Enter(b, 0)
		require.NoError(t, first.Reserve(size))
		require.NoError(t, second.Reserve(100), "the last bytes, less than a step")
		require.Equal(t, b.Max(), b.Used())
		require.ErrorIs(t, second.Reserve(1), account.ErrOverBudget)
		require.ErrorIs(t, second.Fits(1), account.ErrOverBudget)
		require.EqualValues(t, 100, second.Held())
		first.Leave()
		require.NoError(t, second.Fits(1))
		require.NoError(t, second.Reserve(1))
	})
	t.Run("what is more than all never fits", func(t *testing.T) {
		t.Parallel()
		b := account.NewBudget(size)
		var a account.Account
		a.Enter(b, 0)
		require.NoError(t, a.Reserve(size/2))
		require.ErrorIs(t, a.Reserve(size/2+1), account.ErrNeverFits)
		require.ErrorIs(t, a.Fits(size/2+1), account.ErrNeverFits)
		require.EqualValues(t, size/2, b.Used())
	})
	t.Run("small sums touch the budget once", func(t *testing.T) {
		t.Parallel()
		b := account.NewBudget(size)
		var a account.Account
		a.Enter(b, 0)
		require.NoError(t, a.Reserve(1))
		used := b.Used()
		for range 100 {
			require.NoError(t, a.Reserve(100))
		}
		require.Equal(t, used, b.Used())
	})
}

func TestReturn(t *testing.T) {
	t.Parallel()
	b := account.NewBudget(size)
	var a account.Account
	a.Enter(b, 0)
	require.NoError(t, a.Reserve(100_000))
	require.NoError(t, a.Reserve(100_000))
	a.Return(99_000)
	require.EqualValues(t, 101_000, a.Held())
	require.Less(t, b.Used(), int64(101_000+64<<10))
	a.Return(100_000)
	require.GreaterOrEqual(t, b.Used(), int64(1000))
	a.Trim()
	require.EqualValues(t, 1000, b.Used())
	a.Leave()
	require.Zero(t, b.Used())
	a.Return(1000)
	require.Zero(t, b.Used(), "nothing is given back twice")
	require.Zero(t, a.Held())
	a.Enter(b, 0)
	require.NoError(t, a.Reserve(1000))
	require.GreaterOrEqual(t, b.Used(), int64(1000), "what was given back late is not free")
	a.Leave()
	require.Zero(t, b.Used())
}

func TestLeave(t *testing.T) {
	t.Parallel()
	t.Run("the last one settles", func(t *testing.T) {
		t.Parallel()
		b := account.NewBudget(size)
		var a account.Account
		a.Enter(b, 0)
		a.Enter(account.NewBudget(1), 0) // the first counts
		require.NoError(t, a.Reserve(1000))
		a.Leave()
		require.NotZero(t, b.Used())
		a.Leave()
		require.Zero(t, b.Used())
		a.Enter(b, 0) // as of a handler that outlives the layers before it
		require.NoError(t, a.Reserve(1000))
		a.Leave()
		require.Zero(t, b.Used())
	})
	t.Run("of one account, at once", func(t *testing.T) {
		t.Parallel()
		b := account.NewBudget(1 << 30)
		var a account.Account
		a.Enter(b, 0)
		var done sync.WaitGroup
		for i := range 8 {
			done.Go(func() {
				for j := range 2000 {
					a.Enter(b, 0)
					n := int64((i*j*7919)%90_000 + 1)
					_ = a.Reserve(n)
					if b.Used() < n {
						t.Error("less is used than is held")
					}
					a.Return(n)
					a.Leave()
				}
			})
		}
		done.Wait()
		require.Zero(t, a.Held())
		require.Less(t, b.Used(), int64(8*90_000))
		a.Leave()
		require.Zero(t, b.Used())
	})
	t.Run("many at once", func(t *testing.T) {
		t.Parallel()
		b := account.NewBudget(size)
		var done sync.WaitGroup
		for i := range 8 {
			done.Go(func() {
				for j := range 2000 {
					var a account.Account
					a.Enter(b, 0)
					_ = a.Reserve(int64(i * j % 100_000))
					_ = a.Reserve(int64(i * j % 50_000))
					a.Return(int64(j % 10_000))
					a.Leave()
				}
			})
		}
		done.Wait()
		require.Zero(t, b.Used())
	})
}

// Not parallel: allocations are counted for the whole process.
func TestAllocations(t *testing.T) {
	b := account.NewBudget(size)
	var a account.Account
	require.Zero(t, testing.AllocsPerRun(100, func() {
		a.Enter(b, 0)
		_ = a.Reserve(1000)
		a.Return(990)
		a.Leave()
	}))
}
