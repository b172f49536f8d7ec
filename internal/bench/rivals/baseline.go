package main

import (
	"context"
	"errors"

	"github.com/gofiber/fiber/v2"
)

// baseline is how most shops sell: the POST decides, writes, and is answered when that
// is committed.
//
// All bids of a sale change one row, so more connections only wait for it, which costs:
// on a busy machine Postgres computed 0.30 ms for a bid under the row lock with 2, 0.42
// with 4 and 0.46 with 16.
type baseline struct {
	serving
	Connections int32 `default:"4" placeholder:"N" help:"Connections to Postgres. Default: ${default}."`
}

// sell decides a bid and writes what comes of it. errRepeated: it is decided already.
type sell func(context.Context, bid) (outcome, error)

// run serves a baseline until ctx ends. make is given the books and answers how it sells.
func (s *baseline) run(ctx context.Context, make func(*books) (sell, error)) error {
	door, err := newDoorkeeper(s.JWTKeys)
	if err != nil {
		return err
	}
	books, err := openBooks(ctx, s.Postgres, s.Connections)
	if err != nil {
		return err
	}
	defer books.close()
	sell, err := make(books)
	if err != nil {
		return err
	}
	return s.serve(ctx, sellApp(door, books, sell))
}

// sellApp answers 201 to a bid that has got its units, and 409 to one that has not.
// Nothing is written of the latter: stock does not come back, so a repeat is told the
// same.
func sellApp(door *doorkeeper, books *books, sell sell) *fiber.App {
	app := newApp()
	app.Post(bidsPath, func(c *fiber.Ctx) error {
		b, err := door.readBid(c)
		if err != nil {
			return err
		}
		o, err := sell(c.UserContext(), b)
		if errors.Is(err, errRepeated) {
			o, err = books.find(c.UserContext(), b.Receipt)
		}
		if err != nil {
			return err
		}
		status := fiber.StatusConflict
		if o == sold {
			status = fiber.StatusCreated
		}
		c.Location(receiptsPath + b.Receipt.String())
		return c.Status(status).JSON(receiptOf(b.Receipt, o))
	})
	app.Get(receiptsPath+":id", showReceipt(books))
	return app
}
