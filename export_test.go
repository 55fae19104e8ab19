package inlet

import (
	"net/http"

	"github.com/inlet-go/inlet/internal/check"
)

// What the external tests need of the plumbing of the layers.

// Payload is the payload of a request.
type Payload = payload

// Bytes returns the decoded body.
func (p *payload) Bytes() []byte { return p.bytes() }

// WireSize returns the length of the body as it was sent.
func (p *payload) WireSize() int64 { return p.size }

// CodeTexts yields the fixed text of every code.
func CodeTexts(yield func(Code, string) bool) {
	for code, row := range codeTable {
		if !yield(code, row.text) {
			return
		}
	}
}

// Release ends the caller's use of the payload, and leaves the account as a layer does.
func (p *payload) Release() {
	if p == nil {
		return
	}
	a := p.memory.account
	p.release()
	a.Leave()
}

// A PayloadReader reads payloads as the layers do.
type PayloadReader struct{ protocol *protocol }

// NewPayloadReader returns a reader within limits.
func NewPayloadReader(l PayloadLimits) (*PayloadReader, error) {
	p, err := (&Protocol{Payload: l}).build()
	return &PayloadReader{p}, check.Options("inlet", "Protocol", err)
}

// Read returns the request to pass on and the payload, held for the caller.
func (pr *PayloadReader) Read(w http.ResponseWriter, r *http.Request) (*http.Request, *Payload, error) {
	next, s := withState(r)
	s.account.Enter(pr.protocol.budget, s.lane)
	passed, p, err := readPayload(pr.protocol.bodies, w, r, next, s, pr.protocol.maxBytes)
	if err != nil {
		s.account.Leave()
	}
	return passed, p, err
}

// BytesInFlight returns what all requests have reserved of Payload.MaxBytesInFlight.
func (p *Protocol) BytesInFlight() int64 {
	built, err := p.build()
	if err != nil {
		panic(err)
	}
	return built.budget.Used()
}

// BytesInFlight returns what all requests have reserved of Payload.MaxBytesInFlight.
func (h *Handler) BytesInFlight() int64 { return h.protocol.budget.Used() }

// A Migrator migrates payloads as its layer does.
type Migrator struct{ migrator }

// NewMigrator returns a migrator.
func NewMigrator(m Migration, o *MigratePayloadOptions) (*Migrator, error) {
	if _, err := MigratePayload(m, o); err != nil {
		return nil, err
	}
	if o == nil {
		o = new(MigratePayloadOptions)
	}
	p, err := o.Protocol.build()
	return &Migrator{migrator{migration: m, options: *o, protocol: p}}, err
}

// Migrate returns the request to pass on and its payload, held for the caller.
func (m *Migrator) Migrate(w http.ResponseWriter, r *http.Request) (*http.Request, *Payload, error) {
	if !m.applies(r) {
		return r, nil, nil
	}
	next, s := withState(r)
	s.account.Enter(m.protocol.budget, s.lane)
	next, p, err := m.step(w, r, next, s)
	if err != nil {
		p.release()
		s.account.Leave()
		return next, nil, err
	}
	return next, p, nil
}
