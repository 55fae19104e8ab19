package jsonschema_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	_ "github.com/google/jsonschema-go/jsonschema" // its module has the cases of the JSON Schema Test Suite

	"github.com/inlet-go/inlet/internal/schema"
)

// A suiteGroup is a schema of the JSON Schema Test Suite, with values and whether they are valid.
type suiteGroup struct {
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"schema"`
	Tests       []struct {
		Description string          `json:"description"`
		Data        json.RawMessage `json:"data"`
		Valid       bool            `json:"valid"`
	} `json:"tests"`
}

// suite returns the groups of a draft, by the file that they are in.
func suite(t *testing.T, draft string) map[string][]suiteGroup {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/jsonschema-go").Output()
	if err != nil {
		t.Skip("needs the go command, to find the module that has the suite: ", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "jsonschema", "testdata", draft, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	groups := map[string][]suiteGroup{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var list []suiteGroup
		require.NoError(t, json.Unmarshal(text, &list))
		groups[strings.TrimSuffix(filepath.Base(file), ".json")] = list
	}
	return groups
}

func TestSuite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		draft, says string
		passed      int // all cases of the schemas that are not refused
	}{
		{"draft7", "http://json-schema.org/draft-07/schema#", 529},
		{"draft2020-12", "https://json-schema.org/draft/2020-12/schema", 427},
	} {
		t.Run(c.draft, func(t *testing.T) {
			t.Parallel()
			passed, refused := 0, map[string]int{}
			for file, groups := range suite(t, c.draft) {
				for _, g := range groups {
					text := withDraft(t, g.Schema, c.says)
					compiled, err := schema.NewCompiler(schema.Options{}).Compile(text)
					if err != nil {
						var beyond *schema.Error
						require.ErrorAs(t, err, &beyond)
						if !beyond.Unsupported {
							t.Errorf("%s: %s: %v\n%s", file, g.Description, err, g.Schema)
						}
						refused[beyond.Keyword] += len(g.Tests)
						continue
					}
					for _, one := range g.Tests {
						if valid := check(compiled, one.Data); valid != one.Valid {
							t.Errorf("%s: %s: %s: valid is %v\n%s\n%s", file, g.Description, one.Description, valid, g.Schema, one.Data)
						}
						passed++
					}
				}
			}
			require.Equal(t, c.passed, passed)
			for _, keyword := range slices.Sorted(maps.Keys(refused)) {
				t.Logf("%d cases refused because of %s", refused[keyword], keyword)
			}
		})
	}
}

func check(s *schema.Schema, data []byte) bool {
	c := schema.NewChecker(1)
	defer c.Release()
	c.Check(s, data)
	return len(c.Faults) == 0
}

// withDraft returns a schema that says its draft.
func withDraft(t *testing.T, text json.RawMessage, says string) json.RawMessage {
	t.Helper()
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil || members["$schema"] != nil {
		return text // true or false
	}
	members["$schema"] = json.RawMessage(fmt.Sprintf("%q", says))
	text, err := json.Marshal(members)
	require.NoError(t, err)
	return text
}
