package middleware

import (
	"net/http"
	"net/url"
	"strings"
)

// loggedText bounds a text of the client's in a log, in bytes.
const loggedText = 256

// loggedPath returns the path of r, escaped, so without control characters,
// without the query, where write keys stand, and with a "*" for the write key in
// the path of a settings request, /v1/projects/{key}/settings.
func loggedPath(r *http.Request) string {
	const projects, settings = "/projects/", "/settings"
	path := r.URL.Path
	i := strings.Index(path, projects)
	if i < 0 || !strings.HasSuffix(strings.TrimRight(path, "/"), settings) {
		return clip(r.URL.EscapedPath())
	}
	before := url.URL{Path: path[:i+len(projects)]}
	return clip(before.EscapedPath() + "*" + settings)
}

// clip bounds a text.
func clip(text string) string {
	if len(text) > loggedText {
		return text[:loggedText] + "..."
	}
	return text
}
