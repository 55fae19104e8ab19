package router

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// Gin mounts the API with gin. Its catch-all route needs a name.
func Gin(prefix string, api http.Handler) http.Handler {
	r := gin.New()
	r.Use(gin.Recovery())
	r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, welcome) })
	r.Any(prefix+"/*path", gin.WrapH(api))
	return r
}
