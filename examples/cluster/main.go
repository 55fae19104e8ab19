// Cluster shows what a fleet does when machines fail. Three Inlet nodes behind a balancer store
// events in a stream of NATS JetStream with three replicas, each on a broker of its own, while
// clients send 2,000 events a second. Every five seconds one node or one broker is killed, and
// comes back:
//
//	go run ./examples/cluster
//
// Nodes and brokers are processes of their own, and killing them is what kill -9 does. A table
// shows what arrives where. At the end the program compares what was acknowledged with what the
// stream has, and fails if an event was lost or is there twice.
//
// The same program is a node of a real fleet: see its README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// config is the values of the flags.
type config struct {
	duration   time.Duration // 0: until a signal
	rate       int           // events a second
	kill, down time.Duration
	seed       uint64
}

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if role(os.Args[1:]) {
		return
	}
	c := parseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it immediately
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// role is a process of the fleet if the arguments say so, until that ends, and reports whether they
// do.
func role(args []string) bool {
	if len(args) == 0 {
		return false
	}
	var err error
	switch args[0] {
	case "node":
		err = nodeMain(args[1:])
	case "broker":
		err = brokerMain(args[1:])
	default:
		return false
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "cluster %s: %v\n", args[0], err)
		os.Exit(1)
	}
	return true
}

func parseFlags() (c config) {
	flag.DurationVar(&c.duration, "for", 30*time.Second, "how `long` clients send; 0 is until Ctrl-C")
	flag.IntVar(&c.rate, "rate", 2000, "`events` that clients send in a second")
	flag.DurationVar(&c.kill, "kill", 5*time.Second, "how `often` a node or a broker is killed; 0 is never")
	flag.DurationVar(&c.down, "down", 2*time.Second, "how `long` it stays away, less than -kill")
	flag.Uint64Var(&c.seed, "seed", 0, "`number` that decides which one is killed (default: a random one)")
	flag.Parse()
	if flag.NArg() > 0 || c.duration < 0 || c.rate < batchSize || c.kill < 0 || c.kill > 0 && c.down >= c.kill {
		fmt.Fprintln(flag.CommandLine.Output(), "unexpected argument, or a value that makes no sense:", flag.Args())
		flag.Usage()
		os.Exit(2)
	}
	return c
}

// patience is how long anything may take that must happen in the end, on a slow machine too.
const patience = 3 * time.Minute

// run shows the fleet, and returns an error if an event was lost or is stored twice.
func run(ctx context.Context, c config, out io.Writer) (err error) {
	if c.seed == 0 {
		c.seed = rand.Uint64N(1 << 32)
	}
	dir, err := os.MkdirTemp("", "inlet-cluster-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\nWhat the processes have stored and logged is in %s", err, dir)
		} else {
			err = os.RemoveAll(dir)
		}
	}()
	f, err := startFleet(dir)
	if err != nil {
		return err
	}
	defer f.killAll()
	if err := f.awaitReady(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "Three nodes and three brokers are running, and a balancer at %s; the seed is %d.\n", f.url, c.seed)

	l := newLoad(f.url, c.rate)
	s := newScreen(out, f, l)
	k := newKiller(f, c, s.note)
	sending := ctx
	if c.duration > 0 {
		var cancel context.CancelFunc
		sending, cancel = context.WithTimeout(ctx, c.duration)
		defer cancel()
	}
	go s.run(sending)
	go k.run(sending)
	l.run(sending) // until every client has an answer to what it has sent
	<-k.ended      // everything has been started again
	<-s.ended

	v, err := f.verdict(l)
	if err == nil {
		v.kills = k.kills
		v.print(out, l)
		err = v.fault()
	}
	return errors.Join(err, f.faults())
}
