package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/server"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

func eraseCommand() command {
	return command{
		name: "erase", summary: "remove everything that is stored of a person",
		about: `Removes the events of a person from the directory of a journal: those with the userId, those with one
of the anonymousIds that are given, and aliases from or to these ids. It cleans events, dead letters,
refused events, violations of a tracking plan and quarantine, and says what destinations have already
received: they have to be asked. Other events keep their numbers. Stop the server first: while it
runs, the directory is in use. After an interruption, or a crash, nothing else is lost; call it
again.`,
		example: "inlet erase -user user-1 -anonymous 9a1f7c52-63e5-4f7f-b3c6-2b6b3b0f1a77",
		run:     eraseFlags,
	}
}

// eraseOptions are the values of the flags.
type eraseOptions struct {
	dir, user string
	anonymous []string
	damaged   bool

	seen map[string]bool // anonymous ids of erased events that were not given
}

func eraseFlags(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
	o := &eraseOptions{seen: map[string]bool{}}
	addDir(f, &o.dir)
	f.StringVar(&o.user, "user", "", "the `id` of the person: a userId")
	f.Var(listFlag(func(id string) error {
		if id == "" {
			return errors.New("must not be empty")
		}
		o.anonymous = append(o.anonymous, id)
		return nil
	}), "anonymous", "an anonymousId of the person, all of whose events are erased, too; repeat it for\nmore")
	f.BoolVar(&o.damaged, "damaged", false, "erase all damaged lines, too, not only those that contain an id")
	return o.erase
}

func (o *eraseOptions) erase(_ context.Context, stdout, stderr io.Writer) error {
	if o.user == "" && len(o.anonymous) == 0 {
		return errUsage("-user or -anonymous is missing")
	}
	if err := requireDir(o.dir); err != nil {
		return err
	}
	ctx := server.UntilSignal(os.Interrupt, syscall.SIGTERM)
	options := &journal.EraseOptions{
		Damaged: o.damaged, Logger: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	for _, id := range o.ids() {
		options.Texts = append(options.Texts, texts(id)...)
	}
	done, err := journal.Erase(ctx, o.dir, o.isOf, options)
	if errors.Is(err, journal.ErrLocked) {
		return fmt.Errorf("%w: stop the server first", err)
	}
	rejects, violations := new(journal.Erasure), new(journal.Erasure)
	if err == nil {
		rejects, err = o.eraseLetters(ctx, server.RejectsDir, options)
	}
	if err == nil {
		violations, err = o.eraseLetters(ctx, server.ViolationsDir, options)
	}
	o.print(stdout, done, rejects, violations) // what was done before an error, too
	return err
}

// eraseLetters erases what the server has refused, or what its plan has quarantined, if it keeps
// that.
func (o *eraseOptions) eraseLetters(ctx context.Context, name string, options *journal.EraseOptions) (*journal.Erasure, error) {
	dir := filepath.Join(o.dir, name)
	if err := requireDir(dir); errors.Is(err, os.ErrNotExist) {
		return new(journal.Erasure), nil
	}
	return journal.Erase(ctx, dir, o.isOf, options)
}

func (o *eraseOptions) ids() []string {
	if o.user == "" {
		return o.anonymous
	}
	return append([]string{o.user}, o.anonymous...)
}

// isOf reports whether an event is of the person. Of one that the server could not read, there is
// only the text.
func (o *eraseOptions) isOf(e *inlet.Event) bool {
	isUser := o.user != "" && (e.UserID == o.user || e.PreviousID == o.user)
	isDevice := slices.Contains(o.anonymous, e.AnonymousID) || slices.Contains(o.anonymous, e.PreviousID)
	if isUser && !isDevice && e.AnonymousID != "" {
		o.seen[e.AnonymousID] = true
	}
	if isUser || isDevice {
		return true
	}
	reason, ok := sinks.RefusalOf(e)
	return ok && slices.ContainsFunc(o.ids(), func(id string) bool { return mentions(reason.Received, id) })
}

// mentions reports whether a text that cannot be read as an event has the id, and not only as a
// part of a longer one.
func mentions(text, id string) bool {
	return slices.ContainsFunc(texts(id), func(form string) bool {
		for before := 0; ; before++ {
			i := strings.Index(text[before:], form)
			if i < 0 {
				return false
			}
			before += i
			after := before + len(form)
			if !(isOfID(form[0]) && endsInID(text[:before])) && !(isOfID(form[len(form)-1]) && beginsInID(text[after:])) {
				return true
			}
		}
	})
}

// isOfID reports whether an id may go on with c: a letter, a digit, or what joins them.
func isOfID(c byte) bool {
	return c >= 0x80 || c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// endsInID and beginsInID report whether an id may go on before text ends or after it begins. In a
// URL and in JSON, the character there may be an escape.
func endsInID(text string) bool {
	n := len(text)
	for _, width := range []int{len(`%00`), len(`\u0000`), len(`\n`)} {
		if n >= width {
			if of, ok := escapeOfID(text[n-width:]); ok {
				return of
			}
		}
	}
	return n > 0 && isOfID(text[n-1])
}

func beginsInID(text string) bool {
	for _, width := range []int{len(`%00`), len(`\u0000`)} {
		if len(text) >= width {
			if of, ok := escapeOfID(text[:width]); ok {
				return of
			}
		}
	}
	return text != "" && isOfID(text[0])
}

// escapeOfID reports whether an escape is of a character of which an id may consist, and false if
// text is no escape.
func escapeOfID(text string) (of, ok bool) {
	digits, ok := strings.CutPrefix(text, "%")
	if !ok {
		digits, ok = strings.CutPrefix(text, `\u`)
	}
	if !ok {
		letter, ok := strings.CutPrefix(text, `\`)
		return false, ok && len(letter) == 1 && strings.Contains("bfnrt", letter)
	}
	c, err := strconv.ParseUint(digits, 16, 16)
	return err == nil && isOfID(byte(min(c, 0x80))), err == nil
}

// minText is how long an id must be to be looked for in the midst of other text.
const minText = 6

// texts returns what shows that an id is in a text which cannot be read as an event: the id as it
// is, in JSON, and in a URL. A short one, which may be a part of anything, has to be in quotes.
func texts(id string) []string {
	var quoted bytes.Buffer
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	_ = e.Encode(id) // a string can be
	inJSON := strings.TrimSpace(quoted.String())
	if len(id) < minText {
		return []string{inJSON}
	}
	all := []string{id, strings.Trim(inJSON, `"`), url.QueryEscape(id)}
	slices.Sort(all)
	return slices.Compact(all)
}

func (o *eraseOptions) print(w io.Writer, done, rejects, violations *journal.Erasure) {
	line := func(columns ...string) { fmt.Fprintf(w, "%s\n", appendColumns(nil, columns)) }
	line("erased events", number(done.Events))
	line("erased dead letters", number(done.Letters))
	line("erased refused events", number(rejects.Events))
	line("erased violations", number(violations.Events+violations.Letters))
	line("erased from quarantine", number(done.Quarantined+rejects.Quarantined+violations.Quarantined))
	line("erased damaged lines", number(done.Damaged+rejects.Damaged+violations.Damaged))
	line("unreadable lines left", number(done.Unreadable+rejects.Unreadable+violations.Unreadable))
	for _, d := range done.Destinations {
		line("destination", d.Name, "received", number(d.Received), "pending", number(d.Pending), "dead letters", number(d.Letters))
	}
	for _, name := range done.Unchecked {
		line("unchecked", name)
	}
	for _, name := range rejects.Unchecked {
		line("unchecked", server.RejectsDir+"/"+name)
	}
	for _, name := range violations.Unchecked {
		line("unchecked", server.ViolationsDir+"/"+name)
	}
	for _, id := range slices.Sorted(maps.Keys(o.seen)) {
		line("anonymous id", id)
	}
}
