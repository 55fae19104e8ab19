package sinks

import (
	_ "example.com/fixture"
	_ "example.com/fixture/internal/a"
)
