package server

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/httpsink"
)

// A Destination is a server that gets the events of the journal.
type Destination struct {
	Name, URL, Key string
}

// ParseDestination reads "NAME=URL". The write key is in the environment variable
// INLET_KEY_NAME, in upper case and with _ for -, so that no list of processes shows it.
func ParseDestination(text string) (Destination, error) {
	name, address, ok := strings.Cut(text, "=")
	if !ok || !IsDestination(name) {
		return Destination{}, errors.New("must be NAME=URL, where the name has 1 to 64 of a-z, 0-9, _ and -")
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return Destination{}, errors.New("the URL must begin with https:// or http://, and must have a host and no password")
	}
	variable := keyVariable(name)
	key := os.Getenv(variable)
	if key == "" {
		return Destination{}, fmt.Errorf("the write key of destination %q must be in the environment variable %s", name, variable)
	}
	return Destination{Name: name, URL: address, Key: key}, nil
}

// IsDestination reports whether a destination may have the name.
func IsDestination(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == "" && len(name) <= 64
}

func keyVariable(name string) string {
	return "INLET_KEY_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Sink returns the sink of the destination. An address that is plain http, or is private, was
// typed by the operator, who is believed.
func (d Destination) Sink() (inlet.Sink, error) {
	return httpsink.New(d.URL, d.Key, &httpsink.Options{
		AllowHTTP: strings.HasPrefix(d.URL, "http://"), AllowPrivate: true,
	})
}

// deliver starts the delivery to each destination.
func (s *server) deliver() error {
	for _, d := range s.Destinations {
		if err := s.deliverTo(d); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) deliverTo(d Destination) error {
	sink, err := d.Sink()
	if err != nil {
		return err
	}
	if s.inspector != nil {
		sink = s.inspector.Destination(d.Name, sink)
	}
	delivery, err := s.store.Deliver(d.Name, sink, nil)
	if err != nil {
		return err
	}
	s.running.set(d.Name, delivery)
	return nil
}

func rejectsDir(dir string) string { return filepath.Join(dir, RejectsDir) }
