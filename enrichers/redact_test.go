package enrichers_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
	"github.com/inlet-go/inlet/internal/canonical"
)

// personal is an event with something personal in every field that may have it.
func personal() *inlet.Event {
	return &inlet.Event{
		Type: inlet.TypeTrack, Name: "Signed Up", MessageID: "m1", UserID: "u1", AnonymousID: "a1", GroupID: "g1",
		Source: &inlet.Source{ID: "web"}, Dialect: "segment",
		Properties: json.RawMessage(`{"email":"p@example.com","n":12345678901234567890,"products":[{"sku":"1","coupon":"X"},{"sku":"2"}],"tags":["a","b",null,{"c":1}]}`),
		Traits:     json.RawMessage(` {"\u0065mail":"t@example.com", "address":{"city":"Ghent","street":"Main"}} `),
		Context:    json.RawMessage(`{"ip":"203.0.113.77","userAgent":"Mozilla/5.0"}`),
		Extra:      json.RawMessage(`{"rev":{"vip":true}}`),
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, path string
		want       func(e *inlet.Event)
	}{
		{"a member", "properties.email", func(e *inlet.Event) {
			e.Properties = json.RawMessage(`{"n":12345678901234567890,"products":[{"sku":"1","coupon":"X"},{"sku":"2"}],"tags":["a","b",null,{"c":1}]}`)
		}},
		{"a member whose name was sent with escapes", "traits.email", func(e *inlet.Event) {
			e.Traits = json.RawMessage(`{"address":{"city":"Ghent","street":"Main"}}`)
		}},
		{"a member of a member", "traits.address.street", func(e *inlet.Event) {
			e.Traits = json.RawMessage(`{"\u0065mail":"t@example.com","address":{"city":"Ghent"}}`)
		}},
		{"a member of the objects in an array", "properties.products.coupon", func(e *inlet.Event) {
			e.Properties = json.RawMessage(`{"email":"p@example.com","n":12345678901234567890,"products":[{"sku":"1"},{"sku":"2"}],"tags":["a","b",null,{"c":1}]}`)
		}},
		{"a whole field", "traits", func(e *inlet.Event) { e.Traits = nil }},
		{"the user id", "userId", func(e *inlet.Event) { e.UserID = "" }},
		{"the anonymous id", "anonymousId", func(e *inlet.Event) { e.AnonymousID = "" }},
		{"the group id", "groupId", func(e *inlet.Event) { e.GroupID = "" }},
		{"the previous id, where there is none", "previousId", func(*inlet.Event) {}},
		{"a member of an unknown member", "rev.vip", func(e *inlet.Event) { e.Extra = json.RawMessage(`{"rev":{}}`) }},
		{"the only unknown member", "rev", func(e *inlet.Event) { e.Extra = nil }},
		{"an absent member", "traits.phone", func(*inlet.Event) {}},
		{"a name in another case", "traits.Email", func(*inlet.Event) {}},
		{"a member of an absent field", "integrations.all", func(*inlet.Event) {}},
		{"a member of a value that is not an object", "context.ip.version", func(*inlet.Event) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			redact, err := enrichers.Redact(tt.path)
			require.NoError(t, err)
			got, sent, want := personal(), personal(), personal()
			raw := got.Clone()
			*sent = *raw // shares the bytes that must stay as they are
			redact(context.Background(), raw)
			tt.want(want)
			require.True(t, want.Equal(raw), "%s", raw.AppendJSON(nil))
			require.True(t, got.Equal(sent), "the bytes of a request are read-only")
		})
	}
}

// digestOf is the reference for Hash.
func digestOf(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestHash(t *testing.T) {
	t.Parallel()
	t.Run("values", func(t *testing.T) {
		t.Parallel()
		const key = "a secret of thirty-two bytes ..."
		hash, err := enrichers.Hash([]byte(key),
			"userId", "previousId", "traits.email", "properties.n", "properties.tags", "properties.products", "properties.empty", "properties.none")
		require.NoError(t, err)
		e := personal()
		e.Properties = json.RawMessage(`{"n":12345678901234567890,"tags":["a","b",null,{"c":1},["\u0061"]],"products":{"sku":1},"empty":"","none":null}`)
		hash(context.Background(), e)
		a := digestOf(key, "a")
		require.Equal(t, digestOf(key, "u1"), e.UserID)
		require.Empty(t, e.PreviousID)
		require.JSONEq(t, `{"n":"`+digestOf(key, "12345678901234567890")+`","tags":["`+a+`","`+digestOf(key, "b")+`",null,["`+a+`"]],"empty":"","none":null}`, string(e.Properties))
		require.JSONEq(t, `{"email":"`+digestOf(key, "t@example.com")+`","address":{"city":"Ghent","street":"Main"}}`, string(e.Traits))
	})
	t.Run("the key is copied", func(t *testing.T) {
		t.Parallel()
		key := []byte("a secret of thirty-two bytes ...")
		hash, err := enrichers.Hash(key, "userId")
		require.NoError(t, err)
		want := digestOf(string(key), "u1")
		clear(key)
		e := personal()
		hash(context.Background(), e)
		require.Equal(t, want, e.UserID)
	})
}

func TestPaths(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", ".", "traits.", ".email", "traits..email", "userId.x", "messageId", "type", "event", "name", "timestamp", "receivedAt", "sourceId", "_c"} {
		_, err := enrichers.Redact("traits.email", path)
		require.ErrorContains(t, err, `enrichers: Redact: path "`+path+`": `)
		_, err = enrichers.Hash(make([]byte, 16), "traits.email", path)
		require.ErrorContains(t, err, `enrichers: Hash: path "`+path+`": `)
	}
	for _, name := range canonical.Names() {
		kind := canonical.KindOf(name)
		_, err := enrichers.Redact(name)
		require.Equal(t, kind == canonical.KindID || kind == canonical.KindObject || kind == canonical.KindNote, err == nil, name)
	}
	_, err := enrichers.Redact()
	require.ErrorContains(t, err, "no path")
	_, err = enrichers.Hash(make([]byte, 15), "traits.email")
	require.EqualError(t, err, "enrichers: Hash: len(key) is 15, must be at least 16")
	_, err = enrichers.Hash(nil, "type", "traits.email", "_c")
	for _, fault := range []string{"at least 16", `path "type"`, `path "_c"`} {
		require.ErrorContains(t, err, fault, "the error names all faults")
	}
}

func TestRedactAllocs(t *testing.T) {
	redact, err := enrichers.Redact("traits.phone", "context.traits.email", "previousId", "properties.products.size")
	require.NoError(t, err)
	e, ctx := personal(), context.Background()
	e.Traits = json.RawMessage(`{"email":"t@example.com","address":{}}`) // a name with escapes allocates
	require.Zero(t, testing.AllocsPerRun(100, func() { redact(ctx, e) }))
}
