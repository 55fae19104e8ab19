package interop

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// repaired are the golden files whose requests differ from the description, and whose events are
// stored: what clients send in addition, and why it is not described.
var repaired = map[string]string{
	"jitsu/event_type_in_capitals":             "a type in capitals",
	"jitsu/time_cannot_be_read":                "a time that is none",
	"metarouter/custom_odd_metadata":           "numbers as ids, a time that is none",
	"metarouter/custom_query":                  "a parameter that is ignored",
	"metarouter/custom_time_cannot_be_read":    "a time that is none",
	"metarouter/event_name":                    "the name in a member that one page of the vendor has",
	"metarouter/event_name_beside_empty_event": "as above",
	"segment/analytics_php":                    "empty lists as objects, as PHP writes them",
	"segment/analytics_ruby":                   "a number as an id",
	"segment/batch_time_cannot_be_read":        "a time that is none",
	"segment/batch_time_falls_back":            "times that are none",
	"segment/reserved_members":                 "a time that is none",
	"segmentstream/foreign_members":            "a number as an id, a time that is none",
	"segmentstream/time_without_separators":    "a time in another form",
	"traps/21_encoding_of_characters":          "a Content-Encoding that is of characters",
	"traps/25_byte_order_mark":                 "a byte order mark",
	"traps/37_skew":                            "times in other forms",
	"traps/39_forms_of_time":                   "times in other forms",
}

// Every golden file is described, and every operation has one.
func TestOpenAPIGolden(t *testing.T) {
	t.Parallel()
	d := readDescription(t)
	files, err := filepath.Glob("../../testdata/*/*.golden")
	require.NoError(t, err)
	files = slices.DeleteFunc(files, func(file string) bool { return strings.Contains(file, "/migrate/") }) // no requests
	require.Greater(t, len(files), 100)
	shown := map[string]bool{"description": true, "descriptionHead": true} // see TestOpenAPIAnswers
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		g := readGolden(t, string(text))
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(file), "../../testdata/"), ".golden")
		op, values := d.find(g.request.Method, g.request.URL.EscapedPath())
		if op == nil {
			require.Contains(t, []int{401, 404, 405}, g.status, "%s: no operation", name)
			require.NoError(t, d.isRefusal(t, g.answer), name)
			continue
		}
		if err := d.checkAnswer(op, g.status, g.header, g.answer); err != nil {
			t.Errorf("%s: the answer of %s: %v", name, op.OperationID, err)
		}
		fault := d.checkRequest(op, values, g.request, g.body)
		stored := g.events != "" || op.storesNothing() && g.status < 300
		refused := strings.Contains(string(g.answer), `"rejected"`)
		switch {
		case fault == nil:
			shown[op.OperationID] = shown[op.OperationID] || stored
			require.NotContains(t, repaired, name, "it is described")
		case stored && !refused && repaired[name] == "":
			t.Errorf("%s is not what %s describes, and is accepted: %v", name, op.OperationID, fault)
		}
	}
	for _, item := range d.Paths {
		for _, op := range item.operations() {
			if !shown[op.OperationID] {
				t.Errorf("no golden file shows %s", op.OperationID)
			}
		}
	}
	for name := range repaired {
		require.FileExists(t, "../../testdata/"+name+".golden")
	}
}

// storesNothing reports whether an operation has no events: those that need no key, apart from
// pixels, which never refuse.
func (op *operation) storesNothing() bool {
	if op.Responses["401"] != nil {
		return false
	}
	_, pixel := op.Responses["200"].Content["image/gif"]
	return !pixel
}

func (d *description) isRefusal(t *testing.T, answer []byte) error {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(answer)))
	require.NoError(t, err)
	return d.conforms(json.RawMessage(`{"$ref":"#/components/schemas/Refusal"}`), value)
}

// Examples are what they are examples of.
func TestOpenAPIExamples(t *testing.T) {
	t.Parallel()
	d := readDescription(t)
	for _, messages := range []map[string]*message{d.Components.RequestBodies, d.Components.Responses} {
		for _, name := range slices.Sorted(maps.Keys(messages)) {
			content := messages[name].Content["application/json"]
			for example, e := range content.Examples {
				value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(e.Value)))
				require.NoError(t, err)
				require.NoError(t, d.conforms(content.Schema, value), "%s, %s", name, example)
			}
		}
	}
}
