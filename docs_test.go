package inlet_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryFileOfTheRootPackageStandsInTheFileMap(t *testing.T) {
	t.Parallel()
	design, err := os.ReadFile("docs/DESIGN.md")
	require.NoError(t, err)
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		prefix, _, _ := strings.Cut(file, "_")
		family := strings.Contains(string(design), "`"+strings.TrimSuffix(prefix, ".go")+"_*.go`") ||
			strings.Contains(string(design), "`"+strings.TrimSuffix(prefix, ".go")+"*.go`")
		require.True(t, family || strings.Contains(string(design), "`"+file+"`"), "docs/DESIGN.md does not say what %s knows", file)
	}
}

func TestTheSecurityChecklistNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/OPERATIONS.md")
	require.NoError(t, err)
	known := testsOfTheRepository(t)
	named := testPattern.FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(named), 30)
	for _, name := range named {
		require.True(t, known[name[1]], "there is no %s", name[1])
	}
}

// What a 200 means is one sentence, wherever it stands.
func TestTheReadmeSaysOfA200WhatTheJournalPromises(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	durability, err := os.ReadFile("docs/DURABILITY.md")
	require.NoError(t, err)
	promise := regexp.MustCompile(`(?m)^\| .SyncAlways. \(default\) \| \*\*(.+)\*\* \|`).FindSubmatch(durability)
	require.NotNil(t, promise)
	require.Contains(t, string(readme), "| fsync | "+string(promise[1])+" | the journal, by default |")
}
