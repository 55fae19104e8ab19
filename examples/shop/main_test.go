package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/inlettest"
)

func TestShop(t *testing.T) {
	warehouse := inlettest.New(t, &inlettest.Options{Timeout: time.Minute})
	c := config{dir: t.TempDir(), warehouse: warehouse.URL(), warehouseKey: warehouse.Key()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, c, listener, io.Discard) }()
	for _, send := range []struct{ key, event, properties, answer string }{
		{trialKey, orderCompleted, `{"order_id":"7","total":49.90}`, `{"success":true}`},
		{trialKey, orderCompleted, `{"total":49.90}`, "order_id_required"},
		{trialKey, orderCompleted, `{"order_id":"7\u0000"}`, "order_id_required"},
		{trialKey, "Product Viewed", `{}`, `{"success":true}`},
		{"guessed", "Product Viewed", `{}`, "unknown_key"},
	} {
		body := strings.NewReader(`{"event":"` + send.event + `","userId":"u","properties":` + send.properties + `}`)
		response, err := http.Post("http://"+listener.Addr().String()+"/t/v1/track?writeKey="+send.key, "", body)
		require.NoError(t, err)
		answer, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Contains(t, string(answer), send.answer)
	}
	require.Len(t, warehouse.Wait(t, 2), 2)
	warehouse.RequireTracked(t, orderCompleted, inlettest.Props{"order_id": "7", "total": 49.9, "currency": "EUR"})
	db, err := openDB(filepath.Join(c.dir, "shop.db"))
	require.NoError(t, err)
	booked := func() bool { return db.QueryRow(`SELECT id FROM orders WHERE id = '7'`).Scan(new(string)) == nil }
	require.Eventually(t, booked, time.Minute, 10*time.Millisecond)
	require.NoError(t, db.Close())
	stop()
	require.NoError(t, <-ended)
	rejected, _ := filepath.Glob(filepath.Join(c.dir, "rejects", "*.ndjson"))
	require.Len(t, rejected, 1)
}
