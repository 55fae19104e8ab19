package kafkasink

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if beBroker() {
		return
	}
	os.Exit(run(m))
}
