package refusal_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/refusal"
)

func TestAdd(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 14, 0, 0, 0, time.FixedZone("", 3600))
	for _, tt := range []struct {
		name, extra string
		refusal     refusal.Refusal
		want        string
	}{
		{"the least", "", refusal.Refusal{Error: "e", At: at}, `{"_refused":{"error":"e","at":"2026-11-20T13:00:00Z"}}`},
		{"everything", `{"a":1}`, refusal.Refusal{Error: "e", At: at, By: "b", Code: "c", Field: "f", Received: []byte(`{"x":"y"}`)}, `{"a":1,"_refused":{"error":"e","at":"2026-11-20T13:00:00Z","by":"b","code":"c","field":"f","received":"{\"x\":\"y\"}"}}`},
		{"of a plan", "", refusal.Refusal{Error: "e", At: at, Plan: []byte(`{"name":"n"}`)}, `{"_refused":{"error":"e","at":"2026-11-20T13:00:00Z","plan":{"name":"n"}}}`},
		{"again", `{"_refused":{"error":"before"},"a":1}`, refusal.Refusal{Error: "e", At: at}, `{"a":1,"_refused":{"error":"e","at":"2026-11-20T13:00:00Z"}}`},
		{"any text", "", refusal.Refusal{Error: "\xff\"\n", At: at}, `{"_refused":{"error":"�\"\n","at":"2026-11-20T13:00:00Z"}}`},
		{"a long text", "", refusal.Refusal{Error: strings.Repeat("é", 1000), At: at}, `{"_refused":{"error":"` + strings.Repeat("é", 510) + `…","at":"2026-11-20T13:00:00Z"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var extra json.RawMessage
			if tt.extra != "" {
				extra = []byte(tt.extra)
			}
			got := refusal.Add(extra, &tt.refusal)
			require.Equal(t, tt.want, string(got))
			require.True(t, json.Valid(got))
			require.Equal(t, tt.extra, string(extra), "the old text has changed")
			require.LessOrEqual(t, cap(got), 2*refusal.Size(extra, &tt.refusal)+2*refusal.MaxText)
		})
	}
}
