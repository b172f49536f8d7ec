package bench

import (
	"context"
	"net/http"
	"time"

	"sluice/internal/process"
)

// poll is how fast people are told where they stand.
var poll = Scenario{
	Name: "poll", Title: "Reading a receipt, beside a hello",
	What: "256 connections read receipts as fast as they are answered, each the receipts of 10,000 buyers in turn, with the buyer's own token: " +
		"10,000 that are queued, whose place in the queue is looked up in Redis; 10,000 that are confirmed, and looked up, too, since they may be " +
		"refunded; and 10,000 that nothing can follow any more (rejected, without a key), which the API remembers. Beside it is a Fiber server " +
		"that says hello, and one that gives everybody the same receipt: as many bytes, and nobody is asked who he is.",
	Gives:       []string{"queued", "confirmed", "final"},
	GivesBeside: []string{"queued/hello", "final/hello", "queued/constant", "final/constant"},
	Run:         measurePoll,
}

func measurePoll(ctx context.Context, r *Run) error {
	stage, err := r.Stage(ctx)
	if err != nil {
		return err
	}
	d, err := stage.Sluice(ctx, r.Scale(10_000, 100))
	if err != nil {
		return err
	}
	if err := d.Run(ctx, process.RoleConsumer, process.RoleAPI); err != nil {
		return err
	}
	settled, err := d.receipts(ctx)
	if err != nil {
		return err
	}
	lamp, err := d.Auction(ctx, endless)
	if err != nil {
		return err
	}
	cheap := d.Bidding(lamp, 64)
	cheap.Body, cheap.Key, cheap.Drain = lowBid, "", true
	rejected, err := d.bidAll(ctx, cheap)
	if err != nil {
		return err
	}
	if err := d.Rest(process.RoleConsumer); err != nil {
		return err
	}
	queued, err := d.bidAll(ctx, d.Bidding(lamp, 64))
	if err != nil {
		return err
	}
	read := func(receipts []string, word string) func(context.Context, time.Duration) (Round, error) {
		return stage.closed(func(length time.Duration) Load {
			return Load{
				Address: d.API(), Journey: Read, Connections: callers, Paths: receipts, Tokens: d.Tokens, Expect: []int{http.StatusOK},
				Word: `"status":"` + word + `"`, Length: length,
			}
		})
	}
	sides := []Side{
		{"queued", "a receipt that waits for its turn", read(queued, "queued")},
		{"confirmed", "a receipt that may still be refunded", read(settled, "confirmed")},
		{"final", "a receipt whose outcome is for good", read(rejected, "rejected")},
	}
	if r.Rivals != "" {
		hello, p, err := stage.hello(ctx, d.Keys)
		if err != nil {
			return err
		}
		sides = append(sides, hello, Side{"constant", "Fiber: the same GET, and always the same receipt", stage.closed(func(length time.Duration) Load {
			return Load{
				Address: p.Address, Journey: Read, Connections: callers, Paths: settled, Tokens: d.Tokens, Expect: []int{http.StatusOK}, Length: length,
			}
		})})
	}
	if err := r.Interleave(ctx, r.Times(3), r.Length(5), sides...); err != nil {
		return err
	}
	for _, name := range []string{"queued", "confirmed", "final"} {
		r.Figure(name, "/s", average(r.Report.contender(name).Rounds).Rate, Target{})
	}
	r.Compare("queued", "hello", Target{Bound: 0.7, Goal: 0.85})
	r.Compare("final", "hello", Target{Bound: 0.9, Goal: 0.97})
	r.Compare("queued", "constant", Target{})
	r.Compare("confirmed", "constant", Target{})
	r.Compare("final", "constant", Target{})
	return nil
}

// receipts has every buyer bid once in a new auction, and answers where the receipts
// are when all of them are confirmed.
func (d *Sluice) receipts(ctx context.Context) ([]string, error) {
	lamp, err := d.Auction(ctx, endless)
	if err != nil {
		return nil, err
	}
	all, err := d.bidAll(ctx, d.Bidding(lamp, 64))
	if err != nil {
		return nil, err
	}
	return all, d.Settled(ctx, lamp, int64(len(all)))
}

// lowBid is one that is rejected, since everything costs more.
const lowBid = `{"quantity":1,"price":1}`

// bidAll has every buyer bid once, and answers where the receipts are.
func (d *Sluice) bidAll(ctx context.Context, l Load) ([]string, error) {
	l.Count, l.Keep = len(d.Tokens), true
	told, _, err := d.Load(ctx, l)
	return told.Kept, err
}
