package keyfile_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/keyfile"
)

// The keys of a file, one of which is revoked while the program runs. An [inlet.Authenticator] is
// what middleware.Auth needs.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "keys.json")
	save := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
	save(`{"keys": [
		{"sha256": "174684d459b9b7822c66809f8fe0a54a3e09aa6a97069ecc42fa778a12cb146d", "source": "website"},
		{"key": "another-key", "source": "backend"}
	]}`)
	keys, err := keyfile.Open(path, nil)
	if err != nil {
		panic(err)
	}
	defer func() { _ = keys.Close() }()
	try := func() {
		for _, key := range []string{"my-write-key", "another-key"} {
			source, err := keys.Authenticate(context.Background(), inlet.Credentials{Key: key})
			if err != nil {
				fmt.Println(err)
				continue
			}
			fmt.Println(source.ID)
		}
	}
	try()

	save(`{"keys": [{"key": "another-key", "source": "backend"}]}`)
	if err := keys.Reload(); err != nil { // or within a second by itself
		panic(err)
	}
	try()
	// Output:
	// website
	// backend
	// unknown_key: the write key is not known
	// backend
}
