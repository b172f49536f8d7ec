package bench

import (
	"context"
	"errors"
	"net/http"
	"time"

	"sluice/internal/process"
	"sluice/internal/sale"
)

// callers is how many connections a closed loop has, where nothing else is said.
const callers = 256

// door is how fast requests are let in, beside the same server that does nothing with them.
var door = Scenario{
	Name: "door", Title: "An accepted POST, beside the same POST stored nowhere",
	What: "256 connections bid as fast as they are answered, each bid with a token and an Idempotency-Key of its own. Sluice's API verifies the " +
		"token, derives the receipt, and admits it to the stream in Redis; no consumer runs, so that what it would compute is not counted here. " +
		"Beside it are a Fiber server that does all of this but the storing (post), and one that says hello.",
	Gives:       []string{"accepted"},
	GivesBeside: []string{"sluice/post", "sluice/hello"},
	Run:         measureDoor,
}

func measureDoor(ctx context.Context, r *Run) error {
	stage, err := r.Stage(ctx)
	if err != nil {
		return err
	}
	d, err := stage.Sluice(ctx, r.Scale(10_000, 100))
	if err != nil {
		return err
	}
	if err := errors.Join(d.Open(ctx), d.Run(ctx, process.RoleAPI)); err != nil {
		return err
	}
	lamp, err := d.Auction(ctx, endless)
	if err != nil {
		return err
	}
	asked := int64(0)
	sides := []Side{{"sluice", "the API: token, receipt ID, one script in Redis", func(ctx context.Context, length time.Duration) (Round, error) {
		l := d.Bidding(lamp, callers)
		l.Length = length
		told, used, err := stage.Load(ctx, l)
		asked += int64(told.N)
		return told.Round(used), err
	}}}
	if r.Rivals != "" {
		post, err := stage.Rival(ctx, "post", d.Keys, nil)
		if err != nil {
			return err
		}
		hello, _, err := stage.hello(ctx, d.Keys)
		if err != nil {
			return err
		}
		sides = append(sides,
			Side{"post", "Fiber: the same request read and answered, stored nowhere", stage.closed(func(length time.Duration) Load {
				l := d.Bidding(lamp, callers)
				l.Address, l.Length = post.Address, length
				return l
			})},
			hello)
	}
	if err := r.Interleave(ctx, r.Times(3), r.Length(5), sides...); err != nil {
		return err
	}
	r.Figure("accepted", "/s", average(r.Report.contender("sluice").Rounds).Rate, Target{})
	r.Compare("sluice", "post", Target{Bound: 0.55, Goal: 0.75})
	r.Compare("sluice", "hello", Target{})
	// All that was let in is settled in the end, and no more.
	if err := d.Run(ctx, process.RoleConsumer); err != nil {
		return err
	}
	return d.Settled(ctx, lamp, asked)
}

// endless is more than anybody here can buy.
const endless = sale.MaxStock

// closed is a round of a closed loop.
func (s *Stage) closed(load func(length time.Duration) Load) func(context.Context, time.Duration) (Round, error) {
	return func(ctx context.Context, length time.Duration) (Round, error) {
		told, used, err := s.Load(ctx, load(length))
		if err != nil {
			return Round{}, err
		}
		return told.Round(used), nil
	}
}

// hello is the least that an HTTP server can do.
func (s *Stage) hello(ctx context.Context, keys string) (Side, *Rival, error) {
	p, err := s.Rival(ctx, "hello", keys, nil)
	if err != nil {
		return Side{}, nil, err
	}
	return Side{"hello", "Fiber: GET, and a small JSON", s.closed(func(length time.Duration) Load {
		return Load{Address: p.Address, Journey: Read, Connections: callers, Paths: []string{"/hello"}, Expect: []int{http.StatusOK}, Length: length}
	})}, p, nil
}
