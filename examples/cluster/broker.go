package main

import (
	"flag"
	"fmt"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// brokerMain is a NATS server with the configuration of a file. A real one is nats-server itself.
func brokerMain(args []string) error {
	flags := flag.NewFlagSet("cluster broker", flag.ExitOnError)
	file := flags.String("config", "nats.conf", "`file` of the configuration")
	_ = flags.Parse(args)
	o, err := server.ProcessConfigFile(*file)
	if err != nil {
		return err
	}
	o.NoSigs = true
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	reportUntilStop(func() report { return brokerReport(s) })
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// brokerReport asks the server for its replica of the stream.
func brokerReport(s *server.Server) (r report) {
	info, err := s.Jsz(&server.JSzOptions{Streams: true})
	if err != nil { // it is starting
		return r
	}
	for _, account := range info.AccountDetails {
		for _, stream := range account.Streams {
			r.Messages += stream.State.Msgs
			r.Leader = r.Leader || stream.Cluster != nil && stream.Cluster.Leader == s.Name()
		}
	}
	return r
}

// brokerConfig is the configuration of a broker of the fleet. docs/KUBERNETES.md has that of a real
// one.
func brokerConfig(name, dir, clients, cluster string, routes []string) string {
	return fmt.Sprintf(`server_name: %q
listen: %q
jetstream { store_dir: %q, sync_interval: always }
cluster {
  name: inlet
  listen: %q
  routes: [%s]
}
`, name, clients, dir, cluster, strings.Join(routes, ", "))
}
