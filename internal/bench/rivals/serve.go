package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gofiber/fiber/v2"
)

// serving is how any contender is started. All take all of it, so that they can be
// started alike; a server that is not needed is not looked at.
type serving struct {
	Listen   string `default:"127.0.0.1:0" help:"Address to listen on. Default: ${default}."`
	Redis    string `env:"SLUICE_REDIS_URL" placeholder:"URL" help:"Redis, for those that use it."`
	Postgres string `env:"SLUICE_POSTGRES_URL" placeholder:"URL" help:"Postgres, for those that use it."`
	JWTKeys  string `env:"SLUICE_JWT_KEYS" name:"jwt-keys" placeholder:"ID:SECRET,…" help:"Keys of the access tokens, as Sluice takes them."`
}

// stopGrace is how long requests under way may take once the process is to end, and after
// them the workers of a carrier: five seconds are enough for both.
const stopGrace = 2 * time.Second

// newApp is a plain Fiber: nothing stands around a handler, and the waits and buffers
// that Sluice bounds are left as they come.
func newApp() *fiber.App {
	return fiber.New(fiber.Config{DisableStartupMessage: true, ErrorHandler: refuse})
}

// serve answers requests until ctx ends.
func (s serving) serve(ctx context.Context, app *fiber.App) error {
	listener, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return err
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	return serveOn(ctx, app, listener)
}

func serveOn(ctx context.Context, app *fiber.App, listener net.Listener) error {
	app.Server().CloseOnShutdown = true // who keeps a connection is told, and shutting down need not wait for him
	ended := make(chan error, 1)
	go func() { ended <- app.Listener(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	if err := app.ShutdownWithTimeout(stopGrace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil // what is under way after that ends with the process
}

// refusal is why a request was not taken.
type refusal struct {
	status int
	code   string
}

func (r *refusal) Error() string { return r.code }

// refuse answers err.
func refuse(c *fiber.Ctx, err error) error {
	status, code := fiber.StatusInternalServerError, "internal"
	var known *refusal
	var fibers *fiber.Error
	switch {
	case errors.As(err, &known):
		status, code = known.status, known.code
	case errors.As(err, &fibers):
		status, code = fibers.Code, "http"
	}
	return c.Status(status).JSON(fiber.Map{"code": code, "detail": err.Error()})
}
