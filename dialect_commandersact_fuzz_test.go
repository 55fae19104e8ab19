package inlet_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// goldenRequests returns the paths and bodies of the golden files of a directory.
func goldenRequests(f *testing.F, dir string) (paths, bodies []string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.golden"))
	require.NoError(f, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		request, _, _ := strings.Cut(string(text), answerMark)
		head, body, _ := strings.Cut(request, "\n\n")
		paths, bodies = append(paths, strings.Fields(head)[1]), append(bodies, body)
	}
	return paths, bodies
}

// fuzzed is what became of a request of a fuzz target.
type fuzzed struct {
	status  int
	code    inlet.Code
	events  []*inlet.Event
	rejects int
}

// fuzzHandler returns a function that has a handler answer a request.
func fuzzHandler(f *testing.F) func(t *testing.T, r *http.Request) fuzzed {
	sink, seen := new(keeper), new(recordKeeper)
	h := mustNew(f, sink, &inlet.Options{Observer: seen})
	return func(t *testing.T, r *http.Request) fuzzed {
		sink.events = nil
		w := serve(h, r)
		return fuzzed{status: w.Code, code: seen.record.Code, events: sink.kept(), rejects: seen.record.Rejected}
	}
}

// recordKeeper keeps what the handler says of the last request.
type recordKeeper struct{ record inlet.Outcome }

// ObserveRequest keeps a copy.
func (k *recordKeeper) ObserveRequest(_ context.Context, r *inlet.Outcome) { k.record = *r }

func FuzzSegmentStream(f *testing.F) {
	_, bodies := goldenRequests(f, "testdata/segmentstream")
	for _, body := range bodies {
		f.Add(body)
	}
	do := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, body string) {
		got := do(t, vouched("/collect", body))
		switch got.status {
		case 204:
			require.Len(t, got.events, 1)
			requireCanonical(t, got.events[0])
			require.NotEmpty(t, got.events[0].UserID+got.events[0].AnonymousID)
			require.Zero(t, got.events[0].SentAt)
		case 400:
			require.Empty(t, got.events)
			require.NotEmpty(t, got.code)
		default:
			t.Fatalf("status %d", got.status)
		}
	})
}

func FuzzCommandersAct(f *testing.F) {
	paths, bodies := goldenRequests(f, "testdata/commandersact")
	for i, body := range bodies {
		f.Add(body, strings.Contains(paths[i], "batch"))
	}
	do := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, body string, batch bool) {
		path, sent := "/events?tc_s=3311", 1
		if batch {
			path = "/events/batch?tc_s=3311"
		}
		got := do(t, vouched(path, body))
		for _, e := range got.events {
			requireCanonical(t, e)
			require.Equal(t, `{"tc_s":"3311"}`, string(e.Extra))
		}
		if got.status == 400 { // the whole request
			require.Empty(t, got.events)
			require.Zero(t, got.rejects)
			return
		}
		require.Equal(t, 200, got.status)
		if batch {
			sent = listed(t, body)
		}
		require.Equal(t, sent, len(got.events)+got.rejects)
	})
}

// listed is how many events a batch lists, by another reader of JSON.
func listed(t *testing.T, body string) int {
	var root struct {
		Batch []json.RawMessage `json:"batch"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &root))
	return len(root.Batch)
}

func FuzzBracketQuery(f *testing.F) {
	for _, query := range []string{
		"event_name=page_view&user[id]=c1&user[consent_categories][]=1&user[consent_categories][]=3",
		"event_name=e&items[0][product][id]=p1&items[1][product][id]=p2&items[10][id]=x",
		"event_name=e&context%5Bevent_id%5D=e1&a[]b=1&[c]=2&d]=3&e[=4&f[g]h=5&g[[]]=6",
		"event_name=e&a[0]=1&a[0]=2&b=1&b[c]=2&d[][x]=1&d[][x]=2&&=&tc_s=1&token=t",
		"event_name=%ff%&a+b=c+d;e",
		"event_name=e&a[1]=x&a[01]=y&a[]=z&a[-1]=q",
	} {
		f.Add(query)
	}
	do := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, query string) {
		r := vouched("/events", "")
		r.Method, r.URL.RawQuery = http.MethodGet, query
		got := do(t, r)
		require.Equal(t, 200, got.status)
		require.Equal(t, got.code == "", len(got.events) == 1, "%s", got.code)
		require.NotContains(t, []inlet.Code{inlet.CodeInvalidJSON, inlet.CodeInternal}, got.code)
		for _, e := range got.events {
			requireCanonical(t, e)
		}
	})
}
