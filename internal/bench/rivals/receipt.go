package main

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
)

// receipt is what a buyer reads of his bid.
type receipt struct {
	Receipt uuid.UUID `json:"receipt"`
	Status  string    `json:"status"`
	Reason  string    `json:"reason,omitempty"`
}

func receiptOf(id uuid.UUID, o outcome) receipt { return receipt{id, o.Status, o.Reason} }

// showReceipt answers what came of a bid. Of what is not in the books nobody knows
// whether it waits in a queue or never was: both are called queued, which is cheaper
// than to look into the queue.
func showReceipt(books *books) fiber.Handler {
	return func(c *fiber.Ctx) error {
		id, err := uuid.Parse(c.Params("id"))
		if err != nil {
			return &refusal{fiber.StatusNotFound, "unknown_receipt"}
		}
		o, err := books.find(c.UserContext(), id)
		if err != nil {
			return err
		}
		return c.JSON(receiptOf(id, o))
	}
}
