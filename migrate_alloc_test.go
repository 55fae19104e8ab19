package inlet

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/wire"
)

// v1Event is an event of 1.0 as the vendor's document has it.
const v1Event = `{"event_name":"search","event_id":"E1","event_timestamp":1639044446636,"properties":{"search_term":"t-shirts","user":{"id":"12345","consent_categories":[1,3]}},"page":{"title":"Search page","location":"https://shop.example/s"},"device":{"user_agent":"UA","ip":"192.0.2.56","cookies":"_fbp=1"}}`

// Memory is used again, so that neither an event nor a batch takes any; only a
// report does.
func TestMigrateAllocatesNothing(t *testing.T) {
	if migrateForgets {
		t.Skip("the race detector makes pools forget")
	}
	batch := `{"batch":[` + strings.Repeat(v1Event+",", 99) + v1Event + `]}`
	limits := Limits{}
	limits, err := limits.withDefaults()
	require.NoError(t, err)
	for name, payload := range map[string]string{"event": v1Event, "batch": batch} {
		m := actsMigration{outline: wire.Outline{Watch: actsWatch}}
		var from, into wire.Document
		var out []byte
		body := []byte(payload)
		migrate := func() {
			from.Reset()
			if m.outline.Read(&from, body, batchMember, limits.wire()) != nil {
				panic("the payload is not valid")
			}
			m.options, m.counts = MigrateOptions{ReceivedAt: time.UnixMilli(1)}, true
			out, _ = m.migrate(out[:0], &from, &into)
			m.reset()
		}
		require.Zero(t, testing.AllocsPerRun(100, migrate), name)
	}
	dst := make([]byte, 0, 1<<10)
	v2 := []byte(`{"event_name":"login","context":{"event_id":"E"}}`)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _, _ = MigrateCommandersActV1(dst, v2, MigrateOptions{}) }))
}
