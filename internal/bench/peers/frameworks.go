//go:build linux

package main

import (
	"errors"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v3"

	"github.com/inlet-go/inlet/internal/bench"
)

// withGin is the endpoint written by hand as gin's handlers.
func withGin(dir string) (stop func() error, err error) {
	s, err := newBuffered(dir)
	if err != nil {
		return nil, err
	}
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(gin.Recovery())
	router.POST(segment.single, ginHandler(s, false))
	router.POST(segment.batch, ginHandler(s, true))
	return serveHTTP(router, s.Close)
}

func ginHandler(s bench.Store, batch bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, bench.MaxBody)
		status := http.StatusBadRequest
		body, err := c.GetRawData()
		if err == nil {
			status, err = bench.Accept(s, c.GetHeader("Authorization"), body, batch)
		}
		c.JSON(status, gin.H{"success": err == nil})
	}
}

// withFiber is the endpoint written by hand as Fiber's handlers.
func withFiber(dir string) (stop func() error, err error) {
	s, err := newBuffered(dir)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	app := fiber.New(fiber.Config{BodyLimit: bench.MaxBody})
	app.Post(segment.single, fiberHandler(s, false))
	app.Post(segment.batch, fiberHandler(s, true))
	ended := make(chan error, 1)
	go func() { ended <- app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}) }()
	return func() error { return errors.Join(app.Shutdown(), <-ended, s.Close()) }, nil
}

func fiberHandler(s bench.Store, batch bool) fiber.Handler {
	return func(c fiber.Ctx) error {
		status, err := bench.Accept(s, c.Get("Authorization"), c.Body(), batch)
		return c.Status(status).JSON(fiber.Map{"success": err == nil})
	}
}
