package enrichers

import (
	"context"
	"slices"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// BotsOptions configure [Bots]. A nil pointer means all defaults.
type BotsOptions struct {
	// Words mark a user agent as that of a bot, anywhere in it and in any case. Defaults to
	// the words by which crawlers, monitors and headless browsers identify themselves, such
	// as "bot", "crawl" and "headless".
	Words []string
	// Except are words that are removed from a user agent before it is searched, in any case.
	// Defaults to "cubot", a maker of phones.
	Except []string
}

// Default words of [BotsOptions], in lower case.
var (
	botWords = []string{
		"bot", "crawl", "spider", "slurp", "headless", "lighthouse", "phantomjs", "pingdom",
		"uptime", "facebookexternalhit", "preview", "+http://", "+https://",
	}
	notBotWords = []string{"cubot"}
)

// Bots returns an enricher that sets context.bot to true in events whose user agent identifies
// itself as a program. The user agent is the event's own context.userAgent or, if the event has
// none, that of the request's [inlet.Visitor]. No event is dropped, and other values of
// context.bot are left.
//
// It detects bots that identify themselves, and no others.
//
// The error names every field that has an empty word.
func Bots(o *BotsOptions) (inlet.Enricher, error) {
	var words botWordList
	if o != nil {
		words.Words, words.Except = lowered(o.Words), lowered(o.Except)
	}
	if words.Words == nil {
		words.Words = botWords
	}
	if words.Except == nil {
		words.Except = notBotWords
	}
	err := check.Options("enrichers", "BotsOptions", noneEmpty("Words", words.Words), noneEmpty("Except", words.Except))
	if err != nil {
		return nil, err
	}
	return words.enrich, nil
}

// lowered returns the words in lower case; nil for nil.
func lowered(words []string) []string {
	words = slices.Clone(words)
	for i := range words {
		words[i] = strings.ToLower(words[i])
	}
	return words
}

// noneEmpty returns a fault if a word is empty: it would be found in every user agent.
func noneEmpty(field string, words []string) error {
	if i := slices.Index(words, ""); i >= 0 {
		return check.Fault(field, "has an empty word at index %d", i)
	}
	return nil
}

type botWordList struct{ BotsOptions }

func (b botWordList) enrich(ctx context.Context, e *inlet.Event) {
	agent := textMember(e.Context, memberUserAgent)
	if agent == "" {
		agent = inlet.VisitorFromContext(ctx).UserAgent
	}
	if b.isBot(agent) {
		setMember(&e.Context, memberBot, []byte("true"))
	}
}

func (b botWordList) isBot(agent string) bool {
	agent = strings.ToLower(agent[:min(len(agent), maxUserAgentBytes)])
	for _, word := range b.Except {
		agent = strings.ReplaceAll(agent, word, "")
	}
	return slices.ContainsFunc(b.Words, func(word string) bool { return strings.Contains(agent, word) })
}
