package httpsink

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// defaultPath is where Segment, RudderStack, Jitsu and Inlet take batches.
const defaultPath = "/v1/batch"

// batchPaths are how the paths end that are known to take batches.
var batchPaths = []string{defaultPath, "/v1/b", "/v1/import", "/s2s/batch"}

// parseEndpoint returns the URL of the batch API. Its errors do not quote the
// endpoint, in which somebody may have put a key.
func parseEndpoint(endpoint string, o *Options) (string, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "", errors.New("it is no URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("its scheme must be https")
	case u.Scheme == "http" && !o.AllowHTTP:
		return "", errors.New("its scheme must be https; see Options.AllowHTTP")
	case u.Hostname() == "":
		return "", errors.New("it has no host")
	case u.User != nil:
		return "", errors.New("it has user information; the write key is an argument of its own")
	case strings.ContainsAny(endpoint, "?#"):
		return "", errors.New("it has a query or a fragment")
	}
	if err := checkHost(u.Hostname(), o); err != nil {
		return "", err
	}
	return u.Scheme + "://" + u.Host + batchPath(u.EscapedPath()), nil
}

// checkHost refuses at once an address that no request could be sent to.
func checkHost(host string, o *Options) error {
	ip, err := netip.ParseAddr(host)
	if err != nil || o.AllowPrivate || o.Transport != nil {
		return nil
	}
	return checkPublic(ip)
}

// batchPath returns path, completed to that of a batch API if it is none.
func batchPath(path string) string {
	path = strings.TrimRight(path, "/")
	if slices.ContainsFunc(batchPaths, func(known string) bool { return strings.HasSuffix(path, known) }) {
		return path
	}
	return strings.TrimSuffix(path, "/v1") + defaultPath
}
