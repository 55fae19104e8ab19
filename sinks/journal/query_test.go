package journal_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/bench"
	"github.com/inlet-go/inlet/internal/jsoncases"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A visitor sends arbitrary input to a handler that writes to a journal.
type visitor struct {
	handler http.Handler
	n       int
	stored  map[string]bool // the message ids
}

// post sends a body and returns the status.
func (c *visitor) post(path, encoding, body string) int {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Content-Encoding", encoding)
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	return w.Code
}

// track sends an event with a value among its properties.
func (c *visitor) track(value string) int {
	c.n++
	id := fmt.Sprintf("case-%d", c.n)
	status := c.post("/v1/track", "", `{"userId":"u","event":"E","messageId":"`+id+`","properties":{"v":`+value+`}}`)
	if status == 200 {
		c.stored[id] = true
	}
	return status
}

// fill sends the collections of JSON texts, and other traffic that a public endpoint
// receives.
func (c *visitor) fill(t *testing.T) {
	t.Helper()
	for name, text := range jsoncases.Valid() {
		require.Equal(t, 200, c.track(text), name)
	}
	for name, text := range jsoncases.Invalid() {
		require.Equal(t, 400, c.track(text), name)
	}
	for name, choice := range jsoncases.Choices() {
		want := 400
		if choice.Want == jsoncases.Repaired || choice.Want == jsoncases.Kept && strings.Count(choice.Text, "[") < 199 {
			want = 200
		}
		require.Equal(t, want, c.track(choice.Text), name)
	}
	// The deepest event that is accepted: itself, its properties and 198 arrays.
	require.Equal(t, 200, c.track(strings.Repeat("[", 198)+strings.Repeat("]", 198)))
	for _, event := range []string{
		`{"userId":"u","event":"E","_seq":1,"_c":"x","receivedAt":"1970-01-01T00:00:00Z","sourceId":"forged"}`,
		`{"userId":"u","event":"E","USERID":"v","UserId":"w","\u005fseq":2}`,
		"{\"userId\":\"u\u2028\",\n\"event\":\"a\\nb\",\r\n\"properties\":{\n}}",
		"{\"userId\":\"u\",\"event\":\"\xff\",\"\xfe\":\"\\udc00\",\"properties\":{\"\\ud800\":1}}",
	} {
		require.Equal(t, 200, c.post("/v1/track", "", event), event)
	}
	for _, hostile := range (bench.Corpus{}).Hostile() {
		require.Contains(t, []int{200, 400}, c.post("/v1/batch", hostile.Encoding, string(hostile.Body)), hostile.Name)
	}
	require.Equal(t, 200, c.post("/v1/batch", "", string((bench.Corpus{}).Batch(100))))
}

// TestQueryTools checks that no client can make a line which query tools reject, since many
// of them reject the whole file for one line.
func TestQueryTools(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := journal.Open(dir, nil)
	require.NoError(t, err)
	handler, err := inlet.New(j, &inlet.Options{AllowAnonymous: true})
	require.NoError(t, err)
	c := &visitor{handler: handler, stored: map[string]bool{}}
	c.fill(t)
	require.NoError(t, j.Close(context.Background()))
	files, err := filepath.Glob(filepath.Join(dir, "*.ndjson"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var lines [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range bytes.Lines(data) {
			if len(bytes.TrimSpace(line)) > 0 {
				lines = append(lines, line)
			}
		}
	}
	require.Greater(t, len(lines), len(c.stored)+100)
	t.Run("encoding/json", func(t *testing.T) {
		t.Parallel()
		for _, line := range lines {
			require.True(t, json.Valid(line), "%.300q", line)
			requireNamesOnce(t, line)
		}
	})
	t.Run("jq", func(t *testing.T) {
		t.Parallel()
		if _, err := exec.LookPath("jq"); err != nil {
			t.Skip("jq is not installed")
		}
		out, err := exec.Command("jq", append([]string{"-r", ".messageId"}, files...)...).CombinedOutput()
		require.NoError(t, err, "%.300s", out)
		ids := strings.Split(strings.TrimSpace(string(out)), "\n")
		require.Len(t, ids, len(lines))
		for id := range c.stored {
			require.Contains(t, ids, id)
		}
	})
}

// requireNamesOnce checks that no name occurs twice in an object: tools
// disagree about which of the two counts.
func requireNamesOnce(t *testing.T, line []byte) {
	t.Helper()
	d := json.NewDecoder(bufio.NewReader(bytes.NewReader(line)))
	d.UseNumber()
	type level struct {
		names  map[string]bool // nil in an array
		atName bool
	}
	var levels []level
	for {
		token, err := d.Token()
		if err != nil {
			return // the line is valid: its end
		}
		top := len(levels) - 1
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{map[string]bool{}, true})
			continue
		case json.Delim('['):
			levels = append(levels, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:top]
			top--
		default:
			if levels[top].atName {
				require.False(t, levels[top].names[token.(string)], "%s occurs twice in %.300s", token, line)
				levels[top].names[token.(string)] = true
				levels[top].atName = false
				continue
			}
		}
		if top >= 0 && levels[top].names != nil {
			levels[top].atName = true
		}
	}
}

// TestDeadLetterCommand runs the documented command on dead letters that were just written, while
// the journal runs, and on sealed ones.
func TestDeadLetterCommand(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("jq is not installed")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "OPERATIONS.md"))
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(text), "cat DIR/dead/NAME/")
	require.True(t, ok)
	line, _, _ := strings.Cut(rest, "\n")
	dir := t.TempDir()
	command := strings.NewReplacer("DIR", dir, "NAME", "warehouse").Replace("cat DIR/dead/NAME/" + line)
	for _, id := range []string{"m1", "m2"} {
		j, err := journal.Open(dir, nil)
		require.NoError(t, err)
		refusing := inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
			return inlet.Permanent(errors.New("no such column"))
		})
		d, err := j.Deliver("warehouse", refusing, nil)
		require.NoError(t, err)
		require.NoError(t, j.Write(t.Context(), []*inlet.Event{{Type: inlet.TypePage, MessageID: id}}))
		require.NoError(t, d.Drain(t.Context()))
		out, err := exec.Command("sh", "-c", command).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), `{"messageId":"`+id+`","reason":{"error":"no such column"`)
		require.Contains(t, string(out), `"m1"`, "the sealed ones too")
		require.NoError(t, j.Close(context.Background()))
	}
}
