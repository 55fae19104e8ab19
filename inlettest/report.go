package inlettest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/inlet-go/inlet"
)

// What a report shows of a test that received much.
const (
	maxShown      = 10
	maxEventBytes = 2000
	maxValueBytes = 200
)

// report returns the text of a failure: what is wrong, then what was received, the nearest to
// w first, or, without one, the first received first.
func (s *Server) report(fault string, w *wanted) string {
	var b strings.Builder
	fmt.Fprintf(&b, "inlettest: %s\n", fault)
	events := s.Events()
	if w != nil {
		slices.SortStableFunc(events, func(x, y *inlet.Event) int { return compareDistances(w.distance(x), w.distance(y)) })
	}
	switch {
	case len(events) == 0:
		b.WriteString("no event was received\n")
	case w != nil && len(events) > 1:
		fmt.Fprintf(&b, "received %s, the nearest first:\n", count(len(events), "event"))
	default:
		fmt.Fprintf(&b, "received %s:\n", count(len(events), "event"))
	}
	for i, e := range events[:min(len(events), maxShown)] {
		fmt.Fprintf(&b, "%3d. %s\n", i+1, clip(string(e.AppendJSON(nil)), maxEventBytes))
		if w != nil {
			for _, d := range w.differences(e) {
				fmt.Fprintf(&b, "     %s\n", d)
			}
		}
	}
	if more := len(events) - maxShown; more > 0 {
		fmt.Fprintf(&b, "     and %d more\n", more)
	}
	s.recorder.reportRefusals(&b)
	return strings.TrimSuffix(b.String(), "\n")
}

func (rec *recorder) reportRefusals(b *strings.Builder) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.refused == 0 {
		return
	}
	fmt.Fprintf(b, "refused %s, in whole or in part:\n", count(rec.refused, "request"))
	for _, refusal := range rec.refusals {
		fmt.Fprintf(b, "     %s\n", refusal)
	}
	if more := rec.refused - len(rec.refusals); more > 0 {
		fmt.Fprintf(b, "     and %d more\n", more)
	}
}

// show returns a decoded value as JSON.
func show(value any) string {
	if o, ok := value.(map[string]any); ok && o == nil {
		return "absent"
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return clip(strings.TrimSuffix(text.String(), "\n"), maxValueBytes)
}

// clip shortens a text to about n bytes, in whole characters.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
