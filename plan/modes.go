package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/wire"
)

// A Mode is what becomes of an event that violates a plan. Higher is more severe.
type Mode uint8

// The modes. The comment of each has its name.
const (
	// Observe only counts: the event is stored as it is ("observe").
	Observe Mode = iota
	// SetAside puts the event into the quarantine, for later ("quarantine").
	SetAside
	// Reject refuses the event with 400 ("reject").
	Reject
)

var modeNames = [...]string{Observe: "observe", SetAside: "quarantine", Reject: "reject"}

// String returns the name of the mode, or "" for one that does not exist.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return ""
}

// MarshalText returns the name of the mode.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the name of a mode.
func (m *Mode) UnmarshalText(text []byte) error {
	i := slices.Index(modeNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("plan: %q is not a mode: it must be observe, quarantine or reject", text)
	}
	*m = Mode(i)
	return nil
}

// MarshalText returns the name of the kind.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name of a kind.
func (k *Kind) UnmarshalText(text []byte) (err error) {
	found, ok := kindOf(string(text))
	if !ok {
		return fmt.Errorf("plan: %q is not a kind of violation", text)
	}
	*k = found
	return nil
}

// kindOf returns the kind with a name. ok is false if there is none.
func kindOf(name string) (k Kind, ok bool) {
	for k := UnplannedEvent; k <= Other; k++ {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// Code returns the code with which an event is refused that has such a violation: "plan_" and the
// name of the kind.
func (k Kind) Code() inlet.Code { return inlet.Code("plan_" + k.String()) }

// modes are the modes of all kinds.
type modes [Other + 1]Mode

// parseModes returns the modes that a plan or a rule has, over those that hold otherwise: a JSON
// string is the mode of all kinds, an object has the mode of each kind that it names.
func parseModes(raw json.RawMessage, under modes, ofRule bool) (modes, error) {
	if wire.Kind(raw) == 0 {
		return under, nil
	}
	if wire.Kind(raw) == '"' {
		m, err := parseMode(raw)
		if err != nil {
			return under, fmt.Errorf(`"modes" %w`, err)
		}
		for k := range under {
			if !ofRule || Kind(k) != UnplannedEvent {
				under[k] = m
			}
		}
		return under, nil
	}
	if wire.Kind(raw) != '{' {
		return under, errors.New(`"modes" must be a mode, or an object with the mode of each kind of violation`)
	}
	for w := wire.Walk(raw); w.Next(); {
		k, ok := kindOf(wire.Text(w.Name))
		if !ok {
			return under, fmt.Errorf(`"modes" has %q: kinds are unplanned_event, required, type, unplanned_property and other`, wire.Text(w.Name))
		}
		if ofRule && k == UnplannedEvent {
			return under, errors.New(`"modes" has "unplanned_event": events without a rule have the mode of the plan`)
		}
		m, err := parseMode(w.Value)
		if err != nil {
			return under, fmt.Errorf(`"modes": %q %w`, k, err)
		}
		under[k] = m
	}
	return under, nil
}

// parseMode returns the mode that a JSON value is. The error is the end of a sentence.
func parseMode(raw []byte) (m Mode, err error) {
	if wire.Kind(raw) != '"' || m.UnmarshalText([]byte(wire.Text(raw))) != nil {
		return m, fmt.Errorf("is %s: it must be observe, quarantine or reject", beginning(string(raw)))
	}
	return m, nil
}

// readModes reads the modes of the plan and of its rules.
func (p *Plan) readModes() (err error) {
	if p.ownModes, err = parseModes(p.modes, modes{}, false); err != nil {
		return err
	}
	for i := range p.rules {
		r := &p.rules[i]
		if wire.Kind(r.modes) == 0 {
			continue
		}
		found, err := parseModes(r.modes, p.ownModes, true)
		if err != nil {
			return fmt.Errorf("rule %d (%s): %w", i+1, r, err)
		}
		if p.ruleModes == nil {
			p.ruleModes = make(map[string]modes)
		}
		p.ruleModes[r.name] = found
	}
	return nil
}

// Mode returns what a violation of the plan does to an event that has no more severe one: the mode
// of the rule for that kind, else that of the plan, else [Observe].
func (p *Plan) Mode(v *Violation) Mode {
	of := &p.ownModes
	if found, ok := p.ruleModes[v.Rule]; ok {
		of = &found
	}
	if int(v.Kind) >= len(of) {
		return Observe
	}
	return of[v.Kind]
}

// WithModes returns a plan with the same rules and other modes: those of the kinds that are given
// become that of all rules. It is for plans of formats that have no modes.
func (p *Plan) WithModes(byKind map[Kind]Mode) *Plan {
	other := *p
	other.ruleModes = maps.Clone(p.ruleModes)
	for k, m := range byKind {
		if k < UnplannedEvent || k > Other || m > Reject {
			continue // it does not exist
		}
		other.ownModes[k] = m
		for name, of := range other.ruleModes {
			of[k] = m
			other.ruleModes[name] = of
		}
	}
	return &other
}
