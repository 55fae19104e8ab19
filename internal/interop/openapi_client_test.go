package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// runTool runs a program of an npm package with node, and returns what it prints.
func runTool(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	node := requireNode(t)
	modules, err := filepath.Abs(filepath.Join(nodeDir, "node_modules"))
	require.NoError(t, err)
	if !filepath.IsAbs(program) {
		program = filepath.Join(modules, program)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, append([]string{program}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
	var output, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &complaints
	require.NoError(t, cmd.Run(), "%s: %s%s", program, &output, &complaints)
	return output.String()
}

// The document is one of OpenAPI 3.1, and follows the rules of a public linter.
func TestOpenAPILint(t *testing.T) {
	t.Parallel()
	config, err := filepath.Abs(filepath.Join(nodeDir, "openapi", "redocly.yaml"))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "openapi.json")
	require.NoError(t, os.WriteFile(file, inlet.OpenAPI(), 0o600))
	runTool(t, t.TempDir(), "@redocly/cli/bin/cli.js", "lint", "--config", config, "--format", "json", file)
}

// A client that a public generator has made of the description, as a server serves it, is
// compiled, and sends events that are stored.
func TestOpenAPIClient(t *testing.T) {
	t.Parallel()
	sink := new(sinks.Memory)
	log := slog.New(slog.DiscardHandler)
	api, err := inlet.New(sink, &inlet.Options{Protocol: &inlet.Protocol{OpenAPI: true}, Logger: log})
	require.NoError(t, err)
	keys := inlet.MustKeys(map[string]inlet.Source{writeKey: {ID: "shop"}})
	server := httptest.NewServer(middleware.Standard(keys, &middleware.StandardOptions{Prefix: "/t", Logger: log})(api))
	t.Cleanup(server.Close)

	dir := t.TempDir()
	for _, name := range []string{"client.mts", "tsconfig.json"} {
		text, err := os.ReadFile(filepath.Join(nodeDir, "openapi", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"type":"module"}`), 0o600))
	modules, err := filepath.Abs(filepath.Join(nodeDir, "node_modules"))
	require.NoError(t, err)
	require.NoError(t, os.Symlink(modules, filepath.Join(dir, "node_modules")))

	command, documented := clientOfDocument(t)
	command = strings.Replace(command, "https://shop.example/t", server.URL+"/t", 1)
	documented = strings.NewReplacer("https://shop.example/t", server.URL+"/t", "my-write-key", writeKey).Replace(documented)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "documented.mts"), []byte(documented), 0o600))

	runTool(t, dir, "openapi-typescript/bin/cli.js", strings.Fields(command)...)
	runTool(t, dir, "typescript/bin/tsc", "--project", ".")
	var report struct {
		Track    bool
		Rejected []string
		Refused  string
		Status   int
		Image    string
	}
	printed := runTool(t, dir, filepath.Join(dir, "client.mjs"), baseOf(t, server.URL+"/t"), writeKey)
	require.NoError(t, json.Unmarshal([]byte(printed), &report), printed)
	require.True(t, report.Track)
	require.Equal(t, []string{"2 m-4 event_not_defined"}, report.Rejected)
	require.Equal(t, 400, report.Status)
	require.Equal(t, "event_not_defined", report.Refused)
	require.Equal(t, "image/gif", report.Image)

	require.Empty(t, runTool(t, dir, filepath.Join(dir, "documented.mjs")))

	var stored []string
	for _, e := range sink.Events() {
		stored = append(stored, e.MessageID+" "+string(e.Type)+" "+e.Name)
	}
	require.Len(t, stored, 5)
	require.Equal(t, []string{"m-1 track Order Completed", "m-2 identify ", "m-3 page ", "m-5 track Opened"}, stored[:4])
	require.Regexp(t, "^[0-9a-f-]{36} track Signed Up$", stored[4])
}

// clientOfDocument returns the arguments of the generator and the program that docs/API.md has.
func clientOfDocument(t *testing.T) (command, program string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/API.md")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(page), "```sh\nnpx openapi-typescript ")
	command, rest, _ = strings.Cut(rest, "\n")
	_, rest, _ = strings.Cut(rest, "```ts\n")
	program, _, ok := strings.Cut(rest, "```\n")
	require.True(t, ok)
	return command, program
}

// baseOf returns the address that the description of a server has.
func baseOf(t *testing.T, server string) string {
	t.Helper()
	answer, err := http.Get(server + "/openapi.json")
	require.NoError(t, err)
	defer answer.Body.Close()
	var d struct{ Servers []struct{ URL string } }
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&d))
	require.Equal(t, server, d.Servers[0].URL)
	return d.Servers[0].URL
}
