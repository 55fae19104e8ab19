package inlet

// A Source is whoever a write key belongs to: a website, an app, a server. It
// is immutable once it has been given to Inlet, shared between requests, and
// may be kept.
type Source struct {
	// ID names the source in events, logs and metrics. It is no secret and is
	// never the write key. Required.
	ID string
	// Disabled refuses everything that the source sends, with 403.
	Disabled bool
	// Origins makes this a browser key: requests must come from one of these
	// origins ("https://shop.example"), or get 403. Empty for a server key,
	// which needs no Origin. Defaults to empty.
	Origins []string
	// Rate and Burst limit the source's requests, in requests per second, where
	// the rate limit is by source. Defaults to the limit of the middleware.
	Rate  float64
	Burst int
}
