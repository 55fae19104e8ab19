// Fanout shows how to deliver events from one journal to two destinations: a file, and a second
// server, the warehouse, which you can stop and start to see that no event is lost and no client
// waits.
//
//	go run ./examples/fanout
//
// It sends itself ten events per second and prints the progress of each destination. Enter stops
// the warehouse, and starts it again. Ctrl-C ends the program; events that the warehouse has not
// received by then are delivered in the next run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/httpsink"
	"github.com/inlet-go/inlet/sinks/journal"
)

// config is the values of the flags.
type config struct {
	dir           string
	addr          string // of the ingestion server
	warehouseAddr string
	every         time.Duration // between two events
	report        time.Duration // between two reports
}

func main() {
	var c config
	flag.StringVar(&c.dir, "dir", "fanout-data", "`directory` of the events")
	flag.StringVar(&c.addr, "addr", "127.0.0.1:8081", "address of the ingestion server")
	flag.StringVar(&c.warehouseAddr, "warehouse", "127.0.0.1:8082", "address of the second server")
	flag.DurationVar(&c.every, "every", 100*time.Millisecond, "time between two events")
	flag.DurationVar(&c.report, "report", time.Second, "time between two reports")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(flag.CommandLine.Output(), "unexpected argument:", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fanout:", err)
		os.Exit(1)
	}
}

// run sends events until ctx is done. Each line of in stops the warehouse or starts it.
func run(ctx context.Context, c config, in io.Reader, out io.Writer) (err error) {
	wh, err := openWarehouse(filepath.Join(c.dir, "warehouse"), c.warehouseAddr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, wh.close()) }()
	store, err := journal.Open(filepath.Join(c.dir, "journal"), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close(context.Background())) }()

	destinations, err := deliver(store, filepath.Join(c.dir, "archive.ndjson"), wh.url())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, destinations.close()) }()
	server, err := ingest(store, c.addr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.close()) }()

	fmt.Fprintf(out, "Events are sent to %s and delivered to a file and to %s; all data is in %s.\n", server.url(), wh.url(), c.dir)
	fmt.Fprintf(out, `Press Enter to stop the warehouse, and to start it again; Ctrl-C to quit. Send an event of
your own with the write key %s:

  curl -u %[1]s: -d '{"event":"Signed Up","userId":"user-1"}' %[2]s/v1/track

`, ingestKey, server.url())
	s := shop{url: server.url(), key: ingestKey, client: http.Client{Timeout: 5 * time.Second}}
	watch(ctx, c, &s, destinations, wh, lines(ctx, in), out)
	return destinations.summary(out, &s, wh)
}

// deliveries are the two destinations.
type deliveries struct {
	archive, warehouse *journal.Delivery
	file               *os.File
	upstream           *httpsink.Sink
}

// deliver starts the deliveries of the journal to a file and to a server.
func deliver(store *journal.Journal, archive, url string) (*deliveries, error) {
	file, err := os.OpenFile(archive, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	d := &deliveries{file: file}
	lines, err := sinks.NewNDJSON(file, &sinks.NDJSONOptions{Durability: inlet.DurabilityFsync})
	if err != nil {
		return nil, err
	}
	// AllowHTTP and AllowPrivate are for this machine only.
	d.upstream, err = httpsink.New(url, warehouseKey, &httpsink.Options{
		AllowHTTP: true, AllowPrivate: true, Durability: inlet.DurabilityFsync,
	})
	if err != nil {
		return nil, err
	}
	if d.archive, err = store.Deliver("archive", lines, nil); err != nil {
		return nil, err
	}
	d.warehouse, err = store.Deliver("warehouse", d.upstream, &journal.DeliverOptions{MaxBackoff: 2 * time.Second})
	return d, err
}

// close stops the deliveries, and then closes what they write to.
func (d *deliveries) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(d.archive.Stop(ctx), d.warehouse.Stop(ctx), d.upstream.Close(ctx), d.file.Close())
}
