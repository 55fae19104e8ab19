//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
)

// A dockerfile is the instructions of ../../Dockerfile.
type dockerfile struct {
	text   string
	stages [][]instruction
	env    map[string]string // of the last stage
}

type instruction struct{ name, text string }

func readDockerfile(t *testing.T) *dockerfile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "Dockerfile"))
	require.NoError(t, err)
	d := &dockerfile{text: string(text)}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, ok := strings.Cut(line, " ")
		require.True(t, ok, line)
		if name == "FROM" {
			d.stages = append(d.stages, nil)
		}
		last := len(d.stages) - 1
		d.stages[last] = append(d.stages[last], instruction{name, rest})
	}
	require.Len(t, d.stages, 2)
	d.env = environmentOf(d.stages[1])
	return d
}

// last returns the text of the last instruction of a name.
func (d *dockerfile) last(name string) string { return lastOf(d.stages[1], name) }

// list returns the last instruction of a name in the form of a JSON list.
func (d *dockerfile) list(t *testing.T, name string) (list []string) {
	t.Helper()
	text := d.last(name)
	require.NoError(t, json.Unmarshal([]byte(text[strings.Index(text, "["):]), &list), text)
	return list
}

func lastOf(stage []instruction, name string) (text string) {
	for _, i := range stage {
		if i.name == name {
			text = strings.Split(i.text, ":")[0]
			if name != "USER" {
				text = i.text
			}
		}
	}
	return text
}

func environmentOf(stage []instruction) map[string]string {
	env := map[string]string{}
	for _, i := range stage {
		if i.name == "ENV" {
			for pair := range strings.FieldsSeq(i.text) {
				name, value, _ := strings.Cut(pair, "=")
				env[name] = value
			}
		}
	}
	return env
}

// The image is built as the Dockerfile says, except for Docker itself: from the files that its
// context has, with the modules of the command in docs/KUBERNETES.md, without a network and without
// a cache of modules. What it would start is started. The build has no -trimpath, so that it can
// use what the tests have compiled of the standard library.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it compiles the program once more")
	}
	d := readDockerfile(t)
	root, image := t.TempDir(), t.TempDir()
	src := filepath.Join(root, "src")
	ignored := copyContext(t, src)
	require.Contains(t, ignored, "docs", ".dockerignore is read")

	build := environmentOf(d.stages[0])
	require.Equal(t, map[string]string{
		"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=vendor", "GOPROXY": "off", "GOTOOLCHAIN": "local",
	}, build)
	require.Contains(t, lastOf(d.stages[0], "COPY"), ".vendor vendor")
	line, _, _ := strings.Cut(testkit.Block(t, kubernetesPage, "image", "sh"), "\n")
	require.Contains(t, d.text, "#   "+line+"\n")
	vendor := exec.Command("sh", "-c", strings.Replace(line, ".vendor", filepath.Join(src, "vendor"), 1))
	vendor.Dir = filepath.Join("..", "..")
	out, err := vendor.CombinedOutput()
	require.NoError(t, err, "%s", out)

	run := exec.Command("sh", "-c", strings.ReplaceAll(lastOf(d.stages[0], "RUN"), "/image", image))
	run.Dir = src
	run.Env = append(os.Environ(), "GOMODCACHE="+filepath.Join(root, "no-modules"))
	for name, value := range build {
		run.Env = append(run.Env, name+"="+value)
	}
	out, err = run.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.DirExists(t, filepath.Join(image, d.last("VOLUME")))

	program := filepath.Join(image, d.list(t, "ENTRYPOINT")[0])
	requireStatic(t, program)
	r := &replica{process: &process{}, log: newLogBuffer()}
	r.cmd = exec.Command(program, d.list(t, "CMD")...)
	r.cmd.Env = []string{"INLET_ADDR=127.0.0.1:0", "INLET_DIR=" + filepath.Join(image, d.env["INLET_DIR"])}
	require.Len(t, d.env, len(r.cmd.Env))
	r.cmd.Stderr = r.log
	r.stdout, err = r.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, r.cmd.Start())
	t.Cleanup(r.kill)
	r.read(t)
	status, answer := r.post(t, "/v1/track", event)
	require.Equal(t, 200, status, "%v", answer)

	check := d.list(t, "HEALTHCHECK")
	require.Equal(t, d.list(t, "ENTRYPOINT")[0], check[0])
	health := exec.Command(program, check[1:]...)
	health.Env = []string{"INLET_ADDR=" + strings.TrimPrefix(r.url, "http://")}
	out, err = health.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, r.wait(), "%s", r.log)
	require.Len(t, events(t, filepath.Join(image, d.env["INLET_DIR"])), 1)
	unhealthy := exec.Command(program, check[1:]...)
	unhealthy.Env = health.Env
	require.Equal(t, statusFailed, exitCode(unhealthy.Run()), "it is not healthy any more")
}

// copyContext copies what docker build would send to dir, as far as go build may need it, and
// returns what .dockerignore left out of the top directory.
func copyContext(t *testing.T, dir string) (ignored []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", ".dockerignore"))
	require.NoError(t, err)
	var patterns []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, line)
		}
	}
	top := os.DirFS(filepath.Join("..", ".."))
	require.NoError(t, fs.WalkDir(top, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case isIgnored(name, patterns), name == ".vendor":
			ignored = append(ignored, name)
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir():
			return os.MkdirAll(filepath.Join(dir, name), 0o755)
		case !e.Type().IsRegular() || !slices.Contains([]string{".go", ".html", ".json"}, path.Ext(name)) && path.Base(name) != "go.mod" && path.Base(name) != "go.sum":
			return nil
		}
		data, err := fs.ReadFile(top, name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), data, 0o644)
	}))
	return ignored
}

// isIgnored knows two kinds of patterns: a name in the top directory, and **/ with a pattern of a
// name in any.
func isIgnored(name string, patterns []string) bool {
	for _, p := range patterns {
		matched := name == p
		if anywhere, ok := strings.CutPrefix(p, "**/"); ok {
			matched, _ = path.Match(anywhere, path.Base(name))
		}
		if matched {
			return true
		}
	}
	return false
}

// requireStatic requires that a program needs no library, since the image has none.
func requireStatic(t *testing.T, program string) {
	t.Helper()
	out, err := exec.Command("go", "version", "-m", program).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "CGO_ENABLED=0")
	if runtime.GOOS == "linux" {
		text, err := os.ReadFile(program)
		require.NoError(t, err)
		require.NotContains(t, string(text), "/ld-linux", "it has no interpreter")
	}
}
