package postgressink_test

import (
	"context"
	"log"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinks/postgressink"
)

func ExampleNew() {
	ctx := context.Background()
	sink, err := postgressink.New(ctx, "postgres://inlet@db.example/events", &postgressink.Options{Migrate: true})
	if err != nil {
		log.Fatal(err)
	}
	defer sink.Close(ctx)

	stored, err := journal.Open("inlet-data", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer stored.Close(ctx)
	if _, err := stored.Deliver("postgres", sink, &journal.DeliverOptions{
		MinEvents: 500, MaxDelay: 200 * time.Millisecond,
	}); err != nil {
		log.Fatal(err)
	}
	// stored is the sink of the handler: a 200 does not depend on the database.
}

func ExampleNewTables() {
	ctx := context.Background()
	sink, err := postgressink.NewTables(ctx, "postgres://inlet@db.example/events", &postgressink.TablesOptions{Migrate: true})
	if err != nil {
		log.Fatal(err)
	}
	defer sink.Close(ctx)
	// Deliver to it from the journal, as to the sink of New. Afterwards:
	//
	//	SELECT order_id, total FROM inlet.order_completed
}

func ExampleSink_WriteTx() {
	ctx := context.Background()
	var (
		sink *postgressink.Sink
		tx   pgx.Tx
	)
	// The order and its event are committed together, or not at all.
	if _, err := tx.Exec(ctx, "INSERT INTO orders (id) VALUES ($1)", 7); err != nil {
		log.Fatal(err)
	}
	if err := sink.WriteTx(ctx, tx, &inlet.Event{
		Type: inlet.TypeTrack, Name: "Order Completed", MessageID: "order-7", UserID: "user-1",
		ReceivedAt: time.Now(), Source: &inlet.Source{ID: "shop"},
	}); err != nil {
		log.Fatal(err)
	}
	if err := tx.Commit(ctx); err != nil {
		log.Fatal(err)
	}
}
