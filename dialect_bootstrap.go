package inlet

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/inlet-go/inlet/internal/wire"
)

// An Inquiry is a request that asks for something else than to store events,
// such as that of a library which asks on its start where to send them. It
// belongs to one call of [Route.Reply].
type Inquiry struct {
	// Request is the request. Its body is not read.
	Request *http.Request
	// Header is that of the answer. The content type is set already.
	Header http.Header
	// HTTPConfig is [Options.HTTPConfig], or nil. Read-only.
	HTTPConfig json.RawMessage

	public *url.URL // Options.PublicURL, or nil
}

// Mount returns where clients reach the handler, without a slash at the end:
// [Options.PublicURL] or, without that, the scheme, host and path prefix by which
// this request came. What a client says of itself must not be kept for others:
// the answer is then marked as not to be stored.
func (q *Inquiry) Mount() *url.URL {
	if q.public != nil {
		return q.public
	}
	q.Header["Cache-Control"] = noStore
	mount := &url.URL{Scheme: "http", Host: q.Request.Host, Path: mountPath(q.Request)}
	if q.Request.TLS != nil {
		mount.Scheme = "https"
	}
	return mount
}

// mountPath is what layers before the handler, such as [http.StripPrefix], took
// from the path. It is "" if the path was rewritten in another way.
func mountPath(r *http.Request) string {
	asked, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		return ""
	}
	prefix, _ := strings.CutSuffix(asked.Path, r.URL.Path)
	if prefix == asked.Path {
		return ""
	}
	return strings.TrimRight(prefix, "/")
}

// maxKeyBytes is how long a key in an answer may be: as long as one in Basic
// credentials.
const maxKeyBytes = 255

// projectSettings answers browser and mobile libraries that ask on their start
// where to send events. They trust the host in it more than their own
// configuration. The answer is the same for any key.
func projectSettings(q *Inquiry) ([]byte, error) {
	key := q.Request.PathValue("key")
	if len(key) > maxKeyBytes {
		return nil, &Error{Code: CodeInvalidRequest, Message: "the write key is too long", Field: "key"}
	}
	mount := q.Mount()
	body := wire.AppendString([]byte(`{"integrations":{"Segment.io":{"apiKey":`), key)
	body = wire.AppendString(append(body, `,"apiHost":`...), mount.Host+mount.EscapedPath()+"/v1")
	body = wire.AppendString(append(body, `,"protocol":`...), mount.Scheme)
	body = appendRaw(body, `,"httpConfig":`, q.HTTPConfig)
	body = append(body, `}},"metrics":{"sampleRate":0}`...)
	return append(appendRaw(body, `,"httpConfig":`, q.HTTPConfig), '}'), nil
}

// parsePublicURL reads [Options.PublicURL], nil for "".
func parsePublicURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("PublicURL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, errors.New("PublicURL must begin with http:// or https:// and a host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("PublicURL must end with its path")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}, nil
}

// checkHTTPConfig reports whether raw can be sent in an answer.
func checkHTTPConfig(raw json.RawMessage, limits wire.Limits) error {
	if raw == nil {
		return nil
	}
	var doc wire.Document
	if err := doc.Read(raw, "", limits); err != nil {
		return fmt.Errorf("HTTPConfig is no JSON object: %w", err)
	}
	return nil
}
