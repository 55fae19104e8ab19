package router

import (
	"net/http"

	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
)

// Echo mounts the API with echo.
func Echo(prefix string, api http.Handler) http.Handler {
	r := echo.New()
	r.Use(echomiddleware.Recover(), echomiddleware.RequestID(), echomiddleware.Gzip())
	r.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, welcome) })
	r.Any(prefix+"/*", echo.WrapHandler(api))
	return r
}
