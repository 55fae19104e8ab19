package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
)

// size is how many nodes there are, and how many brokers.
const size = 3

// A fleet is the nodes, the brokers, and the balancer, which is in this process.
type fleet struct {
	url            string // of the balancer
	brokerURLs     string
	nodes, brokers []*process
	backends       []*backend
	server         *http.Server
	cancel         context.CancelFunc // of the balancer's health checks
}

// startFleet starts everything, and does not wait.
func startFleet(dir string) (f *fleet, err error) {
	listener, port, err := places()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	f = &fleet{url: "http://" + port(0), cancel: cancel}
	defer func() {
		if err != nil {
			f.killAll()
		}
	}()
	if err = f.addBrokers(dir, port); err != nil {
		return nil, err
	}
	if err = f.addNodes(dir, port); err != nil {
		return nil, err
	}
	b := newBalancer(f.backends)
	f.server = inlet.Harden(&http.Server{Handler: b.handler()})
	go func() { _ = f.server.Serve(listener) }()
	for _, to := range f.backends {
		go b.watch(ctx, to)
	}
	for _, p := range f.all() {
		if err = p.start(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// places returns a listener for the balancer, and the addresses from that on, which are free.
// Processes must find each other at the same place after a restart, so the system cannot choose
// their ports; outgoing connections have others than these.
func places() (listener net.Listener, port func(n int) string, err error) {
	for range 100 {
		host, first := "127.0.0.1", 20000+rand.IntN(1000)*10
		if runtime.GOOS == "linux" { // where this machine has more such addresses
			host = fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
		}
		port = func(n int) string { return net.JoinHostPort(host, strconv.Itoa(first+n)) }
		if listener, err = net.Listen("tcp", port(0)); err != nil {
			continue
		}
		if err = free(port); err == nil {
			return listener, port, nil
		}
		listener.Close()
	}
	return nil, nil, err
}

// free returns an error if one of the ports is not free.
func free(port func(n int) string) error {
	for n := 1; n <= 3*size; n++ {
		l, err := net.Listen("tcp", port(n))
		if err != nil {
			return err
		}
		l.Close()
	}
	return nil
}

func (f *fleet) addBrokers(dir string, port func(n int) string) error {
	var urls, routes []string
	for i := range size {
		urls = append(urls, "nats://"+port(1+i))
		routes = append(routes, "nats-route://"+port(1+size+i))
	}
	f.brokerURLs = strings.Join(urls, ",")
	for i := range size {
		name := fmt.Sprintf("broker-%d", i+1)
		file := filepath.Join(dir, name+".conf")
		text := brokerConfig(name, filepath.Join(dir, name), port(1+i), port(1+size+i), routes)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		f.brokers = append(f.brokers, newProcess(dir, name, "broker", "-config", file))
	}
	return nil
}

func (f *fleet) addNodes(dir string, port func(n int) string) error {
	keys := filepath.Join(dir, "keys.json")
	text := fmt.Sprintf(`{"keys": [{"key": %q, "source": "shop"}]}`, writeKey)
	if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
		return err
	}
	for i := range size {
		name, addr := fmt.Sprintf("node-%d", i+1), port(1+2*size+i)
		f.nodes = append(f.nodes, newProcess(dir, name, "node", "-child",
			"-addr", addr, "-dir", filepath.Join(dir, name), "-keys", keys, "-nats", f.brokerURLs, "-lock-timeout", "1m"))
		f.backends = append(f.backends, &backend{name: name, host: addr})
	}
	return nil
}

// all returns the processes.
func (f *fleet) all() []*process { return append(append([]*process{}, f.brokers...), f.nodes...) }

// awaitReady returns once every node is ready.
func (f *fleet) awaitReady(ctx context.Context) error {
	for deadline := time.Now().Add(patience); ; pause(ctx, 20*time.Millisecond) {
		ready := 0
		for i, n := range f.nodes {
			if r := n.now(); r != nil && r.Ready && f.backends[i].ready.Load() {
				ready++
			}
		}
		switch err := errors.Join(ctx.Err(), f.faults()); {
		case err != nil:
			return err
		case ready == size:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d nodes are ready after %s", ready, patience)
		}
	}
}

// drain stops the nodes properly: each waits until the stream has everything that its journal has.
func (f *fleet) drain() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, n := range f.nodes {
		err = errors.Join(err, n.stop(ctx))
	}
	return err
}

// faults returns what has ended by itself.
func (f *fleet) faults() (err error) {
	for _, p := range f.all() {
		err = errors.Join(err, p.fault())
	}
	return err
}

// killAll ends everything.
func (f *fleet) killAll() {
	f.cancel()
	for _, p := range f.all() {
		p.kill()
	}
	if f.server != nil {
		_ = f.server.Close()
	}
}
