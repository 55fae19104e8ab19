// Package keyfile provides an [inlet.Authenticator] whose write keys are in a file that may change
// while the program runs, such as one of a mounted Kubernetes secret.
//
// The file is a JSON object with a list of keys. Each entry has the key, or its hash, and what
// belongs to it: the fields of [inlet.Source].
//
//	{
//		"keys": [
//			{
//				"sha256": "174684d459b9b7822c66809f8fe0a54a3e09aa6a97069ecc42fa778a12cb146d",
//				"source": "website",
//				"origins": ["https://shop.example"]
//			},
//			{"key": "another-key", "source": "backend", "eventRate": 1000}
//		]
//	}
//
// The hash is what this command prints before the space, here for the key "my-write-key":
//
//	printf %s my-write-key | sha256sum
//
// It hides keys that cannot be guessed, such as random ones of 16 characters or more, from
// readers of the file. A key that is a word can be found by trying.
//
// # Members of an entry
//
//	source     the ID of the source; required. Several keys may have the same one, for
//	           example while one key replaces another.
//	key        the write key, or
//	sha256     its hash, in hexadecimal; one of the two is required.
//	disabled   true refuses everything that the key sends, with 403.
//	origins    the origins of the pages that may use the key, if it is in pages.
//	rate, burst, eventRate, byteRate
//	           limits, where the rate limit is by source.
//
// A member that is not listed here, null, or a name that occurs twice is an error: a misspelt
// "origins" must not open a key to every page.
package keyfile
