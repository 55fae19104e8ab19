package journal

import (
	"log/slog"
	"os"
	"testing"

	"github.com/inlet-go/inlet/internal/testkit"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(runChild(dir))
	}
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the tests provoke failures on purpose
	testkit.Main(m)
}
