package bench

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"
)

const seed = 0x496e6c6574

// A payload makes the values of the index-th payload of a pool.
type payload struct {
	at    time.Time
	index uint64
}

// fill replaces every ${name} in form by its value.
func (p payload) fill(form string) []byte { return []byte(os.Expand(form, p.value)) }

// value returns the value of a name, which is a kind and, behind a colon, a
// label that tells values of a kind apart. It depends on nothing but the name
// and the payload, so that two forms of one event hold the same values. What it
// returns stands in JSON as it is.
func (p payload) value(name string) string {
	kind, _, _ := strings.Cut(name, ":")
	r := rand.New(rand.NewPCG(seed+p.index, hash(name)))
	if list, ok := texts(kind); ok {
		return list[r.IntN(len(list))]
	}
	switch kind {
	case "key":
		return WriteKey
	case "id":
		return uuid(r)
	case "time", "sent":
		return p.moment(kind).Format("2006-01-02T15:04:05.000Z")
	case "ms":
		return strconv.FormatInt(p.moment("time").UnixMilli(), 10)
	case "user":
		return optionalUser(r)
	case "path":
		return path(r)
	case "query":
		return query(r)
	}
	return number(kind, r)
}

// number returns a value that is, or ends in, a number.
func number(kind string, r *rand.Rand) string {
	switch kind {
	case "sku":
		return fmt.Sprintf("SKU-%05d", r.IntN(100_000))
	case "price":
		return fmt.Sprintf("%d.%d", 1+r.IntN(999), 1+r.IntN(9))
	case "number":
		return strconv.Itoa(100_000 + r.IntN(900_000))
	case "major", "age":
		return strconv.Itoa(10 + r.IntN(90))
	case "digit":
		return strconv.Itoa(1 + r.IntN(9))
	case "bool":
		return strconv.FormatBool(r.IntN(2) == 0)
	}
	panic("bench: no value is called " + kind)
}

// moment is when the payload happened ("time") or was sent ("sent"), within two
// seconds before the corpus's own time.
func (p payload) moment(kind string) time.Time {
	at := p.at.Add(-time.Duration(p.index%1000) * time.Millisecond)
	if kind == "time" {
		return at.Add(-437 * time.Millisecond)
	}
	return at
}

func optionalUser(r *rand.Rand) string {
	if r.IntN(2) == 0 {
		return ""
	}
	return `"userId":"user-` + number("number", r) + `",`
}

func path(r *rand.Rand) string {
	words, _ := texts("word")
	return fmt.Sprintf("/%s/%s-%d", words[r.IntN(len(words))], words[r.IntN(len(words))], r.IntN(1000))
}

// query returns a query string with the characters that HTML and JSON disagree
// about.
func query(r *rand.Rand) string {
	words, _ := texts("word")
	return fmt.Sprintf("?utm_source=%s&utm_medium=email&q=<%s>&n=%d", words[r.IntN(len(words))], words[r.IntN(len(words))], r.IntN(1000))
}

func uuid(r *rand.Rand) string {
	hi, lo := r.Uint64(), r.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", hi>>32, hi>>16&0xffff, hi&0xfff, lo>>48&0xfff, lo&0xffffffffffff)
}

func hash(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}

// texts returns the values that a kind of text is chosen from.
func texts(kind string) (list []string, ok bool) {
	switch kind {
	case "word":
		list = []string{"summer", "winter", "shoes", "garden", "kitchen", "books", "travel", "music", "office", "bicycle", "camping", "lamps"}
	case "event":
		list = []string{"Product Viewed", "Product Added", "Order Completed", "Cart Viewed", "Checkout Started", "Coupon Applied"}
	case "title":
		list = []string{"Summer sale & more", "Shoes <new> in store", "Garden tools", "Books & music", "Travel in winter"}
	case "text":
		list = []string{"Long evenings outside", "Kuchyně a koupelna", "Straße 12, Köln", "Everything for camping", "Žluťoučký kůň"}
	case "name":
		list = []string{"Jiří", "Zoë", "Renée", "Søren", "Anna", "Peter", "Łukasz", "María", "Björk", "Thomas"}
	case "escaped":
		list = []string{`says \"hello\" twice`, `first line\nsecond line`, `a\\b\tc \u00e9 \u2713`, `emoji \ud83d\ude00 here`, `tabs\tand / slashes \/`}
	case "host":
		list = []string{"shop.example", "www.shop.example", "store.example.com"}
	case "locale":
		list = []string{"en-US", "cs-CZ", "de-DE", "fr-FR"}
	case "agent":
		list = []string{
			"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
			"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
			"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0",
		}
	}
	return list, list != nil
}
