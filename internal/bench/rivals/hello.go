package main

import (
	"context"

	"github.com/gofiber/fiber/v2"
)

// hello is the limit of a server that does nothing: no token is read, nothing is looked
// up, nothing is logged or counted.
type hello struct{ serving }

// Run serves until ctx ends.
func (h *hello) Run(ctx context.Context) error { return h.serve(ctx, h.app()) }

func (h *hello) app() *fiber.App {
	app := newApp()
	app.Get("/hello", func(c *fiber.Ctx) error {
		return c.JSON(fiber.Map{"hello": "world"})
	})
	// The limit of a poll, beside it: headers and body as long as those of a confirmed
	// bid, and always the same ones.
	app.Get(receiptsPath+":id", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderXRequestID, "00000000-0000-4000-8000-000000000000")
		c.Set(fiber.HeaderCacheControl, "private, no-cache")
		guard(c)
		c.Set(fiber.HeaderETag, `W/"AAAAAAAAAAA.0"`)
		c.Set(fiber.HeaderVary, fiber.HeaderAuthorization)
		c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
		return c.SendString(helloReceipt)
	})
	return app
}

const helloReceipt = `{"receipt":"00000000-0000-8000-8000-000000000000","verb":"bid","sale":1,"status":"confirmed","quantity":1,` +
	`"unit_price":10,"amount":10,"durability":"settled","requested_at":"2026-01-01T00:00:00.001Z"}`

// guard sets what Sluice tells browsers in every answer.
func guard(c *fiber.Ctx) {
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	c.Set("Cross-Origin-Resource-Policy", "same-origin")
}
