package inlet_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

// A layer is a middleware.
type layer = func(http.Handler) http.Handler

// mustAuth returns an authentication layer.
func mustAuth(t testing.TB, a inlet.Authenticator, o *inlet.AuthOptions) layer {
	t.Helper()
	l, err := inlet.Authenticate(a, o)
	require.NoError(t, err)
	return l
}

// presentedKeys serves a request behind an authentication layer that knows no key. It returns
// the credentials that the authenticator was asked for, in order.
func presentedKeys(t testing.TB, r *http.Request, o *inlet.AuthOptions) (asked []inlet.Credentials, w *httptest.ResponseRecorder) {
	t.Helper()
	unknown := inlet.AuthenticatorFunc(func(_ context.Context, c inlet.Credentials) (*inlet.Source, error) {
		asked = append(asked, c)
		return nil, inlet.ErrUnknownKey
	})
	return asked, serve(mustAuth(t, unknown, o)(http.NotFoundHandler()), r)
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// oddKey has, in base64, the characters in which the alphabets differ.
const oddKey = "~~~???>>>"

func TestCredentials(t *testing.T) {
	t.Parallel()
	t.Run("Basic", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, base64Of(oddKey), "/")
		tests := []struct {
			name, value string
			keys        []string // that are asked for
		}{
			{"with the colon and padding", "Basic " + base64Of("ILoveData123:"), []string{"ILoveData123"}},
			{"without a colon, as printed in documents", "Basic SUxvdmVEYXRhMTIz", []string{"ILoveData123"}},
			{"without padding", "Basic " + strings.TrimRight(base64Of("ILoveData123:"), "="), []string{"ILoveData123"}},
			{"with too much padding", "Basic " + base64Of("ILoveData123:") + "==", []string{"ILoveData123"}},
			{"in the alphabet for URLs", "Basic " + base64.URLEncoding.EncodeToString([]byte(oddKey+":")), []string{oddKey}},
			{"in the standard alphabet", "Basic " + base64Of(oddKey+":"), []string{oddKey}},
			{"with two spaces", "Basic  SUxvdmVEYXRhMTIz", []string{"ILoveData123"}},
			{"with spaces around", "  Basic SUxvdmVEYXRhMTIz  ", []string{"ILoveData123"}},
			{"in lower case", "basic SUxvdmVEYXRhMTIz", []string{"ILoveData123"}},
			{"in upper case", "BASIC SUxvdmVEYXRhMTIz", []string{"ILoveData123"}},
			{"with a password", "Basic " + base64Of("user:password"), []string{"user:password", "user"}},
			{"with a password and a colon", "Basic " + base64Of("id:secret:"), []string{"id:secret", "id"}},
			{"with two colons at the end", "Basic " + base64Of("web::"), []string{"web:", "web"}},
			{"with an empty user name", "Basic " + base64Of(":"), nil},
			{"with nothing", "Basic ", nil},
			{"with only the scheme", "Basic", nil},
			{"with text that is not base64", "Basic !!!", nil},
			{"with both alphabets", "Basic -_+/", nil},
			{"with a scheme run into the key", "BasicSUxvdmVEYXRhMTIz", nil},
			{"with a long key", "Basic " + base64Of(strings.Repeat("k", 1000)+":"), []string{strings.Repeat("k", 1000)}},
			{"of another scheme", "Digest SUxvdmVEYXRhMTIz", nil},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				asked, w := presentedKeys(t, request("POST", "/v1/track", strings.NewReader(`{"userId":"u"}`), "Authorization", test.value), nil)
				var keys []string
				for _, c := range asked {
					keys = append(keys, c.Key)
				}
				require.Equal(t, test.keys, keys)
				if test.keys == nil {
					requireRefused(t, w, 401, inlet.CodeMissingKey)
				} else {
					requireRefused(t, w, 401, inlet.CodeUnknownKey)
				}
				for _, key := range keys {
					require.NotContains(t, w.Body.String(), key)
				}
			})
		}
	})
	t.Run("places", func(t *testing.T) {
		t.Parallel()
		const event = `{"type":"page","userId":"u"}`
		const keyed = `{"type":"page","userId":"u","writeKey":"`
		long := repeated(2000, event)
		type pairs []string
		tests := []struct {
			name, path, body string
			headers          pairs
			key, bearer      string
			code             inlet.Code
		}{
			{"X-Write-Key", "/v1/page", event, pairs{"X-Write-Key", " k1 "}, "k1", "", inlet.CodeUnknownKey},
			{"X-Write-Key with a colon, as Jitsu's", "/v1/page", event, pairs{"X-Write-Key", "id:secret"}, "id:secret", "", inlet.CodeUnknownKey},
			{"a masked key in the body is not asked for", "/v1/page", keyed + `id:***"}`, pairs{"X-Write-Key", "id:secret"}, "id:secret", "", inlet.CodeUnknownKey},
			{"X-Write-Key before Basic", "/v1/page", event, pairs{"X-Write-Key", "k1", "Authorization", "Basic " + base64Of("k2:")}, "k1", "", inlet.CodeUnknownKey},
			{"X-Write-Key next to a Bearer", "/v1/page", event, pairs{"X-Write-Key", "k1", "Authorization", "Bearer token"}, "k1", "token", inlet.CodeUnknownKey},
			{"Basic before the query", "/v1/page?writeKey=k3", event, pairs{"Authorization", "Basic " + base64Of("k2:")}, "k2", "", inlet.CodeUnknownKey},
			{"an empty Basic, and the query", "/v1/page?writeKey=k3", event, pairs{"Authorization", "Basic Og=="}, "k3", "", inlet.CodeUnknownKey},
			{"an undecodable Basic, and a query with a colon", "/v1/page?writeKey=k3:x", event, pairs{"Authorization", "Basic !"}, "k3:x", "", inlet.CodeUnknownKey},
			{"the query", "/v1/page?x=1&writeKey=k3", event, nil, "k3", "", inlet.CodeUnknownKey},
			{"the query in lower case", "/v1/page?writekey=k3", event, nil, "k3", "", inlet.CodeUnknownKey},
			{"the query in other letters", "/v1/page?WriteKey=k3", event, nil, "", "", inlet.CodeMissingKey},
			{"a plus in the query", "/v1/page?writeKey=a+b/c==", event, nil, "a+b/c==", "", inlet.CodeUnknownKey},
			{"an escaped plus in the query", "/v1/page?writeKey=a%2Bb%3D", event, nil, "a+b=", "", inlet.CodeUnknownKey},
			{"an empty parameter", "/v1/page?writeKey=", event, nil, "", "", inlet.CodeMissingKey},
			{"an escaped name", "/v1/page?%77riteKey=k3", event, nil, "k3", "", inlet.CodeUnknownKey},
			{"a name behind an entity", "/v1/page?x=1&amp;writeKey=k3", event, nil, "", "", inlet.CodeMissingKey},
			{"a ; in the query is data", "/v1/page?x=1;writeKey=k3", event, nil, "", "", inlet.CodeMissingKey},
			{"a % that is not escaped, and a key in the body", "/v1/page?writeKey=%zz", keyed + `k4"}`, nil, "k4", "", inlet.CodeUnknownKey},
			{"a % that is not escaped, and a Bearer", "/v1/page?writeKey=%zz", event, pairs{"Authorization", "Bearer token"}, "token", "", inlet.CodeUnknownKey},
			{"a % that is not escaped", "/v1/page?writeKey=50%off", event, nil, "50%off", "", inlet.CodeUnknownKey},
			{"bytes that are not UTF-8", "/v1/page?writeKey=k%ff", event, nil, "k\ufffd", "", inlet.CodeUnknownKey},
			{"a broken parameter and a good one", "/v1/page?writeKey=%zz&writekey=k3", event, nil, "k3", "", inlet.CodeUnknownKey},
			{"the query before the body", "/v1/page?writeKey=k3", keyed + `k4"}`, nil, "k3", "", inlet.CodeUnknownKey},
			{"the body", "/v1/page", keyed + `k4"}`, nil, "k4", "", inlet.CodeUnknownKey},
			{"the body with escapes", "/v1/page", `{"write\u004bey":"k\u0034"}`, nil, "k4", "", inlet.CodeUnknownKey},
			{"the body below a member", "/v1/page", `{"context":{"writeKey":"k4"}}`, nil, "", "", inlet.CodeMissingKey},
			{"a number in the body", "/v1/page", `{"writeKey":4}`, nil, "", "", inlet.CodeMissingKey},
			{"an empty one in the body", "/v1/page", `{"writeKey":""}`, nil, "", "", inlet.CodeMissingKey},
			{"a batch's root", "/v1/batch", `{"writeKey":"k4","batch":[` + event + `]}`, nil, "k4", "", inlet.CodeUnknownKey},
			{"a batch's root, last", "/v1/batch", `{"batch":[` + strings.Join(long, ",") + `],"sentAt":"2026-03-01T12:00:00Z","writeKey":"k4"}`, nil, "k4", "", inlet.CodeUnknownKey},
			{"a batch's root before its events", "/v1/batch", `{"batch":[` + keyed + `k5"}],"writeKey":"k4"}`, nil, "k4", "", inlet.CodeUnknownKey},
			{"every event of a batch", "/v1/batch", batchOf(keyed+`k5"}`, keyed+`k5"}`), nil, "k5", "", inlet.CodeUnknownKey},
			{"one event of a batch", "/v1/batch", batchOf(event, keyed+`k5"}`, event), nil, "k5", "", inlet.CodeUnknownKey},
			{"events that differ", "/v1/batch", batchOf(keyed+`k5"}`, keyed+`k6"}`), nil, "", "", inlet.CodeConflictingKeys},
			{"events that differ below a root's", "/v1/batch", `{"writeKey":"k4","batch":[` + keyed + `k5"},` + keyed + `k6"}]}`, nil, "k4", "", inlet.CodeUnknownKey},
			{"events that differ below a header", "/v1/batch", batchOf(keyed+`k5"}`, keyed+`k6"}`), pairs{"X-Write-Key", "k1"}, "k1", "", inlet.CodeUnknownKey},
			{"Bearer alone", "/v1/page", event, pairs{"Authorization", "Bearer token"}, "token", "", inlet.CodeUnknownKey},
			{"Bearer in lower case", "/v1/page", event, pairs{"Authorization", "bearer  token"}, "token", "", inlet.CodeUnknownKey},
			{"Bearer next to a key in the body", "/v1/page", keyed + `k4"}`, pairs{"Authorization", "Bearer token"}, "k4", "token", inlet.CodeUnknownKey},
			{"Bearer next to a key in the query", "/v1/page?writeKey=k3", event, pairs{"Authorization", "Bearer token"}, "k3", "token", inlet.CodeUnknownKey},
			{"no key", "/v1/page", event, nil, "", "", inlet.CodeMissingKey},
			{"no key and no body", "/v1/page", "", nil, "", "", inlet.CodeInvalidJSON},
			{"no key and no JSON", "/v1/page", "{", nil, "", "", inlet.CodeInvalidJSON},
			{"a pixel's query", "/v1/pixel/page?writeKey=k3&userId=u", "", nil, "k3", "", ""},
			{"a pixel's payload", "/v1/pixel/page?data=" + base64.RawURLEncoding.EncodeToString([]byte(keyed+`k7"}`)), "", nil, "k7", "", ""},
			{"a pixel's query before its payload", "/v1/pixel/page?writeKey=k3&data=" + base64.RawURLEncoding.EncodeToString([]byte(keyed+`k7"}`)), "", nil, "k3", "", ""},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				method := "POST"
				if strings.Contains(test.path, "pixel") {
					method = "GET"
				}
				r := request(method, test.path, strings.NewReader(test.body), test.headers...)
				r.Header.Set("Origin", "https://shop.example")
				asked, w := presentedKeys(t, r, nil)
				switch {
				case test.code == "":
					requirePixel(t, w, inlet.CodeUnknownKey)
				case test.code == inlet.CodeInvalidJSON:
					requireRefused(t, w, 400, test.code)
				default:
					requireRefused(t, w, 401, test.code)
				}
				if test.key == "" {
					require.Empty(t, asked)
					return
				}
				require.Equal(t, inlet.Credentials{Key: test.key, Bearer: test.bearer, Origin: "https://shop.example"}, asked[0])
				if !strings.HasPrefix(test.key, "id:") {
					require.Len(t, asked, 1)
				}
				require.NotContains(t, w.Body.String(), test.key)
			})
		}
	})
	t.Run("misspelt header", func(t *testing.T) {
		t.Parallel()
		r := func() *http.Request {
			return request("POST", "/v1/page", strings.NewReader(`{}`), "Authentication", "Basic "+base64Of("k1:"))
		}
		asked, w := presentedKeys(t, r(), nil)
		require.Empty(t, asked)
		require.Contains(t, requireRefused(t, w, 401, inlet.CodeMissingKey).Message, `"Authorization", not "Authentication"`)
		asked, w = presentedKeys(t, r(), &inlet.AuthOptions{AcceptAuthenticationHeader: true})
		require.Equal(t, "k1", asked[0].Key)
		requireRefused(t, w, 401, inlet.CodeUnknownKey)
		both := r()
		both.Header.Set("Authorization", "Basic "+base64Of("k2:"))
		asked, _ = presentedKeys(t, both, &inlet.AuthOptions{AcceptAuthenticationHeader: true})
		require.Equal(t, "k2", asked[0].Key)
	})
}

// keyedHandler returns a handler that knows two keys, and its sink.
func keyedHandler(t testing.TB) (func(path, body string) *httptest.ResponseRecorder, *testsink.Keeper) {
	t.Helper()
	sink := new(testsink.Keeper)
	keys := inlet.MustKeys(map[string]inlet.Source{"known": {ID: "shop"}, "other": {ID: "bank"}})
	h := mustAuth(t, keys, nil)(mustNew(t, sink, nil))
	return func(path, body string) *httptest.ResponseRecorder {
		return serve(h, request("POST", path, strings.NewReader(body)))
	}, sink
}

// extraOf reads the members for which an event has no field.
func extraOf(t testing.TB, e *inlet.Event) (extra map[string]any) {
	t.Helper()
	if e.Extra != nil {
		require.NoError(t, json.Unmarshal(e.Extra, &extra))
	}
	return extra
}

// unquoted decodes what is between the quotes of a JSON string.
func unquoted(t testing.TB, inside string) (text string) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(`"`+inside+`"`), &text))
	return text
}

func TestKeyNames(t *testing.T) {
	t.Parallel()
	t.Run("lookalikes", func(t *testing.T) {
		t.Parallel()
		const event = `,"type":"page","userId":"u"`
		for _, name := range []string{
			`WRITEKEY`, `WriteKey`, `writekey`, `write_key`, "write\u212aey", `write\u212aey`, `write\u212Aey`, ` writeKey`, `writeKey `,
			`writeKey\u0000`, `\u0000writeKey`, "write\u200bKey", `write\u004b\u0435y`, "ｗriteKey", `writeKe`, `writeKeyy`,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				post, sink := keyedHandler(t)
				alone := `{"` + name + `":"known"` + event + `}`
				requireRefused(t, post("/v1/page", alone), 401, inlet.CodeMissingKey)
				requireRefused(t, post("/v1/batch", `{"`+name+`":"known","batch":[{"type":"page","userId":"u"}]}`), 401, inlet.CodeMissingKey)
				requireRefused(t, post("/v1/batch", batchOf(alone)), 401, inlet.CodeMissingKey)
				// Next to the key it changes nothing, and stays a member of its own name.
				for _, both := range []string{`"` + name + `":"other","writeKey":"known"`, `"writeKey":"known","` + name + `":"other"`} {
					requireSuccess(t, post("/v1/page", `{`+both+event+`}`))
				}
				require.Len(t, sink.Events(), 2)
				for _, e := range sink.Events() {
					require.Equal(t, "shop", e.Source.ID)
					require.Contains(t, extraOf(t, e), unquoted(t, name))
					require.NotContains(t, extraOf(t, e), "writeKey")
				}
			})
		}
	})
	t.Run("escapes", func(t *testing.T) {
		t.Parallel()
		post, sink := keyedHandler(t)
		for _, name := range []string{`writeKey`, `\u0077riteKey`, `write\u004bey`, `write\u004Bey`, `\u0077\u0072\u0069\u0074\u0065\u004b\u0065\u0079`} {
			requireSuccess(t, post("/v1/page", `{"`+name+`":"known","userId":"u"}`))
			requireSuccess(t, post("/v1/batch", `{"`+name+`":"kn\u006fwn","batch":[{"type":"page","userId":"u"}]}`))
		}
		for _, e := range sink.Events() {
			require.Equal(t, "shop", e.Source.ID)
			require.NotContains(t, extraOf(t, e), "writeKey")
		}
		require.Len(t, sink.Events(), 10)
	})
	t.Run("duplicates", func(t *testing.T) {
		t.Parallel()
		for _, pair := range [][2]string{
			{`"writeKey":"known"`, `"writeKey":"other"`},
			{`"writeKey":"known"`, `"writeKey":"known"`},
			{`"writeKey":"known"`, `"\u0077riteKey":"other"`},
			{`"write\u004bey":"other"`, `"writeKey":"known"`},
			{`"writeKey":"known","userId":"u1"`, `"userId":"u2"`},
			{`"writeKey":"known","properties":{"a":1}`, `"propert\u0069es":{"a":2}`},
			{`"writeKey":"known","properties":{"a":1`, `"\u0061":2}`},
			{`"writeKey":"known","type":"page"`, `"type":"track"`},
			{`"writeKey":"known","\ud800":1`, `"\udc00":2`},
			{"\"writeKey\":\"known\",\"\xff\":1", "\"\xfe\":2"},
		} {
			t.Run(pair[0]+pair[1], func(t *testing.T) {
				t.Parallel()
				post, sink := keyedHandler(t)
				requireRefused(t, post("/v1/page", `{"userName":"x",`+pair[0]+`,`+pair[1]+`}`), 400, inlet.CodeDuplicateName)
				requireRefused(t, post("/v1/batch", `{"batch":[{"type":"page","userId":"u"}],`+pair[0]+`,`+pair[1]+`}`), 400, inlet.CodeDuplicateName)
				w := post("/v1/batch", `{"writeKey":"known","batch":[{"type":"page","userId":"u"},{`+pair[0]+`,`+pair[1]+`}]}`)
				a := readReply(t, w)
				require.Equal(t, 1, *a.Accepted, "%s", w.Body)
				require.Len(t, a.Rejected, 1)
				require.Equal(t, inlet.CodeDuplicateName, a.Rejected[0].Code)
				require.Len(t, sink.Events(), 1)
			})
		}
		post, sink := keyedHandler(t)
		requireRefused(t, post("/v1/batch", `{"writeKey":"known","batch":[{"type":"page","userId":"u1"}],"b\u0061tch":[{"type":"page","userId":"u2"}]}`), 400, inlet.CodeDuplicateName)
		require.Empty(t, sink.Events())
	})
	t.Run("other case", func(t *testing.T) {
		t.Parallel()
		post, sink := keyedHandler(t)
		requireSuccess(t, post("/v1/track", `{"writeKey":"known","userId":"u","USERID":"v","UserId":1,"event":"E","Event":"F","properties":{"a":1},"PROPERTIES":{"a":2},"TYPE":"page","messageId":"m","MessageID":"n"}`))
		e := sink.Events()[0]
		require.Equal(t, []string{"u", "E", "m", `{"a":1}`}, []string{e.UserID, e.Name, e.MessageID, string(e.Properties)})
		require.Equal(t, inlet.TypeTrack, e.Type)
		require.Equal(t, map[string]any{"USERID": "v", "UserId": 1.0, "Event": "F", "PROPERTIES": map[string]any{"a": 2.0}, "TYPE": "page", "MessageID": "n"}, extraOf(t, e))
		requireRefused(t, post("/v1/track", `{"writeKey":"known","USERID":"v","event":"E"}`), 400, inlet.CodeNoUserAnonID)
	})
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	t.Run("result of the authenticator", func(t *testing.T) {
		t.Parallel()
		tests := []struct {
			name, origin string
			source       *inlet.Source
			err          error
			status       int
			code         inlet.Code
		}{
			{"a source", "", &inlet.Source{ID: "s"}, nil, 200, ""},
			{"a disabled source", "", &inlet.Source{ID: "s", Disabled: true}, nil, 403, inlet.CodeSourceDisabled},
			{"an unknown key", "", nil, inlet.ErrUnknownKey, 401, inlet.CodeUnknownKey},
			{"an error of its own", "", nil, &inlet.Error{Code: inlet.CodeRateLimited}, 429, inlet.CodeRateLimited},
			{"a key store that is down", "", nil, errors.New(secret), 503, inlet.CodeAuthUnavailable},
			{"a deadline", "", nil, context.DeadlineExceeded, 503, inlet.CodeAuthUnavailable},
			{"neither", "", nil, nil, 500, inlet.CodeInternal},
			{"a browser's source and its origin", "https://shop.example", &inlet.Source{ID: "s", Origins: []string{"https://shop.example"}}, nil, 200, ""},
			{"in other letters and with a slash", "https://Shop.example", &inlet.Source{ID: "s", Origins: []string{"https://shop.example/"}}, nil, 200, ""},
			{"one of several", "https://b.example", &inlet.Source{ID: "s", Origins: []string{"https://a.example", "https://b.example"}}, nil, 200, ""},
			{"another origin", "https://evil.example", &inlet.Source{ID: "s", Origins: []string{"https://shop.example"}}, nil, 403, inlet.CodeOriginNotAllowed},
			{"an origin that begins alike", "https://shop.example.evil.example", &inlet.Source{ID: "s", Origins: []string{"https://shop.example"}}, nil, 403, inlet.CodeOriginNotAllowed},
			{"another scheme", "http://shop.example", &inlet.Source{ID: "s", Origins: []string{"https://shop.example"}}, nil, 403, inlet.CodeOriginNotAllowed},
			{"the null origin", "null", &inlet.Source{ID: "s", Origins: []string{"https://shop.example"}}, nil, 403, inlet.CodeOriginNotAllowed},
			{"no origin", "", &inlet.Source{ID: "s", Origins: []string{"https://shop.example"}}, nil, 403, inlet.CodeOriginNotAllowed},
			{"a server's source with an origin", "https://any.example", &inlet.Source{ID: "s"}, nil, 200, ""},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				sink := new(testsink.Keeper)
				a := inlet.AuthenticatorFunc(func(context.Context, inlet.Credentials) (*inlet.Source, error) { return test.source, test.err })
				r := request("POST", "/v1/page", strings.NewReader(typedEvent("page")), "X-Write-Key", "k")
				if test.origin != "" {
					r.Header.Set("Origin", test.origin)
				}
				w := serve(mustAuth(t, a, nil)(mustNew(t, sink, nil)), r)
				require.NotContains(t, w.Body.String(), secret)
				if test.code == "" {
					requireSuccess(t, w)
					require.Same(t, test.source, sink.Events()[0].Source)
					return
				}
				requireRefused(t, w, test.status, test.code)
				require.Zero(t, sink.Calls())
			})
		}
	})
	t.Run("an open route needs no key", func(t *testing.T) {
		t.Parallel()
		never := inlet.AuthenticatorFunc(func(context.Context, inlet.Credentials) (*inlet.Source, error) {
			panic("asked for a key")
		})
		requireSuccess(t, serve(mustAuth(t, never, nil)(mustNew(t, new(testsink.Keeper), nil)), request("POST", "/m/", strings.NewReader("{}"))))
	})
	t.Run("the body is read once", func(t *testing.T) {
		t.Parallel()
		body := &countedBody{Reader: strings.NewReader(`{"type":"page","userId":"u","writeKey":"k"}`)}
		r := request("POST", "/v1/page", nil)
		r.Body, r.ContentLength = body, body.Size()
		sink := new(testsink.Keeper)
		requireSuccess(t, serve(mustAuth(t, inlet.MustKeys(map[string]inlet.Source{"k": {ID: "web"}}), nil)(mustNew(t, sink, nil)), r))
		require.LessOrEqual(t, body.reads, 2)
		require.Len(t, sink.Events(), 1)
	})
	t.Run("options", func(t *testing.T) {
		t.Parallel()
		_, err := inlet.Authenticate(nil, nil)
		require.EqualError(t, err, "inlet: AuthOptions: the authenticator is nil")
		_, err = inlet.Authenticate(inlet.MustKeys(nil), &inlet.AuthOptions{Protocol: &inlet.Protocol{Limits: inlet.Limits{Depth: -1}}})
		require.ErrorContains(t, err, "Limits.Depth")
		_, err = inlet.Authenticate(inlet.MustKeys(nil), &inlet.AuthOptions{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxRatio: -1}}})
		require.ErrorContains(t, err, "MaxRatio")
	})
}

// Keys are removed from what is stored, and appear in no answer, log or record.
func TestKeysAreSecret(t *testing.T) {
	t.Parallel()
	const key = "kEy-that-Stays-Secret"
	var log bytes.Buffer
	seen := new(observer)
	sink := new(testsink.Keeper)
	for _, err := range []error{nil, errors.New("down")} {
		sink.Respond = func(context.Context, []*inlet.Event) error { return err }
		h := mustNew(t, sink, &inlet.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Observer: seen})
		chain := mustAuth(t, inlet.MustKeys(map[string]inlet.Source{key: {ID: "web"}}), nil)(h)
		event := `{"type":"page","userId":"u","writeKey":"` + key + `","writekey":"` + key + `","write\u004bey2":1}`
		for _, r := range []*http.Request{
			request("POST", "/v1/page", strings.NewReader(event)),
			request("POST", "/v1/batch?writeKey="+key, strings.NewReader(`{"writeKey":"`+key+`","batch":[`+event+`,{"type":"no","writeKey":"`+key+`"}]}`)),
			request("POST", "/v1/page", strings.NewReader(event), "Authorization", "Basic "+base64Of(key+":"), "X-Write-Key", key),
			request("GET", "/v1/pixel/page?userId=u&writeKey="+key, nil),
			request("GET", "/v1/pixel/page?data="+base64.URLEncoding.EncodeToString([]byte(event)), nil),
		} {
			w := serve(chain, r)
			require.NotContains(t, w.Body.String(), key)
		}
	}
	require.Len(t, sink.Events(), 10)
	for _, e := range sink.Events() {
		line := string(e.AppendJSON(nil))
		require.NotContains(t, line, key)
		require.Equal(t, "web", e.Source.ID)
	}
	require.Contains(t, string(sink.Events()[0].Extra), "writeKey2")
	require.NotEmpty(t, log.String())
	require.NotContains(t, log.String(), key)
	require.NotContains(t, log.String(), base64Of(key+":"))
	for _, record := range seen.records {
		require.NotContains(t, record.Path+string(record.Code), key)
	}
}

// secretKey is the key of the tests that look for it where it must not be. In a query it is
// sent as it is, and escaped.
const secretKey = "kEy+that/Stays=Secret"

// keyNames are all names of members and parameters that hold a key in some dialect.
var keyNames = []string{"writeKey", "writekey", "appId", "token", "projectId"}

// keyRequest is a request whose key is in one place, next to data.
type keyRequest struct {
	name string
	*http.Request
	kept []string // of keyNames: those that are data, with the value dataOf(name)
}

func dataOf(name string) string { return "data of " + name }

// members returns names with a value, as members of an object.
func members(names []string, value func(string) string) string {
	var list []string
	for _, name := range names {
		list = append(list, fmt.Sprintf("%q:%q", name, value(name)))
	}
	return strings.Join(list, ",")
}

// without returns the names that are not among the others.
func without(names []string, others ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
}

// addQueryKeys adds the requests of a route whose event is in the query.
func addQueryKeys(add func(place, query, body string, kept []string, headers ...string), query []string, headers [][]string, isSegment bool) {
	event := []string{"event=E", "event_name=E", "type=page", "userId=u", "groupId=g", "previousId=p"}
	kept := without(keyNames, query...)
	data := slices.Clone(event)
	for _, name := range kept {
		data = append(data, name+"="+url.QueryEscape(dataOf(name)))
	}
	for _, header := range headers {
		add(header[0], strings.Join(data, "&"), "", kept, header...)
	}
	for _, name := range query {
		escaped := fmt.Sprintf("%%%02x%s", name[0], name[1:])
		for _, key := range []string{
			name + "=" + secretKey, name + "=" + url.QueryEscape(secretKey), escaped + "=" + secretKey,
			name + "=" + secretKey + "&" + name + "=" + secretKey, name + "=" + secretKey + "&amp;" + name + "=" + secretKey,
		} {
			for i := range len(data) + 1 {
				add(name, strings.Join(slices.Insert(slices.Clone(data), i, key), "&"), "", kept)
			}
		}
	}
	if isSegment {
		kept := without(keyNames, "writeKey")
		for _, list := range [][]string{slices.Insert(slices.Clone(kept), 0, "writeKey"), append(slices.Clone(kept), "writeKey")} {
			object := "{" + members(list, keyOr("writeKey")) + `,"event":"E","type":"page","userId":"u","groupId":"g","previousId":"p"}`
			add("data", "data="+base64.URLEncoding.EncodeToString([]byte(object)), "", kept)
		}
	}
}

// keyRequests returns requests for a route of a built-in dialect, one for each position of
// each place that its clients put the key in.
func keyRequests(d inlet.Dialect, route inlet.Route) (all []keyRequest) {
	query, places := d.KeyPlaces()
	if route.Key != nil { // as those of pixels and custom events, see below
		places = nil
	}
	isSegment := d.Name() != "commandersact" && d.Name() != "segmentstream"
	add := func(place, query, body string, kept []string, headers ...string) {
		name := fmt.Sprintf("%s %s, the key in %s, %s %s", route.Method, route.Path, place, query, body)
		r := request(route.Method, route.Path, strings.NewReader(body), headers...)
		r.URL.RawQuery = query
		all = append(all, keyRequest{name, r, kept})
	}
	headers := [][]string{
		{"X-Write-Key", secretKey}, {"Authorization", "Basic " + base64Of(secretKey+":")}, {"Authorization", "Basic " + base64Of(secretKey)},
	}
	if route.Method == http.MethodGet {
		addQueryKeys(add, query, append(headers, []string{"Authorization", "Bearer " + secretKey}), isSegment)
		return all
	}
	event := `"type":"page","event":"E","event_name":"E","userId":"u","groupId":"g","previousId":"p"`
	if route.Shape != nil || d.Name() == "segmentstream" {
		event = `"event":{"name":"E","user":{"userId":"u"}}`
	}
	custom := `"_metarouter":{"eventName":"E","userID":"u"}`
	if route.Key != nil && isSegment {
		event = custom
	}
	single := func(members ...string) string { return "{" + strings.Join(members, ",") + "}" }
	body := func(event string) string {
		if route.Batch {
			return single(`"batch":[` + event + "," + event + "]")
		}
		return event
	}
	kept := keyNames
	if isSegment && route.Key == nil {
		kept = without(keyNames, "writeKey")
	}
	for _, header := range headers {
		add(header[0], "token=reset&data=x", body(single(members(keyNames, dataOf), event)), kept, header...)
	}
	if route.Shape != nil { // its path is Segment's, too
		_, places = inlet.Segment().KeyPlaces()
	}
	free := without(kept, places...)
	add("Authorization", "", body(single(members(free, dataOf), event)), free, "Authorization", "Bearer "+secretKey)
	for _, name := range query {
		for _, key := range []string{name + "=" + secretKey, "a=1&" + name + "=" + url.QueryEscape(secretKey) + "&b=2"} {
			add(name+" of the query", key, body(single(members(keyNames, dataOf), event)), kept)
		}
	}
	for _, name := range places {
		for i := range len(free) + 1 {
			list := slices.Insert(slices.Clone(free), i, name)
			add(name, "", body(single(members(list, keyOr(name)), event)), free)
			add(name, "", body(single(event, members(list, keyOr(name)))), free)
			if route.Batch {
				root, item := members([]string{name}, keyOr(name)), single(event, members(free, dataOf))
				add(name, "", single(`"batch":[`+item+"]", root), free)
				add(name, "", single(root, `"batch":[`+item+","+item+"]"), free)
				add(name, "", single(root, `"batch":[`+single(event, members(list, keyOr(name)))+"]"), free)
			}
		}
	}
	if custom == event {
		metadata := single(`"writeKey":"`+secretKey+`"`, `"eventName":"E","userID":"u"`)
		add("metadata", "", single(members(keyNames, dataOf), `"_metarouter":`+metadata), keyNames)
		add("metadata", "", single(`"_metarouter":`+metadata, members(keyNames, dataOf)), keyNames)
		add("X-Event-Metadata", "", single(members(keyNames, dataOf)), keyNames, "X-Event-Metadata", metadata)
		add("X-Event-Metadata", "appId=x", single(members(keyNames, dataOf), `"_metarouter":{"writeKey":"no"}`), keyNames, "X-Event-Metadata", metadata)
	}
	return all
}

// keyOr returns the value of members: the key for one name, and data for the others.
func keyOr(place string) func(string) string {
	return func(name string) string {
		if name == place {
			return secretKey
		}
		return dataOf(name)
	}
}

// On every route, a key is taken from each of its dialect's places, in any position, and is
// in no event, log, record or answer; what only has the name of another dialect's place is
// data. Not parallel: it replaces the default logger.
func TestKeysInEvents(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	before := slog.Default()
	slog.SetDefault(logger)
	defer slog.SetDefault(before)
	var failure error
	var stored []string
	sink := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		for _, e := range events {
			requireCanonical(t, e)
			stored = append(stored, string(e.AppendJSON(nil)))
		}
		return failure
	})
	seen := new(observer)
	h := mustNew(t, sink, &inlet.Options{Logger: logger, Observer: seen})
	keys := inlet.MustKeys(map[string]inlet.Source{secretKey: {ID: "web"}})
	chain := middleware.AccessLog(&middleware.AccessLogOptions{Logger: logger})(mustAuth(t, keys, nil)(h))
	hidden := []string{"Secret", url.QueryEscape(secretKey), base64Of(secretKey), base64Of(secretKey + ":")}
	requireHidden := func(text string, r keyRequest) {
		t.Helper()
		for _, part := range hidden {
			require.NotContains(t, text, part, r.name)
		}
	}
	total := 0
	for _, d := range inlet.Dialects() {
		for _, route := range d.Routes() {
			if route.Open {
				continue
			}
			requests := keyRequests(d, route)
			for i, r := range requests {
				stored, failure = nil, nil
				if i%10 == 9 {
					failure = errors.New("down")
				}
				w := serve(chain, r.Request)
				switch {
				case failure == nil || route.Form == inlet.FormPixel:
					require.Less(t, w.Code, 300, "%s: %s", r.name, w.Body)
				default:
					require.Equal(t, 503, w.Code, r.name)
				}
				if failure == nil {
					require.Empty(t, w.Header().Get("X-Inlet-Error"), r.name)
				}
				require.NotEmpty(t, stored, r.name)
				for _, event := range stored {
					requireHidden(event, r)
					for _, name := range r.kept {
						require.Contains(t, event, fmt.Sprintf("%q:%q", name, dataOf(name)), r.name)
					}
				}
				requireHidden(w.Body.String()+fmt.Sprint(w.Header()), r)
			}
			total += len(requests)
		}
	}
	require.Greater(t, total, 1000)
	require.NotEmpty(t, log.String())
	requireHidden(log.String(), keyRequest{name: "the log"})
	require.Len(t, seen.records, total)
	for _, record := range seen.records {
		requireHidden(fmt.Sprintf("%+v", record), keyRequest{name: "a record"})
	}
}

// A member with the value of the key is dropped if it has the name of a place of the key in
// some dialect, in any case.
func TestKeysNextToKeys(t *testing.T) {
	t.Parallel()
	sink := new(testsink.Keeper)
	chain := mustAuth(t, inlet.MustKeys(map[string]inlet.Source{secretKey: {ID: "web"}}), nil)(mustNew(t, sink, nil))
	names := append(slices.Clone(keyNames), "WRITEKEY", "AppId", "Token", "amp;token", "amp;writeKey")
	for _, d := range inlet.Dialects() {
		for _, route := range d.Routes() {
			if route.Open {
				continue
			}
			all := members(names, func(string) string { return secretKey })
			event := `{"type":"page","event":"E","event_name":"E","userId":"u","groupId":"g","previousId":"p",` + all + `}`
			if route.Shape != nil || route.Path == "/collect" {
				event = `{"event":{"name":"E","user":{"userId":"u"}},` + all + `}`
			}
			if strings.Contains(route.Path, "custom") {
				event = `{"_metarouter":{"eventName":"E","userID":"u"},` + all + `}`
			}
			if route.Batch {
				event = `{"batch":[` + event + `],` + all + `}`
			}
			query := "event=E&event_name=E&type=page&userId=u&groupId=g&previousId=p"
			for _, name := range names {
				query += "&" + name + "=" + secretKey + "&" + name + "=" + url.QueryEscape(secretKey)
			}
			for _, header := range [][]string{{"X-Write-Key", secretKey}, {"Authorization", "Basic " + base64Of(secretKey)}} {
				before := len(sink.Events())
				r := request(route.Method, route.Path, strings.NewReader(event), header...)
				r.URL.RawQuery = query
				w := serve(chain, r)
				require.Less(t, w.Code, 300, "%s %s", route.Path, w.Body)
				require.Len(t, sink.Events(), before+1, "%s %s %s", route.Path, w.Body, w.Header())
				require.NotContains(t, string(sink.Events()[before].AppendJSON(nil)), "Secret", route.Path)
			}
		}
	}
}

// Key places belong to a dialect and a route: elsewhere the same names are data.
func TestKeysAndData(t *testing.T) {
	t.Parallel()
	const page = `"type":"page","userId":"u"`
	for _, tt := range []struct {
		name, method, path, body, header string
		code                             inlet.Code
		want                             string // what the event has next to its fields
	}{
		{"an app's id next to a custom event's metadata", "POST", "/v1/custom/event", `{"appId":"com.shop.app","_metarouter":{"writeKey":"K","eventName":"E","userID":"u"}}`, "",
			"", `"properties":{"appId":"com.shop.app"}`},
		{"a root's writeKey next to a custom event's metadata", "POST", "/v1/custom/event", `{"writeKey":"x","token":"y","_metarouter":{"writeKey":"K","eventName":"E","userID":"u"}}`, "",
			"", `"properties":{"writeKey":"x","token":"y"}`},
		{"an app's id next to a custom event's query", "POST", "/v1/custom/event?writeKey=K&eventName=E&userID=u&appId=a", `{"appId":"com.shop.app"}`, "",
			"", `"properties":{"appId":"com.shop.app"}`},
		{"a root's writeKey alone is no key of a custom event", "POST", "/v1/custom/event", `{"writeKey":"K","_metarouter":{"eventName":"E","userID":"u"}}`, "",
			inlet.CodeMissingKey, ""},
		{"data of Commanders Act", "POST", "/events?token=K", `{"event_name":"E","appId":"com.shop.app","writeKey":"x","writekey":"y","projectId":"p","token":"t"}`, "",
			"", `"properties":{"appId":"com.shop.app","writeKey":"x","writekey":"y","projectId":"p","token":"t"}`},
		{"data of a batch of Commanders Act", "POST", "/events/batch?token=K", `{"writeKey":"z","batch":[{"event_name":"E","appId":"com.shop.app","writeKey":"x"}]}`, "",
			"", `"properties":{"appId":"com.shop.app","writeKey":"x"}`},
		{"data of Commanders Act next to a Bearer token", "POST", "/events", `{"event_name":"E","appId":"com.shop.app","writeKey":"x"}`, "Bearer K",
			"", `"properties":{"appId":"com.shop.app","writeKey":"x"}`},
		{"a writeKey in the query of Commanders Act is not its key", "POST", "/events?writeKey=x&token=K", `{"event_name":"E"}`, "", "", ``},
		{"data of a pixel of Commanders Act", "GET", "/events?writeKey=x&appId=a&event_name=E&token=K", "", "",
			"", `"properties":{"writeKey":"x","appId":"a"}`},
		{"a token of the page next to a key in the body", "POST", "/v1/page?token=reset", `{"writeKey":"K",` + page + `}`, "", "", ``},
		{"a token of the page next to a Bearer token", "POST", "/v1/page?token=reset", `{` + page + `}`, "Bearer K", "", ``},
		{"a token in a batch's query", "POST", "/v1/batch?token=reset&appId=a", `{"batch":[{"writeKey":"K",` + page + `}]}`, "", "", ``},
		{"a token of a webhook", "POST", "/v1/w?token=reset", `{"writeKey":"K",` + page + `}`, "", "", ``},
		{"a token of a pixel", "GET", "/v1/pixel/page?token=reset&userId=u&writeKey=K&appId=a", "", "", "", `"appId":"a","token":"reset"`},
		{"a token of RudderStack's pixel", "GET", "/pixel/v1/page?token=reset&userId=u&writeKey=K", "", "", "", `"token":"reset"`},
		{"a token of Jitsu's pixel", "GET", "/api/px/page?token=reset&userId=u&writekey=K", "", "", "", `"token":"reset"`},
		{"a token in a body of Jitsu", "POST", "/api/s/page", `{"token":"reset","projectId":"p","appId":"a","writeKey":"masked",` + page + `}`, "Basic " + base64Of("K"),
			"", `"token":"reset","projectId":"p","appId":"a"`},
		{"a token in a beacon of RudderStack", "POST", "/beacon/v1/batch?writeKey=K&token=reset", `{"batch":[{"token":"reset",` + page + `}]}`, "", "", `"token":"reset"`},
		{"an app's id next to a key in a header", "POST", "/v1/page", `{"appId":"com.shop.app","writekey":"x",` + page + `}`, "Basic " + base64Of("K:"),
			"", `"appId":"com.shop.app","writekey":"x"`},
		{"an app's id next to a key in the query", "POST", "/v1/page?writeKey=K", `{"appId":7,` + page + `}`, "", "", `"appId":7`},
		{"an app's id next to a key in the body", "POST", "/v1/page", `{"appId":"com.shop.app","writeKey":"K",` + page + `}`, "", "", `"appId":"com.shop.app"`},
		{"an app's id that is the key", "POST", "/v1/page", `{"appId":"K",` + page + `}`, "", "", ``},
		{"a project's id of a hit", "POST", "/track", `{"projectId":"p","appId":"a","writeKey":"x","event":{"name":"E","user":{"userId":"u"}}}`, "Basic " + base64Of("K:"),
			"", `"properties":{"name":"E","user":{"userId":"u"}},"projectId":"p","appId":"a","writeKey":"x"`},
		{"a project's id of a hit that is the key", "POST", "/track", `{"projectId":"K","event":{"name":"E","user":{"userId":"u"}}}`, "Basic " + base64Of("K:"),
			"", `"properties":{"name":"E","user":{"userId":"u"}}`},
		{"an app's id of a hit that is the key", "POST", "/track", `{"appId":"K","event":{"name":"E","user":{"userId":"u"}}}`, "",
			"", `"properties":{"name":"E","user":{"userId":"u"}}`},
		{"a project's id is the key of a browser's hit", "POST", "/collect", `{"appId":"a","writeKey":"x","projectId":"K","event":{"name":"E","user":{"userId":"u"}}}`, "",
			"", `"properties":{"name":"E","user":{"userId":"u"}},"appId":"a","writeKey":"x"`},
		{"a project's id next to a browser's header", "POST", "/collect", `{"projectId":"p","event":{"name":"E","user":{"userId":"u"}}}`, "Basic " + base64Of("K:"),
			"", `"properties":{"name":"E","user":{"userId":"u"}},"projectId":"p"`},
		{"a project's id of Segment's call", "POST", "/track", `{"projectId":"p","writeKey":"K","event":"E","userId":"u"}`, "", "", `"projectId":"p"`},
		{"a project's id is no key of Segment's call", "POST", "/track", `{"projectId":"K","event":"E","userId":"u"}`, "", inlet.CodeMissingKey, ""},
		{"the value of the key below other names", "POST", "/v1/page", `{"key":"K","properties":{"token":"K"},"writeKey":"K",` + page + `}`, "",
			"", `"properties":{"token":"K"},"key":"K"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sink := new(testsink.Keeper)
			chain := mustAuth(t, inlet.MustKeys(map[string]inlet.Source{"K": {ID: "shop"}}), nil)(mustNew(t, sink, nil))
			r := request(tt.method, tt.path, strings.NewReader(tt.body))
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			w := serve(chain, r)
			if tt.code != "" {
				requireRefused(t, w, 401, tt.code)
				return
			}
			require.Less(t, w.Code, 300, "%s", w.Body)
			require.Empty(t, w.Header().Get("X-Inlet-Error"))
			require.Len(t, sink.Events(), 1)
			e := sink.Events()[0]
			got := map[string]json.RawMessage{}
			for name, raw := range map[string]json.RawMessage{"properties": e.Properties, "": e.Extra} {
				switch {
				case raw == nil:
				case name == "":
					require.NoError(t, json.Unmarshal(raw, &got))
				default:
					got[name] = raw
				}
			}
			for _, name := range []string{"event", "type", "userId"} {
				if e.Dialect != "commandersact" {
					delete(got, name)
				}
			}
			text, err := json.Marshal(got)
			require.NoError(t, err)
			require.JSONEq(t, "{"+tt.want+"}", string(text))
		})
	}
}

// Images carry no Origin: a pixel is judged by the page that its Referer names.
func TestPixelOrigin(t *testing.T) {
	t.Parallel()
	shop := map[string]inlet.Source{"k": {ID: "shop", Origins: []string{"https://shop.example", "http://[::1]:8080"}}}
	const pixel, event = "/v1/pixel/page?writeKey=k&userId=u", `{"userId":"u","writeKey":"k"}`
	for _, tt := range []struct {
		name, method, path string
		headers            []string
		code               inlet.Code
	}{
		{"a page of the origin", "GET", pixel, []string{"Referer", "https://shop.example/a?b=c"}, ""},
		{"the origin alone", "GET", pixel, []string{"Referer", "https://shop.example/"}, ""},
		{"the origin with its port", "GET", pixel, []string{"Referer", "https://Shop.example:443"}, ""},
		{"another port", "GET", pixel, []string{"Referer", "http://[::1]:8080/x"}, ""},
		{"another dialect", "GET", "/events?token=k&event_name=E", []string{"Referer", "https://shop.example/"}, ""},
		{"another pixel", "GET", "/api/px/page?writekey=k&userId=u", []string{"Referer", "https://shop.example/"}, ""},
		{"an Origin", "GET", pixel, []string{"Origin", "https://shop.example"}, ""},
		{"an Origin, which counts alone", "GET", pixel, []string{"Origin", "https://evil.example", "Referer", "https://shop.example/"}, inlet.CodeOriginNotAllowed},
		{"the null Origin", "GET", pixel, []string{"Origin", "null", "Referer", "https://shop.example/"}, inlet.CodeOriginNotAllowed},
		{"an empty Origin", "GET", pixel, []string{"Origin", "", "Referer", "https://shop.example/"}, inlet.CodeOriginNotAllowed},
		{"another page", "GET", pixel, []string{"Referer", "https://evil.example/https://shop.example/"}, inlet.CodeOriginNotAllowed},
		{"another scheme", "GET", pixel, []string{"Referer", "http://shop.example/"}, inlet.CodeOriginNotAllowed},
		{"another host with a user", "GET", pixel, []string{"Referer", "https://shop.example@evil.example/"}, inlet.CodeOriginNotAllowed},
		{"another port of the host", "GET", pixel, []string{"Referer", "https://shop.example:80/"}, inlet.CodeOriginNotAllowed},
		{"no URL", "GET", pixel, []string{"Referer", "shop.example"}, inlet.CodeOriginNotAllowed},
		{"nothing", "GET", pixel, nil, inlet.CodeOriginNotAllowed},
		{"a request that is no pixel", "POST", "/v1/page", []string{"Referer", "https://shop.example/"}, inlet.CodeOriginNotAllowed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sink := new(testsink.Keeper)
			h := mustAuth(t, inlet.MustKeys(shop), nil)(mustNew(t, sink, nil))
			w := serve(h, request(tt.method, tt.path, strings.NewReader(event), tt.headers...))
			if tt.method == "GET" {
				requirePixel(t, w, tt.code)
			} else {
				requireRefused(t, w, 403, tt.code)
			}
			require.Len(t, sink.Events(), map[bool]int{true: 1}[tt.code == ""])
		})
	}
}

// Not parallel: it replaces the default logger.
func TestPixelOriginWarning(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	bound := []string{"https://shop.example"}
	h := mustAuth(t, inlet.MustKeys(map[string]inlet.Source{"k": {ID: "one", Origins: bound}, "l": {ID: "two", Origins: bound}}), nil)(mustNew(t, new(testsink.Keeper), nil))
	for range 3 {
		for _, key := range []string{"k", "l"} {
			requirePixel(t, serve(h, request("GET", "/v1/pixel/page?userId=u&writeKey="+key, nil)), inlet.CodeOriginNotAllowed)
			requirePixel(t, serve(h, request("GET", "/v1/pixel/page?userId=u&writeKey="+key, nil, "Referer", "https://evil.example")), inlet.CodeOriginNotAllowed)
		}
	}
	require.Equal(t, 1, strings.Count(log.String(), "source=one"), "%s", log.String())
	require.Equal(t, 1, strings.Count(log.String(), "source=two"))
	require.Contains(t, log.String(), "Referrer-Policy")
}

func TestKeys(t *testing.T) {
	t.Parallel()
	origins := []string{"https://shop.example"}
	keys, err := inlet.NewKeys(map[string]inlet.Source{"old": {ID: "web", Origins: origins}, "new": {ID: "web"}})
	require.NoError(t, err)
	origins[0] = "https://evil.example"
	for _, key := range []string{"old", "new"} {
		source, err := keys.Authenticate(t.Context(), inlet.Credentials{Key: key})
		require.NoError(t, err)
		require.Equal(t, "web", source.ID)
		require.NotContains(t, source.Origins, "https://evil.example")
	}
	for _, key := range []string{"", "olds", "ol", "OLD", " old"} {
		_, err := keys.Authenticate(t.Context(), inlet.Credentials{Key: key})
		require.ErrorIs(t, err, inlet.ErrUnknownKey)
	}
	empty, err := inlet.NewKeys(nil)
	require.NoError(t, err)
	_, err = empty.Authenticate(t.Context(), inlet.Credentials{Key: "k"})
	require.ErrorIs(t, err, inlet.ErrUnknownKey)

	const hidden = "a-hidden-key"
	for name, bad := range map[string]map[string]inlet.Source{
		"a source without an ID": {hidden: {}},
		"an empty key":           {"": {ID: "web"}},
		"a blank key":            {" \t": {ID: "web"}},
		"a negative rate":        {hidden: {ID: "web", Rate: -1}},
		"a negative burst":       {hidden: {ID: "web", Burst: -1}},
	} {
		_, err := inlet.NewKeys(bad)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), hidden)
		require.Panics(t, func() { inlet.MustKeys(bad) }, name)
	}
}

// NewKeys refuses what no page can have, in the words of middleware.CORS.
func TestKeysOrigins(t *testing.T) {
	t.Parallel()
	for _, listed := range []string{
		"shop.example", "*", "null", "", "//shop.example", "https://", "https://shop.example/path", "https://shop.example:", "https://bücher.example",
	} {
		keys := map[string]inlet.Source{"k": {ID: "shop", Origins: []string{"https://shop.example", listed}}}
		_, err := inlet.NewKeys(keys)
		want := `inlet: NewKeys: the source "shop": Origins[1] is "` + listed + `", must be "https://host" or "https://host:port"`
		require.EqualError(t, err, want)
		require.PanicsWithError(t, want, func() { inlet.MustKeys(keys) })
	}

	shops := inlet.MustKeys(map[string]inlet.Source{
		"any": {ID: "any"}, "old": {ID: "old", Origins: []string{"https://old.example"}, Disabled: true},
		"shops": {ID: "shops", Origins: []string{"https://*.shop.example", "http://localhost:3000"}},
	})
	h := mustAuth(t, shops, nil)(mustNew(t, new(testsink.Keeper), nil))
	for origin, allowed := range map[string]bool{
		"https://www.shop.example": true, "https://a.b.shop.example": true, "http://localhost:3000": true,
		"https://shop.example": false, "https://evilshop.example": false, "https://shop.example.evil.example": false,
		"https://old.example": false, "https://any.example": false, "null": false, "": false,
	} {
		require.Equal(t, allowed, shops.AllowsOrigin(t.Context(), origin), origin)
		r := httptest.NewRequest(http.MethodPost, "/v1/track", strings.NewReader(`{"userId":"u","event":"E"}`))
		r.Header.Set("X-Write-Key", "shops")
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, allowed, w.Code == http.StatusOK, origin)
	}
}
