package bench

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/internal/process"
)

// lock is how many sales are made in a second, beside those who sell in the POST.
var lock = Scenario{
	Name: "lock", Title: "Sales settled, beside locks",
	What: "Everybody bids for one sale that has enough for all: 10,000 buyers, each bid a receipt, an entry of the ledger, two wallets and the " +
		"sale's counter in one Postgres of the same settings, the same tokens and bodies, with an answer when that is committed. Baselines do it in the " +
		"POST, each from the number of connections with which it sold most before; Sluice answers 202, and its second ends when the last outcome is " +
		"durable and to be read. After each round the books are checked. Before, each sells a stock of 1,000 to three times as many, and it is seen whether it " +
		"sells more.",
	Gives:       []string{"oversold: sluice"},
	GivesBeside: []string{"sluice/rowlock", "sluice/redlock", "sluice/optimistic", "sluice/lua", "sluice/nolock", "oversold: nolock", "oversold: rowlock", "oversold: redlock", "oversold: optimistic", "oversold: lua"},
	Run:         measureLock,
}

// baselines, with what they are.
var baselines = [][2]string{
	{"nolock", "read the stock, check, write: it oversells"},
	{"optimistic", "a version column, and again when it has changed"},
	{"rowlock", "SELECT … FOR UPDATE"},
	{"redlock", "a lock in Redis around the rows in Postgres"},
	{"lua", "stock in Redis, taken by a script; then the rows in Postgres"},
}

// crowds are the numbers of connections that a baseline may have.
var crowds = []int{4, 16, 64, 256}

func measureLock(ctx context.Context, r *Run) error {
	stage, err := r.Stage(ctx)
	if err != nil {
		return err
	}
	buyers := r.Scale(10_000, 100)
	d, err := stage.Sluice(ctx, buyers)
	if err != nil {
		return err
	}
	if err := d.Run(ctx, process.RoleConsumer, process.RoleAPI, process.RoleScheduler); err != nil {
		return err
	}
	if err := d.scarce(ctx, r); err != nil {
		return err
	}
	lamp, err := d.Auction(ctx, endless)
	if err != nil {
		return err
	}
	sides := []Side{{"sluice", "this: admitted in Redis, settled in batches", d.selling(lamp)}}
	if r.Rivals != "" {
		if err := stage.scarceOfAll(ctx, r, d.Keys, buyers); err != nil {
			return err
		}
		for _, b := range baselines {
			rival, err := stage.Rival(ctx, b[0], d.Keys, &books{stock: endless, buyers: buyers})
			if err != nil {
				return err
			}
			best, err := rival.best(ctx, r, stage)
			if err != nil {
				return err
			}
			sides = append(sides, rival.alone(Side{b[0], fmt.Sprintf("%s; %d connections", b[1], best), rival.selling(stage, best)}))
		}
	}
	if err := r.Interleave(ctx, r.Times(3), r.Length(4), sides...); err != nil {
		return err
	}
	for _, b := range baselines {
		t := Target{}
		if slices.Contains([]string{"optimistic", "rowlock", "redlock"}, b[0]) {
			t = Target{Bound: 10, Goal: 30}
		}
		r.Compare("sluice", b[0], t)
	}
	return d.Audited(ctx)
}

// selling is a round in which bids are accepted for so long, and settled until the last.
func (d *Sluice) selling(lamp int64) func(context.Context, time.Duration) (Round, error) {
	asked := int64(0)
	return func(ctx context.Context, length time.Duration) (Round, error) {
		l := d.Bidding(lamp, callers)
		l.Length = length
		return d.carried(ctx, l, &asked, func() (int64, error) { return d.Sold(ctx, lamp) })
	}
}

// selling is a round of a baseline, which has sold when it answers.
func (b *Rival) selling(stage *Stage, connections int) func(context.Context, time.Duration) (Round, error) {
	return func(ctx context.Context, length time.Duration) (Round, error) {
		before, err := b.Check(ctx)
		if err != nil {
			return Round{}, err
		}
		// 503: it has given up, as an optimistic one may.
		l := b.Bidding(connections, http.StatusCreated, http.StatusServiceUnavailable)
		l.Length = length
		told, used, err := stage.Load(ctx, l)
		if err != nil {
			return Round{}, err
		}
		after, err := b.Check(ctx)
		if err != nil {
			return Round{}, err
		}
		sold := told.Statuses[http.StatusCreated]
		if after.Sold-before.Sold != int64(sold) {
			return Round{}, fmt.Errorf("%s has answered %d times that it sold, and sold %d", b.name, sold, after.Sold-before.Sold)
		}
		round := told.Round(used)
		round.N = float64(sold)
		round.Rate, round.CPU = round.N/round.Seconds, PerOne(used, round.N)
		if given := told.N - sold; given > 0 {
			round.Values = map[string]float64{"given up": float64(given)}
		}
		return round, nil
	}
}

// best is the number of connections with which a baseline sells most.
func (b *Rival) best(ctx context.Context, r *Run, stage *Stage) (best int, err error) {
	if r.Smoke {
		return crowds[0], nil
	}
	most := -1.0
	for _, connections := range crowds {
		round, err := b.selling(stage, connections)(ctx, r.Length(1.5))
		if err != nil {
			return 0, err
		}
		r.Say("   %-12s %s  from %d connections", b.name, round, connections)
		if round.Rate > most {
			best, most = connections, round.Rate
		}
	}
	return best, nil
}

// The proof: so many buyers for so much.
func scarcity(r *Run) (stock int64, requests int) {
	return int64(r.Scale(1000, 50)), r.Scale(3000, 150)
}

func oversold(name string) string { return "oversold: " + name }

// scarceOfAll lets the baselines sell out, all at once, since no time is measured, and
// tells what each sold too much. Only the one without a lock may.
func (s *Stage) scarceOfAll(ctx context.Context, r *Run, keys string, buyers int) error {
	stock, requests := scarcity(r)
	found := make([]finding, len(baselines))
	all, ctx := errgroup.WithContext(ctx)
	for i, baseline := range baselines {
		all.Go(func() error {
			b, err := s.Rival(ctx, baseline[0], keys, &books{stock: stock, buyers: buyers})
			if err != nil {
				return err
			}
			l := b.Bidding(64, http.StatusCreated, http.StatusConflict, http.StatusServiceUnavailable)
			l.Count = requests
			if _, _, err := s.Load(ctx, l); err != nil {
				return err
			}
			if found[i], err = b.Check(ctx); err != nil {
				return err
			}
			return s.Leave(b.Program)
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	for i, baseline := range baselines {
		if found[i].Oversold > 0 && baseline[0] != "nolock" {
			return fmt.Errorf("%s has sold %d of %d", baseline[0], found[i].Sold, stock)
		}
		r.Figure(oversold(baseline[0]), "units", float64(found[i].Oversold), Target{})
	}
	return nil
}

// scarce is the same of Sluice, which is to sell all and no more.
func (d *Sluice) scarce(ctx context.Context, r *Run) error {
	stock, requests := scarcity(r)
	lamp, err := d.Auction(ctx, stock)
	if err != nil {
		return err
	}
	l := d.Bidding(lamp, 64)
	// Who comes when all is sold may be told so at the door.
	l.Count, l.Expect = requests, append(l.Expect, http.StatusConflict)
	if _, _, err := d.Load(ctx, l); err != nil {
		return err
	}
	if err := d.Settled(ctx, lamp, stock); err != nil {
		return err
	}
	if err := d.Audited(ctx); err != nil {
		return err
	}
	r.Figure(oversold("sluice"), "units", 0, Target{})
	return nil
}
