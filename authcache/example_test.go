package authcache_test

import (
	"context"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
)

// Keys in a database are looked up once a minute, and stay valid while it is down.
func ExampleNew() {
	inDatabase := func(_ context.Context, c inlet.Credentials) (*inlet.Source, error) {
		// SELECT source_id FROM keys WHERE digest = sha256(c.Key)
		fmt.Println("looking up a key")
		if c.Key != "ILoveData123" {
			return nil, inlet.ErrUnknownKey
		}
		return &inlet.Source{ID: "web"}, nil
	}
	cache, err := authcache.New(inlet.AuthenticatorFunc(inDatabase), &authcache.Options{TTL: time.Minute, Timeout: time.Second})
	if err != nil {
		panic(err)
	}
	for range 3 {
		source, err := cache.Authenticate(context.Background(), inlet.Credentials{Key: "ILoveData123"})
		fmt.Println(source.ID, err)
	}
	// Output:
	// looking up a key
	// web <nil>
	// web <nil>
	// web <nil>
}
