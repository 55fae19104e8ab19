package journal_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A journal is opened, given to the handler as its sink, and closed last.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	j, err := journal.Open(dir, &journal.Options{SegmentAge: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	err = j.Write(ctx, []*inlet.Event{{
		Type: inlet.TypeTrack, Name: "Order Completed", MessageID: "m1", UserID: "u1",
		ReceivedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Source:     &inlet.Source{ID: "web"},
	}})
	fmt.Println("stored:", err == nil, "durability:", j.Durability())
	if err := j.Close(ctx); err != nil {
		log.Fatal(err)
	}

	lines, err := os.ReadFile(dir + "/00000000000000000001.ndjson")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", lines)
	// Output:
	// stored: true durability: fsync
	// {"type":"track","event":"Order Completed","messageId":"m1","userId":"u1","receivedAt":"2026-01-02T03:04:05Z","sourceId":"web","_seq":"0000000000000001","_c":"8521fc42"}
}

// Events reads back what is stored, for a replay into another sink.
func ExampleJournal_Events() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	j, err := journal.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer j.Close(ctx)
	for _, id := range []string{"m1", "m2", "m3"} {
		event := &inlet.Event{Type: inlet.TypeTrack, Name: "Signed Up", MessageID: id}
		if err := j.Write(ctx, []*inlet.Event{event}); err != nil {
			log.Fatal(err)
		}
	}
	for record, err := range j.Events(ctx, 2) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(record.Seq, record.Event.Name, record.Event.MessageID)
	}
	// Output:
	// 2 Signed Up m2
	// 3 Signed Up m3
}
