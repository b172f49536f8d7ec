package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
)

// bidsPath is where bids are sent; receiptsPath is where they are asked about.
const (
	bidsPath     = "/v1/sales/:id/bids"
	receiptsPath = "/v1/receipts/"
)

// bid is what a buyer asks of a sale.
type bid struct {
	Receipt  uuid.UUID `json:"receipt"`
	Sale     int64     `json:"sale"`
	Buyer    int64     `json:"buyer"`
	Quantity int64     `json:"quantity"`
	Price    int64     `json:"price"` // per unit, in points
}

func (b bid) cost() int64 { return b.Quantity * b.Price }

// readBid reads a bid from the request: who asks, of which sale, what, and under which
// key. Nothing of it points into the request.
func (d *doorkeeper) readBid(c *fiber.Ctx) (b bid, err error) {
	if b.Buyer, err = d.buyer(c.Get(fiber.HeaderAuthorization)); err != nil {
		return b, &refusal{fiber.StatusUnauthorized, "unauthorized"}
	}
	if b.Sale, err = strconv.ParseInt(c.Params("id"), 10, 64); err != nil || b.Sale <= 0 {
		return b, &refusal{fiber.StatusNotFound, "unknown_sale"}
	}
	key := c.Get("Idempotency-Key")
	if key == "" {
		return b, &refusal{fiber.StatusBadRequest, "bad_key"}
	}
	var body struct {
		Quantity int64 `json:"quantity"`
		Price    int64 `json:"price"`
	}
	if err := json.Unmarshal(c.BodyRaw(), &body); err != nil {
		return b, &refusal{fiber.StatusBadRequest, "bad_body"}
	}
	const most = 1<<31 - 1 // their product is no overflow
	if body.Quantity < 1 || body.Quantity > most || body.Price < 1 || body.Price > most {
		return b, &refusal{fiber.StatusUnprocessableEntity, "invalid"}
	}
	b.Quantity, b.Price = body.Quantity, body.Price
	b.Receipt = uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "%d %d %s", b.Buyer, b.Sale, key))
	return b, nil
}
