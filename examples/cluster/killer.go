package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// A killer kills one process after the other, and starts it again.
type killer struct {
	fleet  *fleet
	config config
	note   func(format string, args ...any)
	kills  []time.Time
	ended  chan struct{} // closed when nothing is down any more
}

func newKiller(f *fleet, c config, note func(format string, args ...any)) *killer {
	return &killer{fleet: f, config: c, note: note, ended: make(chan struct{})}
}

// run kills until ctx is done.
func (k *killer) run(ctx context.Context) {
	defer close(k.ended)
	if k.config.kill == 0 {
		return
	}
	all, random := k.fleet.all(), rand.New(rand.NewPCG(k.config.seed, 0))
	tick := time.NewTicker(k.config.kill)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if ctx.Err() != nil { // both at the same time
			return
		}
		p := all[random.IntN(len(all))]
		p.kill()
		k.kills = append(k.kills, time.Now())
		k.note("%s is killed", p.name)
		pause(ctx, k.config.down)
		if err := p.start(); err != nil {
			k.note("%s does not start: %v", p.name, err)
			return
		}
		k.note("%s is started again", p.name)
	}
}
