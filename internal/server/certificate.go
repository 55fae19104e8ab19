package server

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateInterval is how often the files of a certificate are looked at, at most.
const certificateInterval = time.Second

// A certificate is read from two files, again when one of them has changed. While they cannot be
// used, such as between the two writes that replace them, the last good one stays in use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	version [2]fileVersion // that was read last, good or not
	looked  time.Time
}

// A fileVersion is what shows that a file was replaced or written to.
type fileVersion struct {
	modified time.Time
	size     int64
}

func versionOf(file string) fileVersion {
	info, err := os.Stat(file)
	if err != nil {
		return fileVersion{}
	}
	return fileVersion{info.ModTime(), info.Size()}
}

// tlsConfig returns nil for a server without TLS.
func (s *server) tlsConfig() (*tls.Config, error) {
	if s.TLSCert == "" {
		return nil, nil
	}
	c := &certificate{certFile: s.TLSCert, keyFile: s.TLSKey, log: s.Logger}
	if err := c.read(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}, nil
}

// read reads the files.
func (c *certificate) read() error {
	c.version = [2]fileVersion{versionOf(c.certFile), versionOf(c.keyFile)}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err == nil {
		c.current = &pair
	}
	return err
}

// get returns the certificate for a connection.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.looked) < certificateInterval {
		return c.current, nil
	}
	c.looked = now
	if c.version == [2]fileVersion{versionOf(c.certFile), versionOf(c.keyFile)} {
		return c.current, nil
	}
	if err := c.read(); err != nil {
		c.log.Error("inlet: certificate unusable; the last good one stays in use", "error", err)
	} else {
		c.log.Info("inlet: certificate replaced")
	}
	return c.current, nil
}
