package enrichers_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
)

func TestIPPolicy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ ip, truncated string }{
		{"203.0.113.77", "203.0.113.0"},
		{"::ffff:203.0.113.77", "203.0.113.0"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1::"},
		{"fe80::1%eth0", "fe80::"},
		{"0.0.0.0", "0.0.0.0"},
	} {
		ip := netip.MustParseAddr(tt.ip)
		require.Equal(t, ip.Unmap(), enrichers.IPKeep.Apply(ip))
		require.Equal(t, tt.truncated, enrichers.IPTruncate.Apply(ip).String())
		require.False(t, enrichers.IPDrop.Apply(ip).IsValid())
	}
	for _, p := range []enrichers.IPPolicy{enrichers.IPKeep, enrichers.IPTruncate, enrichers.IPDrop, enrichers.IPPolicy(9)} {
		require.Equal(t, p != 9, p.Valid())
		require.False(t, p.Apply(netip.Addr{}).IsValid())
	}
	require.False(t, enrichers.IPPolicy(9).Apply(netip.MustParseAddr("203.0.113.77")).IsValid())
}

func TestContextIP(t *testing.T) {
	t.Parallel()
	const seen = "198.51.100.9"
	for _, tt := range []struct {
		name          string
		rule          enrichers.IPRule
		ip            string // of the request
		context, want string
	}{
		{"is left as it was sent", enrichers.IPRule{}, seen, `{"ip": "x"}`, `{"ip": "x"}`},
		{"is not filled in by default", enrichers.IPRule{}, seen, `{}`, `{}`},
		{"is truncated", enrichers.IPRule{Policy: enrichers.IPTruncate}, seen, `{"ip":"203.0.113.77","a":1}`, `{"ip":"203.0.113.0","a":1}`},
		{"is truncated in IPv6", enrichers.IPRule{Policy: enrichers.IPTruncate}, seen, `{"ip":"2001:DB8:1:2::3"}`, `{"ip":"2001:db8:1::"}`},
		{"is removed if it is not an address", enrichers.IPRule{Policy: enrichers.IPTruncate}, seen, `{"ip":"203.0.113.77, 10.0.0.1","a":1}`, `{"a":1}`},
		{"is removed if it is not a string", enrichers.IPRule{Policy: enrichers.IPTruncate}, seen, `{"ip":{"v4":1},"a":1}`, `{"a":1}`},
		{"is dropped", enrichers.IPRule{Policy: enrichers.IPDrop}, seen, `{"ip":"203.0.113.77","device":{"ip":"203.0.113.77","id":7}}`, `{"device":{"id":7}}`},
		{"is truncated in the device", enrichers.IPRule{Policy: enrichers.IPTruncate}, seen, `{"device":{"ip":"203.0.113.77"}}`, `{"device":{"ip":"203.0.113.0"}}`},
		{"is filled in where it is absent", enrichers.IPRule{Fill: enrichers.IPFillAbsent}, seen, `{"a":1}`, `{"a":1,"ip":"198.51.100.9"}`},
		{"is filled in where it is null", enrichers.IPRule{Fill: enrichers.IPFillAbsent}, seen, `{"ip":null}`, `{"ip":"198.51.100.9"}`},
		{"is filled in where there is no context", enrichers.IPRule{Fill: enrichers.IPFillAbsent}, seen, `null`, `{"ip":"198.51.100.9"}`},
		{"is filled in truncated", enrichers.IPRule{Fill: enrichers.IPFillAbsent, Policy: enrichers.IPTruncate}, seen, `{}`, `{"ip":"198.51.100.0"}`},
		{"is not filled in where it is present", enrichers.IPRule{Fill: enrichers.IPFillAbsent}, seen, `{"ip":"203.0.113.77"}`, `{"ip":"203.0.113.77"}`},
		{"is overwritten", enrichers.IPRule{Fill: enrichers.IPFillAlways}, seen, `{"ip":"203.0.113.77"}`, `{"ip":"198.51.100.9"}`},
		{"is overwritten and dropped", enrichers.IPRule{Fill: enrichers.IPFillAlways, Policy: enrichers.IPDrop}, seen, `{"ip":"203.0.113.77"}`, `{}`},
		{"is removed where the true one is not known", enrichers.IPRule{Fill: enrichers.IPFillAlways}, "", `{"ip":"203.0.113.77"}`, `{}`},
		{"is left absent where none is known", enrichers.IPRule{Fill: enrichers.IPFillAbsent}, "", `{}`, `{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, o := range []struct {
				source  *inlet.Source
				options enrichers.IPOptions
			}{
				{pageSource, enrichers.IPOptions{Browsers: tt.rule, Servers: enrichers.IPRule{Policy: enrichers.IPDrop}}},
				{serverSource, enrichers.IPOptions{Servers: tt.rule, Browsers: enrichers.IPRule{Policy: enrichers.IPDrop}}},
				{serverSource, enrichers.IPOptions{Servers: enrichers.IPRule{Policy: enrichers.IPDrop}, Sources: map[string]enrichers.IPRule{"server": tt.rule}}},
			} {
				enrich, err := enrichers.IP(&o.options)
				require.NoError(t, err)
				e := enriched(t, o.source, inlet.Visitor{}, tt.ip, trackWith(tt.context), enrich)
				require.Equal(t, tt.want, string(e.Context))
			}
		})
	}
	t.Run("of a visitor who opted out", func(t *testing.T) {
		t.Parallel()
		enrich, err := enrichers.IP(&enrichers.IPOptions{Browsers: enrichers.IPRule{Fill: enrichers.IPFillAlways}})
		require.NoError(t, err)
		e := enriched(t, pageSource, inlet.Visitor{OptedOut: true}, "198.51.100.9", trackWith(`{"ip":"203.0.113.77","a":1}`), enrich)
		require.Equal(t, `{"a":1}`, string(e.Context))
	})
	// The host's own events do not come from a client, even if a client called the host.
	t.Run("of Ingest", func(t *testing.T) {
		t.Parallel()
		enrich, err := enrichers.IP(&enrichers.IPOptions{Servers: enrichers.IPRule{Fill: enrichers.IPFillAlways, Policy: enrichers.IPTruncate}})
		require.NoError(t, err)
		stored := new(testsink.Keeper)
		h, err := inlet.New(stored, &inlet.Options{Enrichers: []inlet.Enricher{enrich}})
		require.NoError(t, err)
		ctx := inlet.WithClientIP(httptest.NewRequest("GET", "/", nil), netip.MustParseAddr("198.51.100.9")).Context()
		e := &inlet.Event{Type: inlet.TypeTrack, Name: "E", UserID: "u", Context: json.RawMessage(` {"ip":"203.0.113.77"}`)}
		require.NoError(t, h.Ingest(ctx, serverSource, e))
		require.Equal(t, `{"ip":"203.0.113.0"}`, string(stored.Events()[0].Context))
	})
	t.Run("options", func(t *testing.T) {
		t.Parallel()
		bad := enrichers.IPRule{Policy: 9}
		for field, o := range map[string]enrichers.IPOptions{
			"Browsers.Policy": {Browsers: bad}, "Servers.Fill": {Servers: enrichers.IPRule{Fill: 9}},
			`Sources["a"].Policy`: {Sources: map[string]enrichers.IPRule{"a": bad}},
		} {
			_, err := enrichers.IP(&o)
			require.EqualError(t, err, "enrichers: IPOptions: "+field+" is 9, must be one of [0 1 2]")
		}
		_, err := enrichers.IP(&enrichers.IPOptions{Browsers: bad, Servers: bad})
		require.ErrorContains(t, err, "Browsers")
		require.ErrorContains(t, err, "Servers", "the error names all faults")
		_, err = enrichers.IP(nil)
		require.NoError(t, err)
	})
}
