//go:build unix

// Package blocks tests every block of code and every command of the documents: what a reader
// copies works.
//
// The language of a block says how. A block of Go is part of a file that the compiler sees, or
// a whole program; lines of a shell name packages, tests, flags and files that exist; JSON is
// valid. The table of blocks says more of some: a test elsewhere that runs the block, or a
// function here. Blocks of other languages must be in it, and so must text, with the reason
// why it cannot be run. A block without a language fails.
package blocks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A check is what is known of a block in addition to its language. One field is set.
type check struct {
	// by is the file and the name of the test that reads the document and runs the block.
	by string
	// run runs the block here.
	run func(t *testing.T, b block)
	// with is the name of another block, whose function runs this one as well.
	with string
	// reason is why text is not run.
	reason string
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	unused := maps.Clone(table)
	for _, doc := range documents(t) {
		blocks, spans := blocksOf(doc, readFile(t, doc))
		for _, b := range blocks {
			c, listed := table[b.name()]
			delete(unused, b.name())
			t.Run(b.name(), func(t *testing.T) {
				t.Parallel()
				b.require(t, c, listed)
			})
		}
		t.Run(doc+", commands in the text", func(t *testing.T) {
			t.Parallel()
			for _, command := range spans {
				if isCommand(command) {
					requireCommand(t, command)
				}
			}
		})
	}
	require.Empty(t, slices.Sorted(maps.Keys(unused)), "blocks that the documents do not have any more")
}

// require checks a block by its language, and then by its row.
func (b block) require(t *testing.T, c check, listed bool) {
	t.Helper()
	switch b.lang {
	case "":
		require.Fail(t, "a block has no language", "line %d: use a fence, and text if it is no code", b.line)
	case "go":
		if !strings.HasPrefix(b.text, "package ") {
			requireCompiled(t, b)
		} else {
			require.NotNil(t, c.run, "a program needs a row that runs it")
		}
	case "json":
		requireJSON(t, b)
	case "sh":
		if c.by == "" && c.run == nil && c.with == "" {
			requireCommands(t, b)
		}
	case "text":
		require.True(t, c.reason != "" || c.by != "", "line %d: text needs a row with the reason", b.line)
	default:
		require.True(t, listed, "line %d: a block of %s needs a row", b.line, b.lang)
	}
	switch {
	case c.by != "":
		requireRunElsewhere(t, b, c.by)
	case c.run != nil:
		c.run(t, b)
	case c.with != "":
		require.NotNil(t, table[c.with].run, c.with)
	case c.reason != "":
		require.Equal(t, "text", b.lang, "a block that could be run")
	}
}

// requireJSON requires that a block is one JSON text or several.
func requireJSON(t *testing.T, b block) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(b.text))
	for n := 0; ; n++ {
		var v any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			require.Positive(t, n)
			return
		}
		require.NoError(t, err, "line %d", b.line)
	}
}

// requireRunElsewhere requires that a test exists, in a file that reads the document.
func requireRunElsewhere(t *testing.T, b block, by string) {
	t.Helper()
	file, test, ok := strings.Cut(by, " ")
	require.True(t, ok, by)
	source := readFile(t, file)
	require.Contains(t, source, "func "+test+"(", by)
	require.Contains(t, source, filepath.Base(b.doc), "%s does not read %s", file, b.doc)
}

// sources is all Go files of the repository, by name.
var sources = sync.OnceValues(func() (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(repository, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == ".git"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(name)
		rel, _ := filepath.Rel(repository, name)
		files[filepath.ToSlash(rel)] = string(text)
		return err
	})
	return files, err
})

// requireCompiled requires that a Go file has the lines of the block, at any indentation.
func requireCompiled(t *testing.T, b block) {
	t.Helper()
	files, err := sources()
	require.NoError(t, err)
	for indent := range 4 {
		lines := strings.ReplaceAll("\n"+strings.TrimSuffix(b.text, "\n"), "\n", "\n"+strings.Repeat("\t", indent))
		lines = strings.ReplaceAll(lines, "\n"+strings.Repeat("\t", indent)+"\n", "\n\n")
		for _, source := range files {
			if strings.Contains(source, lines+"\n") {
				return
			}
		}
	}
	require.Fail(t, "no Go file has these lines", fmt.Sprintf("%s:%d: copy them from an Example or a test:\n%s", b.doc, b.line, b.text))
}
