package middleware

import "net/http"

// loggedText bounds a text of the client's in a log.
const loggedText = 256

// loggedPath returns the path of r as it was sent: escaped, so without control
// characters, and without the query, where write keys stand.
func loggedPath(r *http.Request) string { return clip(r.URL.EscapedPath()) }

func clip(text string) string {
	if len(text) > loggedText {
		return text[:loggedText] + "..."
	}
	return text
}
