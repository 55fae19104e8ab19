package canonical_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestKindOf(t *testing.T) {
	t.Parallel()
	for _, name := range canonical.Names() {
		require.NotEqual(t, canonical.KindExtra, canonical.KindOf(name), name)
		require.Equal(t, canonical.KindOf(name), canonical.KindOfQuoted([]byte(`"`+name+`"`)), name)
	}
	for _, name := range []string{"", "x", "Type", "type ", "userid", "_client_", strings.Repeat("a", 1000)} {
		require.Equal(t, canonical.KindExtra, canonical.KindOf(name), name)
		require.Equal(t, canonical.KindExtra, canonical.KindOfQuoted([]byte(`"`+name+`"`)), name)
	}
}

func TestKindOfQuotedAllocs(t *testing.T) {
	for _, quoted := range [][]byte{[]byte(`"originalTimestamp"`), []byte(`"` + strings.Repeat("a", 1000) + `"`), nil} {
		require.Zero(t, testing.AllocsPerRun(100, func() { canonical.KindOfQuoted(quoted) }))
	}
}

var types = []inlet.Type{inlet.TypeTrack, inlet.TypePage, inlet.TypeScreen, inlet.TypeIdentify, inlet.TypeGroup, inlet.TypeAlias}

// valueOf returns a value that is valid for a member.
func valueOf(name string) string {
	switch canonical.KindOf(name) {
	case canonical.KindObject, canonical.KindNote, canonical.KindExtra:
		return `{"a":1}`
	case canonical.KindTime:
		return `"2026-03-01T12:00:00Z"`
	}
	switch name {
	case canonical.Type:
		return `"track"`
	case canonical.ReceivedAt:
		return `"2026-03-01T12:00:00Z"`
	case canonical.Warnings:
		return `["text_repaired"]`
	}
	return `"x"`
}

// The order of the names is that of the form, and no member of it is missing in the list.
func TestNames(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	object := json.RawMessage(`{"a":1}`)
	refused := &inlet.Event{
		Type: inlet.TypeTrack, Name: "N", MessageID: "m", UserID: "u", AnonymousID: "a", PreviousID: "p", GroupID: "g",
		Timestamp: at, OriginalTimestamp: at, SentAt: at, ReceivedAt: at,
		Source: &inlet.Source{ID: "web"}, Dialect: "segment", Warnings: inlet.WarnTextRepaired,
		Properties: object, Traits: object, Context: object, Integrations: object, Extra: json.RawMessage(`{"_client":{}}`),
	}
	letters := new(testsink.Keeper)
	d, err := sinks.NewDeadLetter(testsink.Failing(inlet.Permanent(errors.New("no"))), letters, nil)
	require.NoError(t, err)
	require.NoError(t, d.Write(context.Background(), []*inlet.Event{refused}))
	page := *refused
	page.Type = inlet.TypePage

	dir := t.TempDir()
	j, err := journal.Open(dir, nil)
	require.NoError(t, err)
	require.NoError(t, j.Write(context.Background(), append(letters.Events(), &page)))
	require.NoError(t, j.Close(context.Background()))
	var lines [][]string
	files, err := filepath.Glob(filepath.Join(dir, "*.ndjson*"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range bytes.Lines(text) {
			lines = append(lines, membersOf(t, line))
		}
	}
	require.Len(t, lines, 2)
	without := func(names ...string) []string {
		return slices.DeleteFunc(canonical.Names(), func(name string) bool { return slices.Contains(names, name) })
	}
	require.Equal(t, without(canonical.Name), lines[0])
	require.Equal(t, without(canonical.Event, canonical.Refused), lines[1])
}

// membersOf returns the names of the members of an object, in their order.
func membersOf(t *testing.T, object []byte) (names []string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(object))
	_, err := d.Token()
	require.NoError(t, err)
	for d.More() {
		name, err := d.Token()
		require.NoError(t, err)
		names = append(names, name.(string))
		var value json.RawMessage
		require.NoError(t, d.Decode(&value))
	}
	return names
}

// What is in no field goes to Extra.
func TestUnmarshalJSON(t *testing.T) {
	t.Parallel()
	for _, typ := range types {
		require.Equal(t, canonical.NameMember(string(typ)), nameMember(typ))
		for _, name := range append(canonical.Names(), "other") {
			if name == canonical.Type {
				continue
			}
			var e inlet.Event
			require.NoError(t, json.Unmarshal(fmt.Appendf(nil, `{"type":%q,%q:%s}`, typ, name, valueOf(name)), &e))
			inField := canonical.IsField(name, string(typ)) && canonical.KindOf(name) != canonical.KindRecord
			require.Equal(t, inField, e.Extra == nil, "%s of %s", name, typ)
		}
	}
}

// nameMember returns the member that AppendJSON writes the name to.
func nameMember(t inlet.Type) string {
	e := inlet.Event{Type: t, Name: "N"}
	for _, name := range []string{canonical.Event, canonical.Name} {
		if strings.Contains(string(e.AppendJSON(nil)), `"`+name+`":"N"`) {
			return name
		}
	}
	return ""
}

// Ingest refuses an Extra with a member that has a field.
func TestIngest(t *testing.T) {
	t.Parallel()
	for _, typ := range types {
		for _, name := range append(canonical.Names(), "other") {
			h, err := inlet.New(new(testsink.Keeper), nil)
			require.NoError(t, err)
			e := &inlet.Event{
				Type: typ, UserID: "u", PreviousID: "p", GroupID: "g", Extra: fmt.Appendf(nil, `{%q:%s}`, name, valueOf(name)),
			}
			if canonical.NameMember(string(typ)) != "" {
				e.Name = "N"
			}
			err = h.Ingest(context.Background(), &inlet.Source{ID: "web"}, e)
			if !canonical.IsField(name, string(typ)) {
				require.NoError(t, err, "%s of %s", name, typ)
				continue
			}
			p, ok := errors.AsType[*inlet.Problem](err)
			require.True(t, ok, "%s of %s: %v", name, typ, err)
			require.Equal(t, name, p.Field)
		}
	}
}

// A client cannot set what is Inlet's. Segment's form has all other members of the canonical
// one; SegmentStream's has some, and the rest are taken, too.
func TestDialects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		dialect, path, body string
		own                 []string // members of the dialect
		set                 []string // members that the body sets already
	}{
		{
			"segment", "/v1/track", `{"type":"track","event":"N","userId":"u","messageId":"m",%s}`,
			slices.DeleteFunc(canonical.Names(), func(name string) bool { return canonical.KindOf(name).ServerOnly() }),
			[]string{canonical.Type, canonical.Event, canonical.UserID, canonical.MessageID},
		},
		{
			"segmentstream", "/track", `{"hitId":"h","anonymousId":"a","event":{"name":"N"},%s}`,
			[]string{canonical.SentAt, canonical.Event, canonical.Context, canonical.Integrations, canonical.UserID, canonical.AnonymousID},
			[]string{canonical.Event, canonical.AnonymousID},
		},
	} {
		t.Run(tt.dialect, func(t *testing.T) {
			t.Parallel()
			for _, name := range append(canonical.Names(), "other") {
				if slices.Contains(tt.set, name) {
					continue
				}
				stored := new(testsink.Keeper)
				h, err := inlet.New(stored, &inlet.Options{AllowAnonymous: true})
				require.NoError(t, err)
				body := fmt.Sprintf(tt.body, fmt.Sprintf("%q:%s", name, valueOf(name)))
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("POST", tt.path, strings.NewReader(body)))
				require.Less(t, w.Code, 300, "%s: %s", name, w.Body)
				require.Len(t, stored.Events(), 1)
				e := stored.Events()[0]
				require.Equal(t, tt.dialect, e.Dialect)
				var extra struct {
					Client map[string]json.RawMessage `json:"_client"`
				}
				if e.Extra != nil {
					require.NoError(t, json.Unmarshal(e.Extra, &extra))
				}
				kind := canonical.KindOf(name)
				taken := kind.ServerOnly() || canonical.IsField(name, "track") && !slices.Contains(tt.own, name)
				require.Equal(t, taken, extra.Client[name] != nil, name)
				require.Equal(t, taken && name != canonical.Type, e.Warnings&inlet.WarnReservedMember != 0, name)
			}
		})
	}
}
