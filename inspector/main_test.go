package inspector

import (
	"testing"

	"github.com/inlet-go/inlet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
