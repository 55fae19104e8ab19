package kafkasink_test

import (
	"context"
	"crypto/tls"
	"log"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinks/kafkasink"
)

func ExampleNew() {
	ctx := context.Background()
	sink, err := kafkasink.New(ctx, "kafka-1.example:9092,kafka-2.example:9092", &kafkasink.Options{
		Topic:      "events",
		Durability: inlet.DurabilityReplicated, // New fails if the brokers promise less
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sink.Close(ctx)
	// sink is that of the handler: a 200 means that the event is replicated.
}

func ExampleNew_journal() {
	ctx := context.Background()
	sink, err := kafkasink.New(ctx, "kafka-1.example:9092,kafka-2.example:9092", &kafkasink.Options{Topic: "events"})
	if err != nil {
		log.Fatal(err)
	}
	defer sink.Close(ctx)

	stored, err := journal.Open("inlet-data", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer stored.Close(ctx)
	if _, err := stored.Deliver("kafka", sink, &journal.DeliverOptions{
		MinEvents: 500, MaxDelay: 200 * time.Millisecond,
	}); err != nil {
		log.Fatal(err)
	}
	// stored is the sink of the handler: a 200 does not depend on the brokers.
}

func ExampleNew_security() {
	ctx := context.Background()
	user := scram.Auth{User: "inlet", Pass: os.Getenv("KAFKA_PASSWORD")}
	sink, err := kafkasink.New(ctx, "kafka-1.example:9093", &kafkasink.Options{
		Client: []kgo.Opt{
			kgo.DialTLSConfig(&tls.Config{ServerName: "kafka.example"}),
			kgo.SASL(user.AsSha512Mechanism()),
			kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sink.Close(ctx)
}
