package main

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

const body = `{"userId":"u","traits":{"email":"u@shop.example","id":12345678901234567890}}`

var secret = []byte("a secret of the tests")

func TestSigned(t *testing.T) {
	t.Parallel()
	valid := hex.EncodeToString(sign(secret, []byte(body)))
	for _, c := range []struct {
		name, signature string
		encode          func(string) string
		encoding        string
		status          int
	}{
		{"a signed body", valid, nil, "", 200},
		{"a compressed body, signed before that", valid, compress, "gzip", 200},
		{"the signature of another body", hex.EncodeToString(sign(secret, []byte(body+" "))), nil, "", 401},
		{"no signature", "", nil, "", 401},
		{"a body that is too large", "", func(string) string { return strings.Repeat(" ", 8<<20) }, "", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var stored sinks.Memory
			api, err := inlet.New(&stored, nil)
			require.NoError(t, err)
			sent := body
			if c.encode != nil {
				sent = c.encode(body)
			}
			r := httptest.NewRequest("POST", "/v1/identify", strings.NewReader(sent))
			r.Header.Set("X-Signature", c.signature)
			r.Header.Set("Content-Encoding", c.encoding)
			w := httptest.NewRecorder()
			guarded(api, secret).ServeHTTP(w, r)
			require.Equal(t, c.status, w.Code, "%s", w.Body)
			if c.status == 200 {
				require.Equal(t, "app", stored.Events()[0].Source.ID)
			} else {
				require.Empty(t, stored.Events())
				require.Contains(t, w.Body.String(), `"code":`)
			}
		})
	}
}

func compress(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}

func TestRedactConformance(t *testing.T) {
	t.Parallel()
	read := func(_ testing.TB, s inlet.Sink) []*inlet.Event { return memoryOf(s.(*redact).inner).Events() }
	t.Run("over a sink that works", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, sinktest.Harness{
			New:      func(testing.TB) inlet.Sink { return &redact{new(sinks.Memory), "email"} },
			Read:     read,
			Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true},
		})
	})
	t.Run("over a sink that fails occasionally", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, sinktest.Harness{
			New: func(testing.TB) inlet.Sink {
				return &redact{sinktest.Flaky(new(sinks.Memory), &sinktest.FlakyOptions{Event: 5}), "email"}
			},
			Read:     read,
			Features: sinktest.Features{Partial: true, Fails: true},
		})
	})
}

// memoryOf returns the sink inside all decorators.
func memoryOf(s inlet.Sink) *sinks.Memory {
	if m, ok := s.(*sinks.Memory); ok {
		return m
	}
	return memoryOf(s.(inlet.Unwrapper).Unwrap())
}

func TestRedact(t *testing.T) {
	t.Parallel()
	var stored sinks.Memory
	events := sinktest.Events(1)
	events[0].Traits = []byte(`{"email":"u@shop.example","id":12345678901234567890}`)
	require.NoError(t, (&redact{&stored, "email"}).Write(t.Context(), events))
	require.Equal(t, `{"id":12345678901234567890}`, string(stored.Events()[0].Traits))
	require.Contains(t, string(events[0].Traits), "email", "the event of the caller was changed")
}
