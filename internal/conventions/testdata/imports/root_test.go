package fixture_test

import (
	_ "example.com/fixture/internal/b"
	_ "example.org/unknown"
	_ "github.com/stretchr/testify/require"
)
