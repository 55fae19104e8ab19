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

// This file makes payloads. A form is a payload with ${kind} or ${kind:label} where a value
// belongs; see [payload.value]. A name means the same value wherever it occurs in a
// payload, like the address of a page in a real one.

const seed = 0x496e6c6574

// A payload makes the values of the index-th payload of a pool.
type payload struct {
	at    time.Time
	index uint64
}

// expand replaces every ${name} in form by its value.
func (p payload) expand(form string) []byte { return []byte(os.Expand(form, p.value)) }

// value returns the value of a name, which is a kind and, after a colon, a label that
// distinguishes values of a kind. It depends only on the name and the payload, so that two
// forms of one event have the same values. The value is inserted into JSON unchanged.
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
	panic("bench: unknown kind of value: " + kind)
}

// moment returns when the payload happened ("time") or was sent ("sent"), within two
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

// query returns a query string with characters that some JSON encoders escape for HTML.
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

const browserPage = `"page":{"path":"${path}","referrer":"https://www.example.com/","search":"${query}","title":"${title}","url":"https://${host}${path}${query}"}`

const trackForm = `{"timestamp":"${time}","integrations":{},"type":"track","event":"${event}",` +
	`"properties":{"sku":"${sku}","price":${price},"quantity":${digit},"currency":"EUR"},` +
	`"context":{` + browserPage + `,"locale":"${locale}","library":{"name":"analytics.js","version":"next-1.84.3"}},` +
	`"anonymousId":"${id:anonymous}",${user}"messageId":"ajs-next-${id:message}","writeKey":"${key}","sentAt":"${sent}"}`

const pageForm = `{"timestamp":"${time}","integrations":{},"type":"page","name":"${word}","category":"${word:category}",` +
	`"properties":{"path":"${path}","referrer":"https://www.example.com/","search":"${query}","title":"${title}","url":"https://${host}${path}${query}"},` +
	`"context":{` + browserPage + `,"userAgent":"${agent}",` +
	`"userAgentData":{"brands":[{"brand":"Chromium","version":"${major}"},{"brand":"Not)A;Brand","version":"8"}],"mobile":${bool},"platform":"Linux"},` +
	`"screen":{"width":1920,"height":1080},"locale":"${locale}","library":{"name":"analytics.js","version":"next-1.84.3"},` +
	`"campaign":{"source":"${word:source}","medium":"email","name":"${text}"}},` +
	`"anonymousId":"${id:anonymous}",${user}"messageId":"ajs-next-${id:message}","writeKey":"${key}","sentAt":"${sent}",` +
	`"_metadata":{"bundled":["Segment.io"],"unbundled":[],"bundledIds":[]}}`

const identifyForm = `{"timestamp":"${time}","integrations":{"All":true},"type":"identify","userId":"user-${number}",` +
	`"traits":{"email":"${word}.${number}@example.com","firstName":"${name}","lastName":"${name:last}","name":"${name} ${name:last}","title":"${word:title}",` +
	`"phone":"+42060${number:phone}","birthday":"1984-0${digit}-1${digit:day}","gender":"${word:gender}","language":"${locale}","age":${age},"verified":${bool},` +
	`"newsletter":${bool:news},"createdAt":"${time}","lastSeen":"${sent}","plan":"${word:plan}","orders":${digit:orders},"revenue":${price},"currency":"CZK",` +
	`"score":0.${number:score},"referrer":null,"bio":"${escaped}","note":"${escaped:note}","avatar":"https://${host}/a?u=${number}&s=64","website":"https://${host}${path}",` +
	`"tags":["${word:t1}","${word:t2}"],"cohort":"2026-${digit:cohort}","segment":"${word:segment}","username":"${word}${digit}",` +
	`"address":{"street":"${text}","city":"${name:city}","postalCode":"${age}0 00","country":"CZ"},` +
	`"company":{"id":${number:company},"name":"${text:company}","industry":"${word:industry}","employees":${number:employees},"plan":"${word:companyplan}"}},` +
	`"context":{"ip":"192.0.2.${age}","userAgent":"${agent}","locale":"${locale}","library":{"name":"analytics.js","version":"next-1.84.3"}},` +
	`"anonymousId":"${id:anonymous}","messageId":"ajs-next-${id:message}","writeKey":"${key}","sentAt":"${sent}",` +
	`"_metadata":{"bundled":["Segment.io"],"unbundled":[],"bundledIds":[]}}`

const segStreamForm = `{"hitId":"${id:message}","sentAt":"${time}",` +
	`"event":{"name":"Completed Transaction","category":"Ecommerce","user":{"anonymousId":"${id:anonymous}","userId":"user-${number}"},` +
	`"transaction":{"orderId":"${sku}","total":${price},"currency":"EUR"}},` +
	`"context":{"page":{"path":"${path}","search":"${query}","title":"${title}"},"screenWidth":1920},` +
	`"integrations":{"Google Analytics":{"clientId":"${number}.${number:client}"}}}`

// The members that both forms of a Commanders Act event share.
const (
	caData = `"value":${price},"currency":"EUR","url":"https://${host}${path}${query}","title":"${title}",` +
		`"items":[{"id":"${sku}","quantity":${digit},"variant":"${word}","product":{"id":"${sku}","name":"${text}","price":${price}}},` +
		`{"id":"${sku:b}","quantity":${digit:b},"variant":"${word:b}","product":{"id":"${sku:b}","name":"${text:b}","price":${price:b}}}],` +
		`"user":{"id":"${number}","email":"${word}@example.com","consent_categories":["1","3"]}`
	caMeta = `"event_id":"${id:message}","event_timestamp":${ms},` +
		`"page":{"title":"${title}","url":"https://${host}${path}${query}","lang":"${locale}","referrer":"https://www.example.com/","viewport":{"width":1280,"height":720}},` +
		`"device":{"user_agent":"${agent}","ip":"192.0.2.${age}","lang":"${locale}","cookie":"_fbp=fb.1.${ms}.${number}; _ga=GA1.2.${number:ga}"}`
	caV1Form = `{"event_name":"purchase",` + caMeta + `,"properties":{` + caData + `}}`
	caV2Form = `{"event_name":"purchase",` + caData + `,"context":{` + caMeta + `,"version":2}}`
)
