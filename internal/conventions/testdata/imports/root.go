package fixture

import (
	_ "example.com/fixture/internal/a"
	_ "example.com/fixture/internal/b"
	_ "golang.org/x/time/rate"
	_ "net/http"
)
