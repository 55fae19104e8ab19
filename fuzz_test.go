package inlet_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
)

// fuzzed is the result of a request of a fuzz target.
type fuzzed struct {
	status  int
	code    inlet.Code
	events  []*inlet.Event
	rejects int
}

// fuzzHandler returns a function that has a handler answer a request.
func fuzzHandler(f *testing.F) func(t *testing.T, r *http.Request) fuzzed {
	sink, seen := new(testsink.Keeper), new(observer)
	h := mustNew(f, sink, &inlet.Options{Observer: seen})
	return func(t *testing.T, r *http.Request) fuzzed {
		sink.Reset()
		seen.records = nil
		w := serve(h, r)
		require.Len(t, seen.records, 1)
		return fuzzed{status: w.Code, code: seen.records[0].Code, events: sink.Events(), rejects: seen.records[0].Rejected}
	}
}

// requireLine checks that the canonical form of an event is one line of strict
// JSON that reads back equal.
func requireLine(t *testing.T, e *inlet.Event) {
	t.Helper()
	requireComplete(t, e)
	line := jsontext.Value(e.AppendJSON(nil))
	require.True(t, line.IsValid(), "%s", line)
	require.NotContains(t, string(line), "\n")
	require.NotContains(t, string(line), "\r")
	requireCanonical(t, e)
}

// requireComplete checks that an event has what every sink may rely on.
func requireComplete(t testing.TB, e *inlet.Event) {
	t.Helper()
	require.True(t, canonical.IsType(string(e.Type)))
	require.NotEmpty(t, e.MessageID)
	require.NotNil(t, e.Source)
	require.NotEmpty(t, e.Dialect)
	require.False(t, e.ReceivedAt.IsZero())
	require.False(t, e.Timestamp.IsZero())
	require.Equal(t, time.UTC, e.ReceivedAt.Location())
	require.Equal(t, time.UTC, e.Timestamp.Location())
}

func FuzzBatch(f *testing.F) {
	for _, body := range goldenRequests(f, "*/*.golden") {
		f.Add([]byte(body))
	}
	f.Add([]byte(`{"batch":[{"type":"page","userId":"u","context":{"a":{"b":1}}}],"context":{"a":{"b":2,"c":3}}}`))
	f.Add([]byte("{\"batch\":[{\"type\":\"page\",\"userId\":\"\xff\",\"properties\":{\"\xed\xa0\x80\":\"\\udfff\"}}]}"))
	sink := new(testsink.Keeper)
	h := mustNew(f, sink, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		sink.Reset()
		w := serve(h, authenticated("/v1/batch", string(body)))
		require.Contains(t, []int{200, 400}, w.Code)
		a := readReply(t, w)
		if w.Code == 400 {
			require.Empty(t, sink.Events())
		}
		if jsontext.Value(body).IsValid() {
			require.NotEqual(t, string(inlet.CodeInvalidJSON), a.Code)
		}
		sent, ok := elements(body)
		if ok && a.Accepted != nil {
			require.Equal(t, len(sent), *a.Accepted+len(a.Rejected))
			require.Len(t, sink.Events(), *a.Accepted)
		} else if ok && w.Code == 200 {
			require.Len(t, sink.Events(), len(sent))
		}
		refused := map[int]bool{}
		for _, r := range a.Rejected {
			require.False(t, refused[r.Index], "an event was refused twice")
			refused[r.Index] = true
		}
		for _, e := range sink.Events() {
			requireLine(t, e)
		}
		requireUntouched(t, sent, refused, sink.Events())
	})
}

// elements returns the elements of the list "batch" in a strictly valid body.
func elements(body []byte) (sent []jsontext.Value, ok bool) {
	if !jsontext.Value(body).IsValid() {
		return nil, false
	}
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, false
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, false
		}
		if name.String() != "batch" {
			if d.SkipValue() != nil {
				return nil, false
			}
			continue
		}
		if d.PeekKind() != '[' {
			return nil, false
		}
		_, _ = d.ReadToken()
		for d.PeekKind() != ']' {
			v, err := d.ReadValue()
			if err != nil {
				return nil, false
			}
			sent = append(sent, v.Clone())
		}
		return sent, true
	}
	return nil, false
}

// requireUntouched checks that the properties of accepted events are the bytes
// that were sent, and that they are in the order in which they were sent.
func requireUntouched(t *testing.T, sent []jsontext.Value, refused map[int]bool, events []*inlet.Event) {
	t.Helper()
	if len(events) == 0 {
		return
	}
	next := 0
	for i, item := range sent {
		if refused[i] {
			continue
		}
		e := events[next]
		next++
		if want := member(item, "properties"); want.Kind() == '{' && !e.Warnings.Has(inlet.WarnTextRepaired) {
			require.Equal(t, string(want), string(e.Properties))
		}
	}
}

// member returns the value of a member of a valid object.
func member(object jsontext.Value, name string) jsontext.Value {
	d := jsontext.NewDecoder(bytes.NewReader(object))
	_, _ = d.ReadToken()
	for d.PeekKind() == '"' {
		token, _ := d.ReadToken()
		is := token.String() == name
		v, _ := d.ReadValue()
		if is {
			return v.Clone()
		}
	}
	return nil
}

func FuzzSingle(f *testing.F) {
	for _, body := range goldenRequests(f, "*/*.golden") {
		f.Add([]byte(body))
	}
	sink := new(testsink.Keeper)
	h := mustNew(f, sink, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, kind := range []string{"identify", "track", "page", "screen", "group", "alias"} {
			sink.Reset()
			w := serve(h, authenticated("/v1/"+kind, string(body)))
			require.Contains(t, []int{200, 204, 400}, w.Code)
			require.Equal(t, w.Code != 400, len(sink.Events()) == 1)
			for _, e := range sink.Events() {
				requireLine(t, e)
			}
		}
	})
}

func FuzzPixel(f *testing.F) {
	for target, body := range goldenRequests(f, "*/*.golden") {
		if _, query, ok := strings.Cut(target, "?"); ok {
			f.Add(query)
		}
		f.Add("data=" + base64.RawURLEncoding.EncodeToString([]byte(body)))
	}
	f.Add("userId=u&event=E&properties=x&properties.a=1&.=2&..=3&=4")
	sink := new(testsink.Keeper)
	h := mustNew(f, sink, nil)
	f.Fuzz(func(t *testing.T, query string) {
		sink.Reset()
		r := authenticated("/v1/pixel/track", "")
		r.Method, r.URL.RawQuery, r.Body = http.MethodGet, query, http.NoBody
		w := serve(h, r)
		code := inlet.Code(w.Header().Get("X-Inlet-Error"))
		requirePixel(t, w, code)
		require.Equal(t, code == "", len(sink.Events()) == 1)
		for _, e := range sink.Events() {
			requireLine(t, e)
		}
		if values, err := url.ParseQuery(query); err == nil && code == "" && values.Get("data") == "" && utf8.ValidString(values.Get("event")) {
			require.Equal(t, values.Get("event"), sink.Events()[0].Name, fmt.Sprint(values))
		}
	})
}

func FuzzPayload(f *testing.F) {
	for _, encoding := range []string{"", "gzip", "deflate", "x-gzip", "identity", "br"} {
		f.Add(encoding, []byte(encoded(f, encoding, goodTrack)))
	}
	f.Add("deflate", []byte(encoded(f, "zlib", goodTrack)))
	f.Add("zstd", []byte(encoded(f, "zstd", goodTrack)))
	f.Add("zstd", []byte(encoded(f, "zstd", strings.Repeat("ab", 20_000))))
	f.Add("deflate", []byte(encoded(f, "flate", goodTrack)))
	f.Add("gzip", []byte(encoded(f, "gzip", strings.Repeat(" ", 100_000))))
	for _, header := range []string{"\"", " \"X-gzip\" ;q=1, utf-8", "us-ascii, none,,", "text/plain", "7bit;,gzip,gzip", "\rgzip", "\x00", "chun\u212aed"} {
		f.Add(header, []byte(encoded(f, "gzip", goodTrack)))
	}
	for _, padding := range []string{"\x00", "\r\n", "\x1f", strings.Repeat("\x00", 4096), strings.Repeat("\x00", 4097), "x"} {
		for _, encoding := range []string{"gzip", "zstd", "zlib", "flate"} {
			f.Add(map[string]string{"zlib": "deflate", "flate": "deflate"}[encoding]+map[string]string{"gzip": "gzip", "zstd": "zstd"}[encoding],
				[]byte(encoded(f, encoding, goodTrack)+padding))
		}
	}
	const most = 64 << 10
	pr := mustReader(f, inlet.PayloadLimits{MaxBytes: most, MaxRatio: 1 << 30})
	frames, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
	require.NoError(f, err)
	f.Cleanup(frames.Close)
	f.Fuzz(func(t *testing.T, encoding string, body []byte) {
		r := request("POST", "/v1/track", bytes.NewReader(body))
		r.Header["Content-Encoding"] = []string{encoding}
		r, p, err := pr.Read(nil, r)
		want, ok := reference(frames, encoding, body, most)
		if !ok {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, string(want), string(p.Bytes()))
		all, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, string(want), string(all))
		p.Release()
	})
}

// reference decodes a body another way, with the standard library where that can.
func reference(frames *zstd.Decoder, encoding string, body []byte, most int) (text []byte, ok bool) {
	name, ok := referenceEncoding(encoding)
	if !ok || len(body) > most {
		return nil, false
	}
	switch name {
	case "":
		return body, true
	case "gzip":
		text, ok = referenceGzip(body, most)
	case "deflate":
		text, ok = referenceDeflate(body, most)
	case "zstd":
		text, ok = referenceZstd(frames, body, most)
	}
	return text, ok && len(text) <= most
}

// readSome reads a little more than most bytes at most.
func readSome(src io.Reader, most int) ([]byte, bool) {
	text, err := io.ReadAll(io.LimitReader(src, int64(most)+1))
	return text, err == nil
}

// encodingPattern is an element of the header: the name of a compression, of something that is
// none, or of a content type, perhaps in quotes and with parameters.
var encodingPattern = regexp.MustCompile(`(?s)^[ \t"]*(?:(?:x-)?(gzip)|(deflate|zstd)|identity|none|utf-?8|(?:us-)?ascii|[78]bit|binary|chunked|[^,;]*/[^,;]*|)[ \t"]*(?:;.*)?$`)

// referenceEncoding returns the one compression that a header names, "" for none.
func referenceEncoding(header string) (name string, ok bool) {
	for element := range strings.SplitSeq(strings.ToLower(header), ",") {
		found := encodingPattern.FindStringSubmatch(element)
		if found == nil {
			return "", false
		}
		if compression := found[1] + found[2]; compression != "" && name != "" {
			return "", false
		} else if compression != "" {
			name = compression
		}
	}
	return name, true
}

// referenceGzip decodes members of gzip up to the end of the body, or to the padding behind one.
func referenceGzip(body []byte, most int) (text []byte, ok bool) {
	src := bytes.NewReader(body)
	for len(text) <= most {
		z, err := gzip.NewReader(src)
		if err != nil {
			return nil, false
		}
		z.Multistream(false)
		member, ok := readSome(z, most)
		if text = append(text, member...); !ok {
			return nil, false
		}
		if isReferencePadding(body[len(body)-src.Len():], len(body)-src.Len()) {
			return text, true
		}
	}
	return nil, false
}

// isReferencePadding reports whether the rest of a body is none, or only fills a buffer or a line.
func isReferencePadding(rest []byte, before int) bool {
	return strings.Trim(string(rest), "\x00 \t\r\n") == "" && (len(rest) <= 4096 || len(rest) <= before)
}

// referenceDeflate decodes deflate with the header of zlib, or without if it has none. It stops
// where the compressed data ends, as browsers and servers do.
func referenceDeflate(body []byte, most int) (text []byte, ok bool) {
	var src io.Reader = flate.NewReader(bytes.NewReader(body))
	if len(body) > 1 && body[0]&0x0f == 8 && (uint(body[0])<<8|uint(body[1]))%31 == 0 {
		z, err := zlib.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, false
		}
		src = z
	}
	return readSome(src, most)
}

// referenceZstd decodes frames of zstd. If that fails it tries without the white space and zeros
// at the end, byte by byte: they are padding behind a frame, or the end of one.
func referenceZstd(frames *zstd.Decoder, body []byte, most int) (text []byte, ok bool) {
	shortest := len(strings.TrimRight(string(body), "\x00 \t\r\n"))
	for end := len(body); end > 0 && end >= shortest && isReferencePadding(body[end:], end); end-- {
		if frames.Reset(bytes.NewReader(body[:end])) != nil {
			continue
		}
		if text, ok = readSome(frames, most); ok {
			return text, true
		}
	}
	return nil, false
}

func FuzzCredentials(f *testing.F) {
	for _, value := range []string{
		"Basic SUxvdmVEYXRhMTIz", "basic  SUxvdmVEYXRhMTIzOg==", "Bearer token", "Basic", "", "BASIC Og", "Basic fn5-Pz8_Pj4-Og", "Digest x", "Basic a b",
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := request("POST", "/v1/track", nil)
		r.Header["Authorization"] = []string{value}
		var asked []inlet.Credentials
		g := mustAuth(t, inlet.AuthenticatorFunc(func(_ context.Context, c inlet.Credentials) (*inlet.Source, error) {
			asked = append(asked, c)
			return nil, inlet.ErrUnknownKey
		}), nil)
		require.Equal(t, 401, serve(g(http.NotFoundHandler()), r).Code)
		want := referenceKey(value)
		if want == "" {
			require.Empty(t, asked)
			return
		}
		require.NotEmpty(t, asked)
		require.Equal(t, inlet.Credentials{Key: want}, asked[0])
	})
}

// referenceKey reads credentials another way.
func referenceKey(value string) string {
	value = strings.TrimSpace(value)
	at := strings.Index(value, " ")
	if at < 0 {
		return ""
	}
	scheme, rest := strings.ToLower(value[:at]), strings.TrimSpace(value[at:])
	switch {
	case scheme == "bearer":
		return rest
	case scheme != "basic":
		return ""
	}
	rest = strings.TrimRight(rest, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if text, err := encoding.DecodeString(rest); err == nil {
			return strings.TrimSuffix(string(text), ":")
		}
	}
	return ""
}
