//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
)

// Every line of docs/COMMANDS.md and docs/PLAN.md that calls the command works, on a directory with
// a journal. Those that run until they are interrupted are started, and stopped.
func TestDocument(t *testing.T) {
	t.Parallel()
	page := readPage(t, "COMMANDS.md")
	lines := append(documented(page), documented(readPage(t, "PLAN.md"))...)
	require.Greater(t, len(lines), 5)
	for _, line := range lines {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(line, "inlet ready ") {
				address := strings.TrimPrefix(start(t, t.TempDir()).url, "http://")
				out, err := exec.Command(binary, strings.Fields(strings.Replace(line, "127.0.0.1:8080", address, 1))[1:]...).CombinedOutput()
				require.NoError(t, err, "%s", out)
				return
			}
			w := withLetters(t)
			if strings.HasPrefix(line, "inlet plan ") || strings.Contains(line, "plan.json") {
				w.withPlan(t)
			}
			if strings.Contains(line, "redrive") { // the destination accepts them now
				w.receiver = w.received.URL()
			}
			line := strings.NewReplacer("/var/lib/inlet", w.dir, "127.0.0.1:8080", "127.0.0.1:0", "127.0.0.1:8090", "127.0.0.1:0",
				"https://events.example", w.receiver).Replace(line)
			if regexp.MustCompile(`^inlet (serve|fake)\b`).MatchString(line) {
				w.startAndStop(t, line)
				return
			}
			cmd := exec.Command("sh", "-c", line)
			cmd.Env, cmd.Dir = w.environment(), filepath.Dir(w.dir)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			if _, name, ok := strings.Cut(line, " > "); ok {
				out, err = os.ReadFile(filepath.Join(cmd.Dir, name))
				require.NoError(t, err)
			}
			require.NotEmpty(t, out)
		})
	}
	t.Run("every flag of the server is in the table, with its variable", func(t *testing.T) {
		t.Parallel()
		_, section, _ := strings.Cut(page, "\n## A server\n")
		section, _, _ = strings.Cut(section, "\n## ")
		for _, name := range flagsOf(t, "serve") {
			require.Regexp(t, "(?m)^\\| [^|]*`-"+name+"`[^|]* \\| [^|]*`"+variable(name)+"`", section)
		}
	})
	t.Run("every command has a row and a block", func(t *testing.T) {
		t.Parallel()
		for _, c := range commands() {
			require.Contains(t, page, "\n| `"+c.name+"` | ")
			require.Regexp(t, "(?m)^(\\w+=\\S+ )?inlet "+c.name+"\\b", strings.Join(lines, "\n"), c.name)
		}
	})
}

// What docs/TESTING.md does with the fake works.
func TestFakeDocument(t *testing.T) {
	t.Parallel()
	page := readPage(t, "TESTING.md")
	require.Equal(t, []string{"inlet fake -addr 127.0.0.1:8090"}, documented(page))
	block := testkit.Block(t, "../../docs/TESTING.md", "fake", "sh")
	needs(t, "curl")
	needs(t, "jq")
	p, _ := startFake(t)
	paste(t, "set -e\n"+strings.ReplaceAll(block, "http://127.0.0.1:8090", p.url))
	require.Len(t, p.asked(t, "/events"), 1)
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	require.NoError(t, err)
	return string(page)
}

// documented returns the lines of the blocks that are marked.
func documented(page string) (lines []string) {
	for _, block := range regexp.MustCompile("(?s)<!-- run -->\n```sh\n(.*?)```\n<!-- /run -->").FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

var flagLine = regexp.MustCompile(`(?m)^  -([a-z-]+)`)

func flagsOf(t *testing.T, command string) (names []string) {
	t.Helper()
	out, err := exec.Command(binary, append(strings.Fields(command), "-h")...).Output()
	require.NoError(t, err)
	for _, m := range flagLine.FindAllStringSubmatch(string(out), -1) {
		names = append(names, m[1])
	}
	require.NotEmpty(t, names)
	return names
}

// The help of each command has an example, which works as far as a flag can be wrong, and a wrong
// flag is said, with status 2.
func TestHelp(t *testing.T) {
	t.Parallel()
	all, err := exec.Command(binary, "-h").Output()
	require.NoError(t, err)
	for _, c := range commands() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, string(all), "\n  "+c.name+" ")
			help, err := exec.Command(binary, append(strings.Fields(c.name), "-h")...).Output()
			require.NoError(t, err)
			require.Regexp(t, `(?s)^Usage: inlet `+c.name+`.*\nExample:\n\n  (INLET_KEY_BACKUP=\S+ )?inlet `+c.name+`.*\nFlags:\n`, string(help))
			for line := range strings.Lines(string(help)) {
				require.LessOrEqual(t, len(line), 120, line)
			}
			for _, args := range [][]string{{"-unknown"}, {"extra"}} {
				out, err := exec.Command(binary, append(strings.Fields(c.name), args...)...).CombinedOutput()
				require.Equal(t, statusUsage, exitCode(err), "%s", out)
				require.Contains(t, string(out), "Usage: inlet "+c.name)
			}
		})
	}
	for _, args := range [][]string{{}, {"unknown"}, {"plan"}, {"plan", "unknown"}} {
		out, err := exec.Command(binary, args...).CombinedOutput()
		require.Equal(t, statusUsage, exitCode(err), "%s", out)
		require.Contains(t, string(out), "Commands:")
	}
}
