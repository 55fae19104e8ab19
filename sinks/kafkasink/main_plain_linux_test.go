//go:build !torture

package kafkasink

import (
	"flag"
	"testing"
)

func run(m *testing.M) int {
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // they wait for brokers more than they compute
	return m.Run()
}
