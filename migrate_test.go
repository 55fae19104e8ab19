package inlet_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// The payloads in testdata/migrate have the forms that were published or found on
// the wire. Each golden file holds the 2.0 form and the report. With UPDATE_GOLDEN
// set they are written anew.
func TestMigrateGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/migrate/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			payload, err := os.ReadFile(file)
			require.NoError(t, err)
			result, report := migrated(t, string(payload))
			got := strings.TrimSuffix(result, "\n") + "\n" + reportText(t, report)
			golden := strings.TrimSuffix(file, ".json") + ".golden"
			if os.Getenv("UPDATE_GOLDEN") != "" {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
			again, _ := migrated(t, result)
			require.Equal(t, result, again)
		})
	}
}

// reportText is a report with a line for each note.
func reportText(t testing.TB, report inlet.MigrationReport) string {
	notes := report.Notes
	report.Notes = nil
	var b strings.Builder
	for _, v := range append([]any{report}, anys(notes)...) {
		line, err := json.Marshal(v)
		require.NoError(t, err)
		b.Write(append(line, '\n'))
	}
	return b.String()
}

func anys[T any](list []T) (all []any) {
	for _, v := range list {
		all = append(all, v)
	}
	return all
}

func codesOf(report inlet.MigrationReport, kind inlet.MigrationKind) (codes []inlet.MigrationCode) {
	for _, n := range report.Notes {
		if n.Kind == kind {
			codes = append(codes, n.Code)
		}
	}
	return codes
}

func TestMigrateTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, at, want string
		code           inlet.MigrationCode
	}{
		{"milliseconds stay", `1639044446636`, `1639044446636`, ""},
		{"milliseconds in a text become a number", `"1639044446636"`, `1639044446636`, ""},
		{"parts of a millisecond are cut", `1639044446636.75`, `1639044446636`, ""},
		{"a number may have an exponent", `1.639044446636e12`, `1639044446636`, ""},
		{"the least milliseconds", `100000000000`, `100000000000`, ""},
		{"the most milliseconds", `99999999999999`, `99999999999999`, ""},
		{"seconds are guessed", `1639044446`, `1639044446000`, inlet.MigrationTimestampSeconds},
		{"seconds in a text are guessed", `"0001639044446"`, `1639044446000`, inlet.MigrationTimestampSeconds},
		{"parts of a second are kept", `1639044446.636`, `1639044446636`, inlet.MigrationTimestampSeconds},
		{"a time with Z", `"2015-12-12T19:11:01.249Z"`, `1449947461249`, ""},
		{"a time with an offset", `"2025-04-18T07:53:39.974+02:00"`, `1744955619974`, ""},
		{"a time with escapes", `"2015-12-12T19:11:01.249\u005a"`, `1449947461249`, ""},
		{"a time without a zone is read as UTC", `"2015-12-12T19:11:01"`, `1449947461000`, inlet.MigrationTimestampZone},
		{"a time that milliseconds cannot say", `"1970-01-02T00:00:00Z"`, `1700000000000`, inlet.MigrationTimestampInvalid},
		{"microseconds", `1639044446636000`, `1700000000000`, inlet.MigrationTimestampInvalid},
		{"too small for seconds", `99999999`, `1700000000000`, inlet.MigrationTimestampInvalid},
		{"a negative number", `-1639044446636`, `1700000000000`, inlet.MigrationTimestampInvalid},
		{"zero", `0`, `1700000000000`, inlet.MigrationTimestampInvalid},
		{"a day first", `"11/01/2022 14:32"`, `1700000000000`, inlet.MigrationTimestampInvalid},
		{"an object", `{"t":1}`, `1700000000000`, inlet.MigrationTimestampInvalid},
		{"null is none", `null`, `1700000000000`, inlet.MigrationTimestampMissing},
		{"an empty text is none", `""`, `1700000000000`, inlet.MigrationTimestampMissing},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, report := migrated(t, `{"event_name":"x","event_id":"E","event_timestamp":`+c.at+`,"properties":{"user":{"consistent_anonymous_id":"a"}}}`)
			require.Equal(t, `{"event_name":"x","user":{"consistent_anonymous_id":"a"},"context":{"event_id":"E","event_timestamp":`+c.want+`,"version":2}}`, got)
			if c.code == "" {
				require.Empty(t, report.Notes)
			} else {
				require.Equal(t, []inlet.MigrationCode{c.code}, codesOf(report, inlet.MigrationWarning))
			}
		})
	}
}

func TestMigrateOptions(t *testing.T) {
	t.Parallel()
	const unreadable = `{"event_name":"x","event_timestamp":"soon","properties":{}}`
	t.Run("without the time of arrival a time that cannot be read is left out", func(t *testing.T) {
		t.Parallel()
		for _, payload := range []string{unreadable, `{"event_name":"x","properties":{}}`} {
			out, _, err := inlet.MigrateCommandersActV1(nil, []byte(payload), inlet.MigrateOptions{})
			require.NoError(t, err)
			require.Equal(t, `{"event_name":"x","context":{"version":2}}`, string(out))
		}
	})
	t.Run("strict mode does not migrate such an event, wherever the time stands", func(t *testing.T) {
		t.Parallel()
		for _, payload := range []string{unreadable, `{"event_name":"x","properties":{"context":{"event_timestamp":"soon"}}}`, `{"event_name":"x","properties":{},"context":{"event_timestamp":{}}}`} {
			out, report, err := inlet.MigrateCommandersActV1(nil, []byte(payload), inlet.MigrateOptions{Strict: true, ReceivedAt: arrived})
			require.NoError(t, err)
			require.Equal(t, payload, string(out))
			require.Equal(t, []inlet.MigrationCode{inlet.MigrationTimestampInvalid}, codesOf(report, inlet.MigrationFailure))
			require.Equal(t, 1, report.Failed)
		}
	})
}

func TestMigrateAppends(t *testing.T) {
	t.Parallel()
	t.Run("behind what stands there", func(t *testing.T) {
		t.Parallel()
		for _, v := range vectors {
			out, _, err := inlet.MigrateCommandersActV1([]byte("before "), []byte(v.v1), inlet.MigrateOptions{ReceivedAt: arrived})
			require.NoError(t, err)
			require.Equal(t, "before "+v.v2, string(out))
		}
	})
	t.Run("nothing if the payload is no JSON", func(t *testing.T) {
		t.Parallel()
		out, _, err := inlet.MigrateCommandersActV1([]byte("before"), []byte(`{"a":'b'}`), inlet.MigrateOptions{})
		require.Equal(t, "before", string(out))
		var e *inlet.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, inlet.CodeInvalidJSON, e.Code)
		require.EqualValues(t, 5, e.Offset)
	})
}

func TestMigrateFailures(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]inlet.MigrationCode{
		`[1]`:               inlet.MigrationNotObject,
		`{"batch":[5]}`:     inlet.MigrationNotObject,
		`{"a":1,"a":2}`:     "duplicate_name",
		`{"properties":{}}`: inlet.MigrationEventNameRequired,
		`{"event":"","event_name":null,"properties":{}}`:            inlet.MigrationEventNameRequired,
		`{"event_name":"x","version":1,"properties":"y"}`:           inlet.MigrationPropertiesNotObject,
		`{"type":"track","event":"x","userId":"u","properties":{}}`: inlet.MigrationWrongDialect,
		`{"type":"track","event":"x","anonymousId":"u"}`:            inlet.MigrationWrongDialect,
		`{"event_name":"x","context":"c","event_id":"E"}`:           inlet.MigrationContextNotObject,
	} {
		got, report := migrated(t, payload)
		require.Equal(t, payload, got)
		require.Equal(t, []inlet.MigrationCode{want}, codesOf(report, inlet.MigrationFailure), payload)
		require.Equal(t, 1, report.Failed)
		require.Zero(t, report.Migrated)
	}
}

func TestMigrateRepairsText(t *testing.T) {
	t.Parallel()
	got, report := migrated(t, "{\"batch\":[{\"event_name\":\"\\ud83d\",\"event_id\":\"E\",\"event_timestamp\":1700000000000,\"properties\":{}},{\"event_name\":\"a\xff\"}]}")
	require.Equal(t, `{"batch":[{"event_name":"\ufffd","context":{"event_id":"E","event_timestamp":1700000000000,"version":2}},{"event_name":"a`+"\uFFFD"+`"}]}`, got)
	require.Contains(t, codesOf(report, inlet.MigrationWarning), inlet.MigrationTextRepaired)
}

func TestMigrationReportForLogs(t *testing.T) {
	t.Parallel()
	_, report := migrated(t, `{"event":"secret","eventId":"E","properties":{"user":{"email":"a@example.com"}},"user":{"email":"b@example.com"}}`)
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("migrated", "report", report)
	require.Contains(t, b.String(), `"report":{"events":1,"migrated":1,"failed":0,"conflict":1,"missing_required":1,"renamed":2,"timestamp_missing":1}`)
	require.NotContains(t, b.String(), "example.com")
}
