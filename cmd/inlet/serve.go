package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/inlet-go/inlet/internal/server"
	"github.com/inlet-go/inlet/middleware"
)

func serveCommand() command {
	return command{
		name: "serve", summary: "run a server that stores events in a directory", everyVariable: true,
		about: `Runs the ingestion API at an address, and stores the events in a directory. It prints a write key
and a curl command that sends an event, and logs to standard error. SIGINT or SIGTERM stops it
gracefully; a second one ends it immediately.`,
		example: "inlet serve -addr :8080 -dir /var/lib/inlet -origins https://shop.example",
		run:     serveFlags,
	}
}

// serveOptions are the values of the flags.
type serveOptions struct {
	server.Config
	logLevel slog.Level
	logJSON  bool
}

func serveFlags(f *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
	o := &serveOptions{}
	o.Layers.Origins = []string{"*"}
	f.StringVar(&o.Addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	addDir(f, &o.Dir)
	f.Var(listFlag(o.AddKey), "key", "a write `key` to accept; repeat it for more (default: one that is generated at\nthe first start and kept in the directory)")
	f.StringVar(&o.KeyFile, "keys", "", "a JSON `file` of write keys, which may change while the server runs: see package\nkeyfile (instead of -key)")
	f.Func("origins", "comma-separated `list` of the web origins that may send events, such as\nhttps://shop.example (default *, without credentials)", o.setOrigins)
	f.Func("rate", "`number` of requests per second that each key may make, 0 for no limit (default 0)", o.setRate)
	f.Func("memory", "`MiB` that the bodies of all requests may use together, at least 16 (default 256)", o.setMemory)
	f.Func("trusted-proxies", "comma-separated `list` of the networks of the proxies in front, such as 10.0.0.0/8", o.setProxies)
	f.Func("proxy-header", "`header` in which they name the client (default X-Forwarded-For)", o.setProxyHeader)
	f.Func("public-url", "`URL` at which clients reach the server, if a proxy is in front", o.setPublicURL)
	f.BoolVar(&o.OpenAPI, "openapi", false, "serve the description of the API, in OpenAPI 3.1, at /openapi.json")
	f.StringVar(&o.TLSCert, "tls-cert", "", "`file` of a certificate in PEM, read again when it changes; with -tls-key")
	f.StringVar(&o.TLSKey, "tls-key", "", "`file` of its private key in PEM")
	f.Func("metrics", "`address` to serve metrics on at /debug/vars; without a host, as :8081, on the\nloopback interface only (default: no metrics)", o.setMetrics)
	f.Func("inspector", "`address` of the loopback interface to serve a page on that shows events as they\narrive, such as :8082 (default: no page)", o.setInspector)
	f.Func("retain-size", "`MiB` of events beyond which the oldest are removed, 0 for no limit (default 0)", o.setRetainSize)
	f.DurationVar(&o.RetainAge, "retain-age", 0, "age after which events are removed, such as 720h, 0 for no limit (default 0)")
	f.Var(listFlag(o.addDestination), "to", "`NAME=URL` of a server that gets all events; its write key is in the variable\nINLET_KEY_NAME; repeat it for more")
	f.BoolVar(&o.NoRejects, "no-rejects", false, "do not store refused events in the directory rejects, with the reason")
	f.StringVar(&o.PlanFile, "plan", "", "a JSON `file` of a tracking plan, which may change while the server runs; events that it\nquarantines are stored in the directory violations")
	f.DurationVar(&o.LockTimeout, "lock-timeout", 0, "how long to wait for another process to give up the directory, such as 1m")
	f.DurationVar(&o.StopDelay, "stop-delay", 0, "how long to go on serving after SIGTERM while /ready answers 503, so that load\nbalancers notice, such as 5s")
	f.DurationVar(&o.DrainTimeout, "drain-timeout", 0, "how long to wait at the end until all destinations have all events, such as 30s")
	f.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "minimum `level` to log: debug, info, warn or error")
	f.BoolVar(&o.logJSON, "log-json", false, "log in JSON")
	return o.serve
}

func (o *serveOptions) serve(_ context.Context, stdout, stderr io.Writer) error {
	switch {
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return errUsage("-tls-cert and -tls-key belong together")
	case o.KeyFile != "" && len(o.Keys) > 0:
		return errUsage("either -key or -keys, not both")
	case o.Layers.ProxyHeader != "" && len(o.Layers.TrustedProxies) == 0:
		return errUsage("-proxy-header means nothing without -trusted-proxies")
	case min(o.RetainAge, o.LockTimeout, o.StopDelay, o.DrainTimeout) < 0:
		return errUsage("no time may be negative")
	}
	log, err := middleware.NewBufferedLog(stderr, &middleware.BufferedLogOptions{JSON: o.logJSON, Level: o.logLevel})
	if err != nil {
		return err
	}
	defer log.Close()
	o.Logger = slog.New(log)
	return o.Run(server.UntilSignal(os.Interrupt, syscall.SIGTERM), stdout)
}

func (o *serveOptions) setOrigins(list string) error {
	if list == "*" {
		o.Layers.Origins = []string{"*"}
		return nil
	}
	o.Layers.Origins = nil
	for origin := range strings.SplitSeq(list, ",") {
		origin = strings.TrimSuffix(strings.TrimSpace(origin), "/")
		if !isOrigin(origin) {
			return fmt.Errorf("%q is not an origin, such as https://shop.example", origin)
		}
		o.Layers.Origins = append(o.Layers.Origins, origin)
	}
	return nil
}

// isOrigin reports whether a browser may send s as an origin. A typing error would match no page.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != "" && u.Scheme+"://"+u.Host == s
}

func (o *serveOptions) setRate(text string) error {
	rate, err := strconv.ParseFloat(text, 64)
	if err != nil || rate < 0 || math.IsNaN(rate) || rate > 1e9 {
		return errors.New("must be a number from 0 to 1e9")
	}
	o.Layers.PerSource.Requests = rate
	return nil
}

// minMemory is the least that the API accepts, in MiB, with its other limits at their defaults.
const minMemory = 16

func (o *serveOptions) setMemory(text string) (err error) {
	o.Memory, err = mebibytes(text, minMemory)
	return err
}

// minRetained is the least that a journal can keep, in MiB: a segment.
const minRetained = 64

func (o *serveOptions) setRetainSize(text string) (err error) {
	if text == "0" {
		o.RetainBytes = 0
		return nil
	}
	o.RetainBytes, err = mebibytes(text, minRetained)
	return err
}

func mebibytes(text string, least int64) (int64, error) {
	const most = 1 << 30
	mib, err := strconv.ParseInt(text, 10, 64)
	if err != nil || mib < least || mib > most {
		return 0, fmt.Errorf("must be a whole number from %d to %d", least, most)
	}
	return mib << 20, nil
}

func (o *serveOptions) setProxies(list string) error {
	o.Layers.TrustedProxies = nil
	for text := range strings.SplitSeq(list, ",") {
		network, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil || network.Bits() == 0 {
			return fmt.Errorf("%q is not a network, such as 10.0.0.0/8", text)
		}
		o.Layers.TrustedProxies = append(o.Layers.TrustedProxies, network)
	}
	return nil
}

// setProxyHeader refuses what no header is called: it would be taken for one that no proxy sets.
func (o *serveOptions) setProxyHeader(name string) error {
	if name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return errors.New("must be the name of a header, such as X-Real-IP")
	}
	o.Layers.ProxyHeader = name
	return nil
}

func (o *serveOptions) setPublicURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be a URL such as https://events.shop.example")
	}
	o.PublicURL = text
	return nil
}

// setMetrics takes an address without a host as one of the loopback interface: the metrics have
// no authentication.
func (o *serveOptions) setMetrics(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return errors.New("must be HOST:PORT or :PORT")
	}
	if host == "" {
		host = "127.0.0.1"
	}
	o.MetricsAddr = net.JoinHostPort(host, port)
	return nil
}

// setInspector takes only an address of the loopback interface: the page has no authentication of
// its own.
func (o *serveOptions) setInspector(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return errors.New("must be HOST:PORT or :PORT")
	}
	if host == "" || host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return errors.New("must be of the loopback interface, such as :8082 or 127.0.0.1:8082")
	}
	o.InspectorAddr = net.JoinHostPort(host, port)
	return nil
}

func (o *serveOptions) addDestination(text string) error {
	d, err := server.ParseDestination(text)
	if err != nil {
		return err
	}
	for _, other := range o.Destinations {
		if other.Name == d.Name {
			return fmt.Errorf("destination %q is given twice", d.Name)
		}
	}
	o.Destinations = append(o.Destinations, d)
	return nil
}
