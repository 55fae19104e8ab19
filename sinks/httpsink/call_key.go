package httpsink

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// key returns the idempotency key of a request: a digest of its events' sources
// and message IDs, in their order. A message ID is unique within its source only.
func (c *call) key(from, to int) string {
	c.ids = c.ids[:0]
	for _, it := range c.items[from:to] {
		e := c.events[it.place]
		c.appendID(e.Source.ID)
		c.appendID(e.MessageID)
	}
	digest := sha256.Sum256(c.ids)
	return hex.EncodeToString(digest[:16])
}

// appendID appends an id behind its length, so that no two lists of ids read the
// same.
func (c *call) appendID(id string) {
	c.ids = append(binary.AppendUvarint(c.ids, uint64(len(id))), id...)
}
