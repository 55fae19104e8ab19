package enrichers

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/wire"
)

// UserAgentOptions configure [UserAgent]. Nil is all defaults.
type UserAgentOptions struct {
	// Sources are the IDs of the sources whose requests come from the users
	// themselves. Defaults to those that are bound to origins: the User-Agent of
	// another server's request names a library.
	Sources []string
}

// longestAgent bounds a user agent that is filled in, in bytes.
const longestAgent = 1024

// UserAgent returns an enricher that fills in context.userAgent where the
// client sent none, with the User-Agent that the request's [inlet.Visitor] has: up to
// 1,024 bytes of it. middleware.Identity leaves one.
func UserAgent(o *UserAgentOptions) (inlet.Enricher, error) {
	takes := func(s *inlet.Source) bool { return len(s.Origins) > 0 }
	if o != nil && o.Sources != nil {
		ids := slices.Clone(o.Sources)
		takes = func(s *inlet.Source) bool { return slices.Contains(ids, s.ID) }
	}
	return func(ctx context.Context, e *inlet.Event) {
		agent := inlet.VisitorFromContext(ctx).UserAgent
		if agent == "" || !takes(e.Source) || textMember(e.Context, memberUserAgent) != "" {
			return
		}
		setRaw(&e.Context, memberUserAgent, wire.AppendString(nil, agent[:min(len(agent), longestAgent)]))
	}, nil
}

// BotsOptions configure [Bots]. Nil is all defaults.
type BotsOptions struct {
	// Words mark a user agent as a bot's, wherever they stand in it, without
	// regard to case. Defaults to those that crawlers, monitors and headless
	// browsers name themselves by, such as "bot", "crawl" and "headless".
	Words []string
	// Except are words that are taken out of a user agent before it is searched.
	// Defaults to "cubot", the maker of a telephone.
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

// Bots returns an enricher that sets context.bot to true for events whose
// user agent says that it is a program: the event's own context.userAgent or, if
// it has none, that of the request's [inlet.Visitor]. Nothing is dropped, and what else
// stands in context.bot is left.
//
// It finds bots that say so, and no others. The error names the field that has an
// empty word.
func Bots(o *BotsOptions) (inlet.Enricher, error) {
	var words botFinder
	if o != nil {
		words.Words, words.Except = lowered(o.Words), lowered(o.Except)
	}
	if words.Words == nil {
		words.Words = botWords
	}
	if words.Except == nil {
		words.Except = notBotWords
	}
	switch {
	case slices.Contains(words.Words, ""):
		return nil, errors.New("enrichers: BotsOptions: Words has an empty word")
	case slices.Contains(words.Except, ""):
		return nil, errors.New("enrichers: BotsOptions: Except has an empty word")
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

type botFinder struct{ BotsOptions }

func (b botFinder) enrich(ctx context.Context, e *inlet.Event) {
	agent := textMember(e.Context, memberUserAgent)
	if agent == "" {
		agent = inlet.VisitorFromContext(ctx).UserAgent
	}
	if b.isBot(agent) {
		setRaw(&e.Context, memberBot, []byte("true"))
	}
}

func (b botFinder) isBot(agent string) bool {
	agent = strings.ToLower(agent[:min(len(agent), longestAgent)])
	for _, word := range b.Except {
		agent = strings.ReplaceAll(agent, word, "")
	}
	return slices.ContainsFunc(b.Words, func(word string) bool { return strings.Contains(agent, word) })
}
