package main

import (
	"context"
	"sync"

	"github.com/gofiber/fiber/v2"
)

// carrier is a library that carries bids from the POST, which is answered 202, to
// workers in the same process, which settle them.
//
// All three hand over one message at a time. Each alone in its transaction would wait
// for the sale's row and for the disk; so workers bring what they have to one
// settlement, which takes all that is there, and each is told when that is committed. A
// message is only acknowledged then. With --each every message has a transaction of its
// own, which is what one writes first.
type carrier struct {
	serving
	Connections int32 `default:"8" placeholder:"N" help:"Connections to Postgres. Default: ${default}."`

	Each bool `help:"Settle every message in a transaction of its own."`
}

// carry enqueues a bid; when it returns nil the bid will be settled.
type carry func(context.Context, bid) error

// settleOne settles a bid, some way or other, and returns when that is committed.
type settleOne func(context.Context, bid) error

// run serves a carrier until ctx ends. begin starts the workers, which settle what they
// get, and answers how to enqueue; and how to stop both.
func (s *carrier) run(ctx context.Context, begin func(context.Context, *books, settleOne) (carry, func(), error)) error {
	door, err := newDoorkeeper(s.JWTKeys)
	if err != nil {
		return err
	}
	books, err := openBooks(ctx, s.Postgres, s.Connections)
	if err != nil {
		return err
	}
	defer books.close()
	settle, rest := books.settling(s.Each)
	defer rest()
	carry, stop, err := begin(ctx, books, settle)
	if err != nil {
		return err
	}
	defer stop()
	return s.serve(ctx, carryApp(door, books, carry))
}

// settling answers how workers settle, and what ends it: after the workers.
func (b *books) settling(each bool) (settleOne, func()) {
	if each {
		return func(ctx context.Context, asked bid) error {
			_, err := b.settle(ctx, []bid{asked})
			return err
		}, func() {}
	}
	all := doTogether(most, b.settle)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { all.run(ctx) })
	return func(ctx context.Context, asked bid) error {
			_, err := all.ask(ctx, asked)
			return err
		}, func() {
			cancel()
			running.Wait()
		}
}

// carryApp answers 202 to a bid that is carried, and where to ask what came of it.
func carryApp(door *doorkeeper, books *books, carry carry) *fiber.App {
	app := newApp()
	app.Post(bidsPath, func(c *fiber.Ctx) error {
		b, err := door.readBid(c)
		if err != nil {
			return err
		}
		if err := carry(c.UserContext(), b); err != nil {
			return err
		}
		c.Set(fiber.HeaderRetryAfter, "1")
		c.Location(receiptsPath + b.Receipt.String())
		return c.Status(fiber.StatusAccepted).JSON(receiptOf(b.Receipt, outcome{Status: queuedStatus}))
	})
	app.Get(receiptsPath+":id", showReceipt(books))
	return app
}
