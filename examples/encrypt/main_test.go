package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inlettest"
)

func TestLayer(t *testing.T) {
	t.Parallel()
	key := appKeys["app-1"]
	sealed := encrypt("app-1", key, []byte(email))
	long := []byte(`{"userId":"user-1","traits":{"text":"` + strings.Repeat("x", 20_000) + `"}}`)
	damaged := bytes.Clone(sealed)
	damaged[len(damaged)-1] ^= 1
	for _, c := range []struct {
		name, encoding, writeKey string
		body                     []byte
		status                   int
		answer                   string
	}{
		{"encrypted", "aes128gcm", writeKey, sealed, 200, `"success":true`},
		{"of several records", "AES128GCM", writeKey, encrypt("app-1", key, long), 200, `"success":true`},
		{"compressed before that", "gzip, aes128gcm", writeKey, encrypt("app-1", key, compress(t, long)), 200, `"success":true`},
		{"not encrypted", "", writeKey, []byte(email), 200, `"success":true`},
		{"not encrypted, against the header", "aes128gcm", writeKey, []byte(email), 400, "incomplete_body"},
		{"encrypted, against the header", "", writeKey, sealed, 400, "invalid_json"},
		{"damaged", "aes128gcm", writeKey, damaged, 400, "invalid_encoding"},
		{"cut off", "aes128gcm", writeKey, sealed[:len(sealed)-1], 400, "invalid_encoding"},
		{"cut off after a record", "aes128gcm", writeKey, encrypt("app-1", key, long)[:26+4096], 400, "invalid_encoding"},
		{"cut off in the header", "aes128gcm", writeKey, sealed[:10], 400, "incomplete_body"},
		{"with more behind it", "aes128gcm", writeKey, append(bytes.Clone(sealed), 0), 400, "invalid_encoding"},
		{"of an unknown key", "aes128gcm", writeKey, encrypt("app-0", key, []byte(email)), 400, "invalid_encoding"},
		{"of the wrong key", "aes128gcm", writeKey, encrypt("app-1", []byte("another secret"), []byte(email)), 400, "invalid_encoding"},
		{"of tiny records", "aes128gcm", writeKey, resized(sealed, 18), 400, "invalid_encoding"},
		{"of huge records", "aes128gcm", writeKey, resized(sealed, 1<<31), 400, "invalid_encoding"},
		{"larger than the API accepts", "aes128gcm", writeKey, encrypt("app-1", key, bytes.Repeat([]byte(" "), 5<<20)), 400, "payload_too_large"},
		{"without a write key", "aes128gcm", "", sealed, 401, "missing_key"},
		{"twice", "aes128gcm, aes128gcm", writeKey, encrypt("app-1", key, sealed), 415, "unsupported_encoding"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := inlettest.New(t, nil)
			api, err := inlet.New(srv.Sink(), nil)
			require.NoError(t, err)
			r := httptest.NewRequest("POST", "/v1/identify", bytes.NewReader(c.body))
			if c.encoding != "" {
				r.Header.Set("Content-Encoding", c.encoding)
			}
			if c.writeKey != "" {
				r.SetBasicAuth(c.writeKey, "")
			}
			w := httptest.NewRecorder()
			layers(api).ServeHTTP(w, r)
			require.Equal(t, c.status, w.Code, w.Body)
			require.Contains(t, w.Body.String(), c.answer)
			require.Equal(t, c.encoding, r.Header.Get("Content-Encoding"), "the request of the caller does not change")
			if c.status == 200 {
				srv.RequireIdentified(t, "user-1", nil)
			} else {
				srv.RequireNone(t)
			}
		})
	}
}

// A request that is refused by its header costs no decryption.
func TestLayerIsLazy(t *testing.T) {
	t.Parallel()
	api, err := inlet.New(inlettest.New(t, nil).Sink(), nil)
	require.NoError(t, err)
	body := &counted{Reader: bytes.NewReader(encrypt("app-1", appKeys["app-1"], []byte(email)))}
	r := httptest.NewRequest("POST", "/v1/identify", body)
	r.Header.Set("Content-Encoding", "aes128gcm")
	r.SetBasicAuth("guessed", "")
	w := httptest.NewRecorder()
	layers(api).ServeHTTP(w, r)
	require.Equal(t, 401, w.Code)
	require.Zero(t, body.reads)
}

type counted struct {
	io.Reader

	reads int
}

func (c *counted) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p)
}

// A body of nothing but padding ends, whatever it costs.
func TestPadding(t *testing.T) {
	t.Parallel()
	salt := make([]byte, saltBytes)
	aead, nonce, err := derive(appKeys["app-1"], salt)
	require.NoError(t, err)
	header := append(binary.BigEndian.AppendUint32(salt, minRecord), "\x05app-1"...)
	padding := make([]byte, minRecord-aead.Overhead())
	padding[0] = 1
	records := &endless{record: func(number uint64) []byte {
		return aead.Seal(nil, recordNonce(nonce, number), padding, nil)
	}}
	r := httptest.NewRequest("POST", "/v1/identify", io.MultiReader(bytes.NewReader(header), records))
	n, err := io.Copy(io.Discard, decrypted(r, appKeys, "").Body)
	require.ErrorContains(t, err, "invalid_encoding")
	require.Zero(t, n)
	require.LessOrEqual(t, records.number, uint64(maxSealed/minRecord)+1)
}

// The example of RFC 8188, section 3.1.
func TestVector(t *testing.T) {
	t.Parallel()
	key, err := base64.RawURLEncoding.DecodeString("yqdlZ-tYemfogSmv7Ws5PQ")
	require.NoError(t, err)
	body, err := base64.RawURLEncoding.DecodeString("I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg")
	require.NoError(t, err)
	r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
	plain, err := io.ReadAll(decrypted(r, map[string][]byte{"": key}, "").Body)
	require.NoError(t, err)
	require.Equal(t, "I am the walrus", string(plain))
}

func TestMembers(t *testing.T) {
	t.Parallel()
	seal, err := newSealer(diskKey)
	require.NoError(t, err)
	srv := inlettest.New(t, &inlettest.Options{Handler: &inlet.Options{
		Enrichers: []inlet.Enricher{seal.enricher("traits.email", "traits.address")},
	}})
	for _, body := range []string{
		`{"userId":"u","messageId":"1","traits":{"email":"ada@shop.example","address":{"city":"Berlin"},"plan":"free"}}`,
		`{"userId":"u","messageId":"2","traits":{"email":"ada@shop.example"}}`,
	} {
		r := httptest.NewRequest("POST", "/v1/identify", strings.NewReader(body))
		r.SetBasicAuth(srv.Key(), "")
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		require.Equal(t, 200, w.Code)
	}
	first, second := srv.Events()[0], srv.Events()[1]
	require.NotContains(t, string(first.AppendJSON(nil)), "ada")
	require.NotContains(t, string(first.AppendJSON(nil)), "Berlin")
	srv.RequireIdentified(t, "u", inlettest.Props{"plan": "free"})
	for path, want := range map[string]string{"traits.email": `"ada@shop.example"`, "traits.address": `{"city":"Berlin"}`} {
		value, err := seal.open(first, path)
		require.NoError(t, err)
		require.Equal(t, want, string(value))
	}
	_, err = seal.open(second, "traits.address")
	require.Error(t, err)
	stolen, _ := first.Get("traits.email")
	moved := second.Clone()
	require.NoError(t, moved.Set("traits.email", stolen))
	_, err = seal.open(moved, "traits.email")
	require.Error(t, err, "a value of another event")
}

func compress(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// resized returns a body whose header claims another size of its records.
func resized(body []byte, size uint32) []byte {
	body = bytes.Clone(body)
	binary.BigEndian.PutUint32(body[saltBytes:], size)
	return body
}

// endless is records without data, each correctly encrypted.
type endless struct {
	record func(number uint64) []byte
	number uint64
	rest   []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		e.rest = e.record(e.number)
		e.number++
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}
