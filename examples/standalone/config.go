package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode"
)

// config is the values of the flags.
type config struct {
	addr     string
	dir      string
	keys     []string // none: one is generated and kept
	origins  []string
	rate     float64
	memory   int64 // bytes that all requests may use together; 0 is the default
	logLevel slog.Level
}

// parseFlags ends the process if args are not valid.
func parseFlags(args []string) config {
	c := config{origins: []string{"*"}}
	f := flag.NewFlagSet("standalone", flag.ExitOnError)
	f.StringVar(&c.addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	f.StringVar(&c.dir, "dir", "./inlet-data", "`directory` of the events")
	f.Func("key", "a write `key` to accept; repeat it for more (default: one that is generated at\nthe first start and kept in the directory)", c.addKey)
	f.Func("origins", "comma-separated `list` of the web origins that may send events, such as\nhttps://shop.example (default *, without credentials)", c.setOrigins)
	f.Func("rate", "`number` of requests per second that each key may make, 0 for no limit (default 0)", c.setRate)
	f.Func("memory", "`MiB` that the bodies of all requests may use together, at least 16 (default 256)", c.setMemory)
	f.TextVar(&c.logLevel, "log-level", slog.LevelInfo, "minimum `level` to log: debug, info, warn or error")
	_ = f.Parse(args)
	if f.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unexpected argument: %s\n", f.Arg(0))
		f.Usage()
		os.Exit(2)
	}
	return c
}

// maxKeyLength is the longest key that the API accepts as Basic credentials.
const maxKeyLength = 255

func (c *config) addKey(key string) error {
	if key == "" || len(key) > maxKeyLength || strings.ContainsFunc(key, isBlank) {
		return fmt.Errorf("a key must have 1 to %d bytes, and no white space", maxKeyLength)
	}
	c.keys = append(c.keys, key)
	return nil
}

func isBlank(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

func (c *config) setOrigins(list string) error {
	if list == "*" {
		c.origins = []string{"*"}
		return nil
	}
	c.origins = nil
	for origin := range strings.SplitSeq(list, ",") {
		origin = strings.TrimSuffix(strings.TrimSpace(origin), "/")
		if !isOrigin(origin) {
			return fmt.Errorf("%q is not an origin, such as https://shop.example", origin)
		}
		c.origins = append(c.origins, origin)
	}
	return nil
}

// isOrigin reports whether a browser may send s as an origin. A typing error would match no page.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != "" && u.Scheme+"://"+u.Host == s
}

func (c *config) setRate(text string) (err error) {
	c.rate, err = strconv.ParseFloat(text, 64)
	if err != nil || c.rate < 0 || math.IsNaN(c.rate) || c.rate > 1e9 {
		return errors.New("must be a number from 0 to 1e9")
	}
	return nil
}

// minMemory is the least that the API accepts, in MiB, with its other limits at their defaults.
const minMemory = 16

func (c *config) setMemory(text string) error {
	mib, err := strconv.ParseInt(text, 10, 64)
	if err != nil || mib < minMemory || mib > 1<<20 {
		return fmt.Errorf("must be a whole number from %d to %d", minMemory, 1<<20)
	}
	c.memory = mib << 20
	return nil
}
