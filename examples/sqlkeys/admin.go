package main

import (
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// admin returns the API by which keys are made, listed and revoked, for callers with the token.
func admin(k *keys, token string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /admin/keys", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		made, err := k.add(r.Context(), query.Get("source"), query["origin"])
		answer(w, made, err)
	})
	mux.HandleFunc("GET /admin/keys", func(w http.ResponseWriter, r *http.Request) {
		all, err := k.list(r.Context())
		answer(w, all, err)
	})
	mux.HandleFunc("DELETE /admin/keys/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			answer(w, nil, &invalidError{err})
			return
		}
		answer(w, struct{}{}, k.revoke(r.Context(), id))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1 {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, value any, err error) {
	_, invalid := errors.AsType[*invalidError](err)
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	case invalid:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case errors.Is(err, sql.ErrNoRows):
		http.Error(w, "there is no such key", http.StatusNotFound)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
