package inspector

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed page.html
var page string

// ServeHTTP serves the page, below any prefix that is stripped.
func (i *Inspector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if !i.o.Authorize(r) {
		http.Error(w, "not authorized", http.StatusForbidden)
		return
	}
	// A site has many pages: those at other ports of this machine, or at other names of a domain.
	if site := r.Header.Get("Sec-Fetch-Site"); (site == "cross-site" || site == "same-site") && !followed(r) {
		http.Error(w, "not for other pages", http.StatusForbidden)
		return
	}
	i.handler.ServeHTTP(w, r)
}

// followed reports whether a link leads to the page. One to a stream would take a viewer's place.
func followed(r *http.Request) bool {
	return r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Mode") == "navigate"
}

func (i *Inspector) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", i.index)
	mux.HandleFunc("GET /stream", i.stream)
	mux.HandleFunc("GET /rows/{id}", i.detail)
	mux.HandleFunc("POST /control", i.control)
	return mux
}

// index serves the page, with a nonce for its script and its style.
func (i *Inspector) index(w http.ResponseWriter, r *http.Request) {
	nonce, token, api := rand.Text(), "", ""
	if i.o.Control != nil && i.o.Control(r) {
		token = i.token
	}
	if i.o.API != nil {
		api = html.EscapeString(strings.TrimSuffix(i.o.API(), "/"))
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; style-src 'nonce-"+nonce+
		"'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	_, _ = w.Write([]byte(strings.NewReplacer("{{nonce}}", nonce, "{{token}}", token, "{{api}}", api).Replace(page)))
}

// detail serves the event of a row, as text.
func (i *Inspector) detail(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	var found *row
	if err == nil {
		i.mu.Lock()
		found = i.ring.get(id)
		i.mu.Unlock()
	}
	if found == nil || !found.HasDetail {
		http.Error(w, "the event is not kept any more", http.StatusNotFound)
		return
	}
	text := found.detail // never changed once the row is kept
	if !i.o.Unmasked {
		text = mask(text)
	}
	if found.cut {
		w.Header().Set("X-Cut", "1")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(text)
}

// controlTimeout is how long a button may take.
const controlTimeout = 10 * time.Second

// control does what a button says: the query has the action and the name of the destination. The
// token is that of a page for which Control was true, and the header that has it cannot be sent by
// a page of another site.
func (i *Inspector) control(w http.ResponseWriter, r *http.Request) {
	given := r.Header.Get("X-Inspector-Token")
	if i.o.Control == nil || !i.o.Control(r) || subtle.ConstantTimeCompare([]byte(given), []byte(i.token)) != 1 {
		http.Error(w, "not authorized to use the buttons", http.StatusForbidden)
		return
	}
	action, name := r.URL.Query().Get("action"), r.URL.Query().Get("name")
	ctx, cancel := context.WithTimeout(r.Context(), controlTimeout)
	defer cancel()
	done, err := i.act(ctx, action, name)
	i.o.Logger.InfoContext(ctx, "inspector: button pressed", "action", short(action), "destination", short(name), "error", err)
	if err != nil {
		http.Error(w, i.shown(err.Error()), http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(done)
}

var (
	errNoButton   = errors.New("there is no such button")
	errNotRunning = errors.New("the destination has no running delivery")
)

// A done is what a button has done, in addition to what it says.
type done struct {
	// Redriven is how many dead letters the destination has accepted.
	Redriven uint64 `json:"redriven"`
}

// act does what a button says.
func (i *Inspector) act(ctx context.Context, action, name string) (out done, err error) {
	if action == "start" {
		if i.o.Start == nil {
			return out, errNoButton
		}
		return out, i.o.Start(ctx, name)
	}
	if i.o.Delivery == nil {
		return out, errNoButton
	}
	d := i.o.Delivery(name)
	if d == nil {
		return out, errNotRunning
	}
	switch action {
	case "stop":
		return out, d.Stop(ctx)
	case "skip":
		return out, d.Skip(ctx)
	case "redrive":
		out.Redriven, err = d.Redrive(ctx, nil)
		return out, err
	}
	return out, errNoButton
}
