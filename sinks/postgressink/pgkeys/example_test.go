package pgkeys_test

import (
	"context"
	"log"
	"net/http"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks/postgressink/pgkeys"
)

func ExampleNew() {
	keys, err := pgkeys.New(context.Background(), "postgres://inlet@db.example/events", &pgkeys.Options{Migrate: true})
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close()

	var api *inlet.Handler
	layers := middleware.Standard(keys, &middleware.StandardOptions{SourceOrigins: true})
	http.Handle("/v1/", layers(api))
}
