package main

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
)

// post is the limit of an accepted bid: the same request is read and an answer as long
// as that of Sluice given by a server that stores nothing. The receipt is made of buyer,
// sale and key, so that a repeat gets the same one.
type post struct{ serving }

// Run serves until ctx ends.
func (p *post) Run(ctx context.Context) error {
	door, err := newDoorkeeper(p.JWTKeys)
	if err != nil {
		return err
	}
	uuid.EnableRandPool() // of the request IDs: no system call for each
	return p.serve(ctx, p.app(door))
}

// queued is the receipt of a bid that was just taken.
type queued struct {
	Receipt     uuid.UUID `json:"receipt"`
	Verb        string    `json:"verb"`
	Sale        int64     `json:"sale"`
	Status      string    `json:"status"`
	Quantity    int64     `json:"quantity"`
	Position    int64     `json:"position"`
	ETAMS       int64     `json:"eta_ms"`
	Outlook     string    `json:"outlook"`
	PollAfterMS int64     `json:"poll_after_ms"`
	Durability  string    `json:"durability"`
	RequestedAt time.Time `json:"requested_at"`
}

func (p *post) app(door *doorkeeper) *fiber.App {
	app := newApp()
	app.Post(bidsPath, func(c *fiber.Ctx) error {
		b, err := door.readBid(c)
		if err != nil {
			return err
		}
		c.Set(fiber.HeaderXRequestID, uuid.NewString())
		c.Set(fiber.HeaderCacheControl, "no-store")
		guard(c)
		c.Set(fiber.HeaderRetryAfter, "1")
		c.Location(receiptsPath + b.Receipt.String())
		return c.Status(fiber.StatusAccepted).JSON(queued{
			Receipt: b.Receipt, Verb: "bid", Sale: b.Sale, Status: "queued", Quantity: b.Quantity,
			Position: 1, ETAMS: 1, Outlook: "likely", PollAfterMS: 50, Durability: "memory",
			RequestedAt: time.Now().UTC().Truncate(time.Millisecond),
		})
	})
	return app
}
