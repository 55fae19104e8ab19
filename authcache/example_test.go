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

// A key is revoked where keys are administered, which tells the cache.
func ExampleCache_Forget() {
	keys := map[string]*inlet.Source{"ILoveData123": {ID: "web"}}
	cache, err := authcache.New(inlet.AuthenticatorFunc(func(_ context.Context, c inlet.Credentials) (*inlet.Source, error) {
		if source := keys[c.Key]; source != nil {
			return source, nil
		}
		return nil, inlet.ErrUnknownKey
	}), nil)
	if err != nil {
		panic(err)
	}
	try := func() {
		_, err := cache.Authenticate(context.Background(), inlet.Credentials{Key: "ILoveData123"})
		fmt.Println(err == nil)
	}
	try()
	delete(keys, "ILoveData123")
	try()
	cache.Forget("ILoveData123")
	try()
	// Output:
	// true
	// true
	// false
}

func ExampleCache_Stats() {
	cache, err := authcache.New(inlet.MustKeys(map[string]inlet.Source{"ILoveData123": {ID: "web"}}), nil)
	if err != nil {
		panic(err)
	}
	for _, key := range []string{"ILoveData123", "ILoveData123", "guessed"} {
		_, _ = cache.Authenticate(context.Background(), inlet.Credentials{Key: key})
	}
	fmt.Printf("%+v\n", cache.Stats())
	// Output: {Known:1 Refused:1 InFlight:0 Hits:1 Lookups:2 Failed:0 Stale:0}
}
