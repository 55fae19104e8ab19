package httpsink_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
)

// Each file of testdata/answers is an answer of the shape that a receiver or a proxy gives, and
// what becomes of the events a, b and c if every request is answered like that. The prefix of
// its name says who answers. UPDATE_GOLDEN=1 rewrites what becomes of the events.
func TestAnswers(t *testing.T) {
	t.Parallel()
	testkit.Golden(t, filepath.Join("testdata", "answers", "*.golden"), func(t *testing.T, _, content string) string {
		const mark = "\n--- outcome\n"
		answer, _, found := strings.Cut(content, mark)
		require.True(t, found)
		requests := 0
		s := newOffline(t, func(r *http.Request) (*http.Response, error) {
			requests++
			return readAnswer(t, answer, r), nil
		}, nil)
		err := s.Write(t.Context(), events("a", "b", "c"))
		return answer + mark + fmt.Sprintf("requests: %d\n", requests) + outcomeText(err, "a", "b", "c")
	})
}

// readAnswer reads an answer whose head ends its lines as in a text file.
func readAnswer(t testing.TB, text string, r *http.Request) *http.Response {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	wire := strings.ReplaceAll("HTTP/1.1 "+head+"\n\n", "\n", "\r\n") + body
	answer, err := http.ReadResponse(bufio.NewReader(strings.NewReader(wire)), r)
	require.NoError(t, err)
	return answer
}

// outcomeText is the outcome of each event, as one line if it is the same of all, and the wait
// that the receiver asks for.
func outcomeText(err error, ids ...string) string {
	errs, words := inlet.ItemErrors(err, len(ids)), outcomes(err, len(ids))
	lines := make([]string, len(ids))
	for i := range ids {
		lines[i] = words[i]
		if errs != nil && errs[i] != nil {
			lines[i] += ", " + errs[i].Error()
		}
	}
	var b strings.Builder
	for i, id := range ids {
		if lines[0] == lines[1] && lines[1] == lines[2] {
			id = "all"
		}
		if i == 0 || id != "all" {
			fmt.Fprintf(&b, "%s: %s\n", id, lines[i])
		}
	}
	if wait, ok := inlet.RetryDelay(err); ok {
		fmt.Fprintf(&b, "wait: %v\n", wait)
	}
	return b.String()
}

// The table of docs/SINKS.md names every answer, and no test that is not there.
func TestAnswersDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "SINKS.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(doc), "## How answers are understood")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n## ")
	answers, err := filepath.Glob(filepath.Join("testdata", "answers", "*.golden"))
	require.NoError(t, err)
	for _, file := range answers {
		require.Contains(t, table, "`"+strings.TrimSuffix(filepath.Base(file), ".golden")+"`")
	}
	var tests strings.Builder
	for _, pattern := range []string{"*_test.go", "../journal/*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			tests.Write(text)
		}
	}
	for _, match := range regexp.MustCompile("`(Test[A-Za-z]+)(?:/([^`]+))?`").FindAllStringSubmatch(table, -1) {
		require.Contains(t, tests.String(), "func "+match[1]+"(")
		if match[2] != "" {
			require.Contains(t, tests.String(), `"`+strings.ReplaceAll(match[2], "_", " ")+`"`)
		}
	}
	for _, match := range regexp.MustCompile("`([a-z]+_[0-9a-z_]+)`").FindAllStringSubmatch(table, -1) {
		if name := match[1]; !slices.Contains([]string{"too_deep"}, name) {
			require.Contains(t, answers, filepath.Join("testdata", "answers", name+".golden"))
		}
	}
}
