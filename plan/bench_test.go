package plan_test

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// tenProperties is a plan with a rule of ten properties, and ordinary is an event of it.
const tenProperties = `{"rules": [{"type": "track", "event": "Order Completed", "schema": {
  "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
  "properties": {"context": {}, "traits": {}, "properties": {
    "type": "object",
    "required": ["order_id", "total", "currency", "products"],
    "additionalProperties": false,
    "properties": {
      "order_id": {"type": "string", "minLength": 1, "maxLength": 64},
      "checkout_id": {"type": ["string", "null"]},
      "total": {"type": "number", "minimum": 0},
      "revenue": {"type": "number"},
      "shipping": {"type": "number"},
      "tax": {"type": "number"},
      "discount": {"type": "number"},
      "coupon": {"type": "string", "pattern": "^[A-Z0-9]+$"},
      "currency": {"type": "string", "enum": ["EUR", "USD", "GBP"]},
      "products": {"type": "array", "items": {"type": "object", "required": ["product_id"], "properties": {
        "product_id": {"type": "string"}, "price": {"type": "number"}, "quantity": {"type": "integer"}}}}
    }
  }}
}}]}`

func ordinary() *inlet.Event {
	return &inlet.Event{
		Type: inlet.TypeTrack, Name: "Order Completed", MessageID: "m", UserID: "u",
		Properties: raw(`{"checkout_id":"fksdjfsdjfisjf9sdfjsd9f","order_id":"50314b8e9bcf000000000000","total":27.50,"revenue":25.00,` +
			`"shipping":3,"tax":2,"discount":2.5,"coupon":"HASBROS","currency":"USD",` +
			`"products":[{"product_id":"507f1f77bcf86cd799439011","price":19,"quantity":1},{"product_id":"505bd76785ebb509fc183733","price":3,"quantity":2}]}`),
		Context: raw(`{"library":{"name":"analytics.js","version":"2.11.1"},"page":{"path":"/academy/"},"locale":"en-US"}`),
	}
}

func BenchmarkCheck(b *testing.B) {
	p, e := load(b, tenProperties), ordinary()
	require.Empty(b, p.Check(e, nil))
	b.Run("check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if p.Check(e, nil) != nil {
				b.Fatal("a violation")
			}
		}
	})
	b.Run("validation", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !jsontext.Value(e.Properties).IsValid() {
				b.Fatal("not valid")
			}
		}
	})
}
