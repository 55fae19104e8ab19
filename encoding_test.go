package inlet_test

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

// oddEncodings are bodies as proxies and careless clients send them.
var oddEncodings = []struct {
	name, header string
	encode       func(t *testing.T, text string) string
}{
	{"gzip without a header", "", func(t *testing.T, text string) string { return encoded(t, "gzip", text) }},
	{"zlib without a header", "", func(t *testing.T, text string) string { return encoded(t, "zlib", text) }},
	{"gzip that is said to be deflate", "deflate", func(t *testing.T, text string) string { return encoded(t, "gzip", text) }},
	{"zlib that is said to be gzip", "gzip", func(t *testing.T, text string) string { return encoded(t, "zlib", text) }},
	{"plain text that is said to be gzip", "gzip", func(_ *testing.T, text string) string { return text }},
	{"plain text that is said to be deflate", "deflate", func(_ *testing.T, text string) string { return text }},
	{"plain text that is said to be zstd", "zstd", func(_ *testing.T, text string) string { return text }},
	{"a character set for an encoding", "UTF-8", func(_ *testing.T, text string) string { return text }},
	{"gzip and identity", "gzip, identity", func(t *testing.T, text string) string { return encoded(t, "gzip", text) }},
	{"x-gzip in upper case", "X-GZIP", func(t *testing.T, text string) string { return encoded(t, "gzip", text) }},
	{"gzip and zeros", "gzip", func(t *testing.T, text string) string { return encoded(t, "gzip", text) + strings.Repeat("\x00", 512) }},
	{"gzip and a line end", "gzip", func(t *testing.T, text string) string { return encoded(t, "gzip", text) + "\r\n" }},
	{"gzip and a line end, without a header", "", func(t *testing.T, text string) string { return encoded(t, "gzip", text) + "\r\n" }},
	{"gzip in two members", "gzip", func(t *testing.T, text string) string {
		return encoded(t, "gzip", text[:len(text)/2]) + encoded(t, "gzip", text[len(text)/2:])
	}},
	{"a byte order mark", "", func(_ *testing.T, text string) string { return "\ufeff" + text }},
	{"a byte order mark in gzip", "gzip", func(t *testing.T, text string) string { return encoded(t, "gzip", "\ufeff"+text) }},
	{"a byte order mark in gzip without a header", "", func(t *testing.T, text string) string { return encoded(t, "gzip", "\ufeff"+text) }},
	{"a byte order mark that is said to be gzip", "gzip", func(_ *testing.T, text string) string { return "\ufeff" + text }},
}

// wildcard is the part of a route's path that clients fill in.
var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// An odd encoding changes neither the answer nor what is stored: for every request of the golden
// files that has a JSON body, for every route, and whatever layer reads the body.
func TestOddEncodings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*/*.golden")
	require.NoError(t, err)
	requests := map[string]string{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		given, _, _ := strings.Cut(string(content), answerMark)
		_, text, _ := strings.Cut(given, "\n\n")
		if strings.HasPrefix(given, "POST ") && strings.HasPrefix(text, "{") && !strings.Contains(given, "\nContent-Encoding:") {
			requests[file] = given
		}
	}
	for _, route := range postRoutes() {
		requests[route.Path] = "POST " + wildcard.ReplaceAllString(route.Path, "track") + "\nX-Write-Key: abc123\n\n" +
			`{"type":"track","event":"E","userId":"u","groupId":"g","previousId":"p","messageId":"m"}`
	}
	for name, given := range requests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			layers := [][]func(http.Handler) http.Handler{nil, {middleware.Payload(nil)}}
			if strings.Contains(name, "migrate") {
				layers = [][]func(http.Handler) http.Handler{{middleware.Migrate(inlet.CommandersActV1(), nil)}}
			}
			if !slices.ContainsFunc(postRoutes(), func(r inlet.Route) bool { return matches(r, readRequest(t, given).URL.Path) }) {
				t.Skip("not a route for bodies")
			}
			head, text, _ := strings.Cut(given, "\n\n")
			answered := func(body, header string, layers []func(http.Handler) http.Handler) (got string) {
				atDialectNow(t, func(t *testing.T) {
					s := newDialectServer(t, layers...)
					r := readRequest(t, head+"\n\n"+body)
					if header != "" {
						r.Header.Set("Content-Encoding", header)
					}
					answer := s.do(r)
					got = answerText(answer) + eventsMark + eventsText(t, s.events)
				})
				return got
			}
			want := answered(text, "", layers[0])
			for i, odd := range oddEncodings {
				require.Equal(t, want, answered(odd.encode(t, text), odd.header, layers[i%len(layers)]), odd.name)
			}
		})
	}
}

// postRoutes are the routes of all dialects that take a body.
func postRoutes() (routes []inlet.Route) {
	for _, d := range inlet.Dialects() {
		for _, route := range d.Routes() {
			if route.Method == http.MethodPost {
				routes = append(routes, route)
			}
		}
	}
	return routes
}

// matches reports whether a path is that of a route, with or without its version.
func matches(r inlet.Route, path string) bool {
	pattern := wildcard.ReplaceAllString(r.Path, "[^/]+")
	pattern = strings.Replace(pattern, "/v1/", "/(v1/)?", 1)
	return regexp.MustCompile("^/?" + pattern + "/?$").MatchString(path)
}

// Each disagreement of header and body is one line in the log, however often it happens.
func TestEncodingWarning(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := mustNew(t, new(testsink.Keeper), &inlet.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	send := func(header, body string) {
		r := authenticated("/v1/track", body)
		if header != "" {
			r.Header.Set("Content-Encoding", header)
		}
		requireSuccess(t, serve(h, r))
	}
	for range 3 {
		send("gzip", encoded(t, "gzip", goodTrack))
		send("utf-8", goodTrack)
		send("", "\ufeff"+goodTrack)
	}
	require.Empty(t, log.String())
	for range 3 {
		send("", encoded(t, "gzip", goodTrack))
		send("gzip", goodTrack)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 2)
	require.Contains(t, lines[0], "named=none found=gzip source=website path=/v1/track")
	require.Contains(t, lines[1], "named=gzip found=none source=website path=/v1/track")
	for _, line := range lines {
		require.Contains(t, line, "level=WARN")
	}
}

// A layer that reads bodies for another handler leaves a file as it is, and text is read.
func TestEncodingOfOthers(t *testing.T) {
	t.Parallel()
	zipped := encoded(t, "gzip", goodTrack)
	for _, tt := range []struct{ kind, body, want string }{
		{"application/gzip", zipped, zipped},
		{"application/octet-stream", zipped, zipped},
		{"", "\ufefftext", "\ufefftext"},
		{"application/json", zipped, goodTrack},
		{"text/plain; charset=utf-8", zipped, goodTrack},
		{"application/vnd.api+json", zipped, goodTrack},
	} {
		var got bytes.Buffer
		layer := middleware.Payload(nil)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := got.ReadFrom(r.Body)
			require.NoError(t, err)
		}))
		r := httptest.NewRequest(http.MethodPost, "/upload", strings.NewReader(tt.body))
		r.Header.Set("Content-Type", tt.kind)
		layer.ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, tt.want, got.String(), tt.kind)
	}
}

// A pixel's event is JSON too.
func TestPixelMark(t *testing.T) {
	t.Parallel()
	event := "\ufeff" + `{"event":"E","userId":"u","writeKey":"abc123"}`
	for _, path := range []string{"/v1/pixel/track?data=", "/api/px/track?data=", "/api/px/track?properties.a=1&data="} {
		for _, text := range []string{base64.URLEncoding.EncodeToString([]byte(event)), url.QueryEscape(event)} {
			s := newDialectServer(t)
			require.Equal(t, 200, s.do(httptest.NewRequest(http.MethodGet, path+text, nil)).Code)
			require.Equal(t, "E", s.only(t).Name, path+text)
		}
	}
}
