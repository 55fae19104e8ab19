// Shop is a web shop that ingests its own events: chi has its routes, SQLite its write keys and
// orders, one journal its events, and another one what was refused. Orders are delivered to the
// database and, with -warehouse, all events to another server, such as examples/standalone.
//
//	go run ./examples/shop
//
// It prints a write key and a curl command that sends an event. Ctrl-C stops it.
package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/httpsink"
	"github.com/inlet-go/inlet/sinks/journal"
)

type config struct{ addr, dir, warehouse, warehouseKey string }

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	flag.StringVar(&c.dir, "dir", "shop-data", "`directory` of the database and the journals")
	flag.StringVar(&c.warehouse, "warehouse", "", "`URL` of a server that gets all events (default: none)")
	flag.StringVar(&c.warehouseKey, "warehouse-key", "", "write `key` of that server")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", c.addr)
	if err == nil {
		err = run(ctx, c, listener, os.Stdout)
	}
	if err != nil {
		log.Fatal("shop: ", err)
	}
}

// run serves the shop until ctx is done, and then closes what it has opened.
func run(ctx context.Context, c config, listener net.Listener, stdout io.Writer) (err error) {
	rejects, err := journal.Open(filepath.Join(c.dir, "rejects"), &journal.Options{RetainBytes: 1 << 30})
	if err != nil {
		return err
	}
	defer end(&err, rejects.Close)
	db, err := openDB(filepath.Join(c.dir, "shop.db"))
	if err != nil {
		return err
	}
	defer end(&err, func(context.Context) error { return db.Close() })
	events, err := journal.Open(filepath.Join(c.dir, "events"), nil)
	if err != nil {
		return err
	}
	defer end(&err, events.Close)
	if err := deliver(events, db, c); err != nil {
		return err
	}
	api, err := inlet.New(events, &inlet.Options{
		Validators: []inlet.Validator{complete},
		Enrichers:  []inlet.Enricher{withCurrency},
		Rejects:    rejects,
	})
	if err != nil {
		return err
	}
	defer end(&err, api.Shutdown)
	router := chi.NewRouter()
	router.Get("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Welcome to the shop.") })
	router.Handle("/ready", api.Ready())
	router.Mount("/t", middleware.Standard(keys{db}, &middleware.StandardOptions{
		Prefix:    "/t",
		Origins:   []string{"https://shop.example"},
		PerIP:     middleware.Rate{Events: 50, Burst: 100},
		PerSource: middleware.Rate{Events: 500, Burst: 1000},
	})(api))
	server := inlet.Harden(&http.Server{Handler: router})
	defer end(&err, server.Shutdown)
	fmt.Fprintf(stdout, `The shop is at http://%s/. Send it an order with the write key %s:

  curl -u %[2]s: -d '{"event":"%[3]s","userId":"user-1","properties":{"order_id":"1","total":49.90}}' http://%[1]s/t/v1/track

`, listener.Addr(), trialKey, orderCompleted)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	return err
}

// end calls a function that closes something, and adds its error to another one.
func end(err *error, f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	*err = errors.Join(*err, f(ctx))
}

// deliver has the journal feed two destinations, each at its own pace.
func deliver(events *journal.Journal, db *sql.DB, c config) error {
	_, err := events.Deliver("orders", orders{db}, &journal.DeliverOptions{Filter: isOrder})
	if err != nil || c.warehouse == "" {
		return err
	}
	warehouse, err := httpsink.New(c.warehouse, c.warehouseKey, &httpsink.Options{AllowHTTP: true, AllowPrivate: true})
	if err != nil {
		return err
	}
	_, err = events.Deliver("warehouse", warehouse, nil)
	return err
}

const (
	trialKey       = "shop-key"
	orderCompleted = "Order Completed"
	schema         = `
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, user TEXT NOT NULL, properties TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (sha256 BLOB PRIMARY KEY, source TEXT NOT NULL, disabled BOOL NOT NULL);
INSERT INTO keys SELECT x'44cfdcdd88354fa1412781f5a01a901c9112db33bfa8b165fbec9b618d9cf112', 'website', FALSE WHERE NOT EXISTS (SELECT 1 FROM keys);`
)

func openDB(file string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(5000)")
	if err == nil {
		_, err = db.Exec(schema)
	}
	return db, err
}

// keys is an inlet.Authenticator of the write keys whose hashes are in the database.
type keys struct{ db *sql.DB }

func (k keys) Authenticate(ctx context.Context, c inlet.Credentials) (*inlet.Source, error) {
	source, hash := new(inlet.Source), sha256.Sum256([]byte(c.Key))
	row := k.db.QueryRowContext(ctx, `SELECT source, disabled FROM keys WHERE sha256 = ?`, hash[:])
	err := row.Scan(&source.ID, &source.Disabled)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, inlet.ErrUnknownKey
	}
	return source, err
}

func isOrder(e *inlet.Event) bool { return e.Type == inlet.TypeTrack && e.Name == orderCompleted }

// complete is a validator: an order that cannot be booked is refused.
func complete(e *inlet.Event) *inlet.Problem {
	var id string
	value, _ := e.Get("properties.order_id")
	if isOrder(e) && (json.Unmarshal(value, &id) != nil || id == "" || strings.Contains(id, "\x00")) { // SQL ends text there
		return &inlet.Problem{Code: "order_id_required", Message: "an order has an id", Field: "properties.order_id"}
	}
	return nil
}

// withCurrency is an enricher: the shop's first app does not send the currency.
func withCurrency(_ context.Context, e *inlet.Event) {
	if _, ok := e.Get("properties.currency"); isOrder(e) && !ok {
		_ = e.Set("properties.currency", "EUR") // cannot fail: properties is an object
	}
}

// orders is an inlet.Sink that books each order once, however often it comes.
type orders struct{ db *sql.DB }

func (o orders) Write(ctx context.Context, events []*inlet.Event) (err error) {
	const book = `INSERT INTO orders VALUES (?1 ->> 'order_id', ?2, ?1) ON CONFLICT DO NOTHING`
	for i := 0; i < len(events) && err == nil; i++ {
		_, err = o.db.ExecContext(ctx, book, string(events[i].Properties), events[i].UserID)
	}
	return err
}
