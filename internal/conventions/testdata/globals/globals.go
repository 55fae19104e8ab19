// Package fixture has state of the package in every way that the check knows.
package fixture

import "sync"

var (
	count  int
	table  = map[string]int{}
	record struct{ n int }
	target = new(int)
	pool   = sync.Pool{New: func() any { return new(int) }} // is changed by its methods alone
)

func init() { count = 1 }

func change() {
	count++
	table["a"] = 1
	record.n = 2
	*target = 3
	count := table["b"] // hides the other
	count = 4
	_, _ = count, pool.Get()
}

type local struct{ count int }

func (l *local) init() { l.count = 5 }
