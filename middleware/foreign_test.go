package middleware_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/netip"
)

// Middleware as others write it, to stand between ours.

// wrappedWriter is a writer around another, as compressing layers have.
type wrappedWriter struct{ http.ResponseWriter }

func (w wrappedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// wrapping wraps the writer.
func wrapping(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(wrappedWriter{w}, r) })
}

// replacing replaces the body by what f makes of it.
func replacing(f func([]byte) []byte) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusTeapot)
				return
			}
			body = f(body)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			next.ServeHTTP(w, r)
		})
	}
}

type foreignKey struct{}

// remembering puts a value into the context.
func remembering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), foreignKey{}, "remembered")))
	})
}

// leaving starts the handler and returns before it has ended. What the handler
// writes goes to a writer of its own.
func leaving(begun <-chan struct{}, w http.ResponseWriter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			go next.ServeHTTP(w, r)
			<-begun
		})
	}
}

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }
