package bench

import (
	"context"
	"fmt"
	"time"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

var settle = Scenario{
	Name:  "settle",
	Title: "One consumer carries a backlog",
	What: "Bids of 10,000 buyers on one sale wait in the queue of one partition, and a consumer, a process of its own, carries them from the " +
		"stream into view: read, View, facts, Decide, write, COMMIT, Apply. Either each of them wins (points move, rows are written), or ten do and " +
		"the sale is sold out. Beside it, by turns and on the same Postgres, a loop without Redis, in the process of the benchmark: the same " +
		"transactions (facts, Decide, write, COMMIT) of the same bids in batches of the same size, the sale kept in memory.",
	Gives: []string{"all win", "sold out", "sluice, all win/loop, all win", "sluice, sold out/loop, sold out"},
	Run:   measureSettle,
}

func measureSettle(ctx context.Context, r *Run) error {
	sluice, err := r.keepers(ctx, 1)
	if err != nil {
		return err
	}
	defer sluice.leave()
	if err := sluice.openPartitions(ctx); err != nil {
		return err
	}
	alone, err := r.keepers(ctx, 1) // its Redis stays empty: nobody opens its partition
	if err != nil {
		return err
	}
	defer alone.leave()
	var bidders [2][]int64
	for i, k := range []*keepers{sluice, alone} {
		if bidders[i], err = k.bidders(ctx, r.Scale(10_000, 100)); err != nil {
			return err
		}
	}
	n := int64(r.Scale(60_000, 1500))
	for _, kind := range []struct {
		name       string
		stock      int64
		ratio, own Target
	}{
		{"all win", sale.MaxStock, Target{Bound: 0.7, Goal: 0.85}, Target{Bound: 15_000, Goal: 25_000}},
		{"sold out", 10, Target{Bound: 0.7, Goal: 0.85}, Target{Bound: 60_000, Goal: 90_000}},
	} {
		lamp := func(s *sale.Sale) { s.Stock, s.Limit = kind.stock, min(kind.stock, s.Limit) }
		batch := 0 // how many the consumer settles at once
		ours, theirs := "sluice, "+kind.name, "loop, "+kind.name
		r.Contender(ours, "a consumer, from the stream into view")
		r.Contender(theirs, "the same transactions without Redis")
		for i := range r.Times(5) + 1 {
			a, err := sluice.consume(ctx, lamp, bidders[0], n, &batch)
			if err != nil {
				return fmt.Errorf("%s: %w", ours, err)
			}
			b, err := alone.loop(ctx, lamp, bidders[1], n, batch)
			if err != nil {
				return fmt.Errorf("%s: %w", theirs, err)
			}
			if i > 0 { // the first one is for warming up
				r.Round(ours, a)
				r.Round(theirs, b)
			}
		}
		r.Compare(ours, theirs, kind.ratio)
		r.Figure(kind.name, "bids/s", average(r.Report.contender(ours).Rounds).Rate, kind.own)
	}
	return nil
}

// warmth are the bids that are settled before it counts.
const warmth = 1000

// consume has a consumer settle n bids on a new sale, behind some to warm up, and tells how
// many it settled at once.
func (k *keepers) consume(ctx context.Context, lamp func(*sale.Sale), bidders []int64, n int64, batch *int) (Round, error) {
	s, err := k.sale(ctx, lamp)
	if err != nil {
		return Round{}, err
	}
	if err := k.admit(ctx, upTo(int(warmth+n), func(i int) sale.Request { return k.bid(s, bidders[i%len(bidders)], i) })); err != nil {
		return Round{}, err
	}
	before, err := k.batches(ctx)
	if err != nil {
		return Round{}, err
	}
	used, took, n, err := k.settle(ctx, warmth, n)
	if err != nil {
		return Round{}, err
	}
	after, err := k.batches(ctx)
	if err != nil {
		return Round{}, err
	}
	*batch = int(float64(after.entries-before.entries)/float64(after.n-before.n) + 0.5)
	return Round{
		Rate: float64(n) / took.Seconds(), N: float64(n), Seconds: took.Seconds(), CPU: PerOne(used, float64(n)),
		Values: map[string]float64{"batch": float64(*batch)},
	}, k.sold(ctx, s)
}

// logged is how much stands in the log of batches.
type logged struct{ n, entries int64 }

// batches tells how many batches were ever settled in partition 0, and entries in them.
func (k *keepers) batches(ctx context.Context) (l logged, err error) {
	err = k.postgres.QueryRow(ctx, `
		select count(*), coalesce(max(seq), 0)
		from batches
		where partition = 0`).Scan(&l.n, &l.entries)
	return l, err
}

// loop settles n bids on a new sale, behind some to warm up, so many at once, by the
// ledger alone.
func (k *keepers) loop(ctx context.Context, lamp func(*sale.Sale), bidders []int64, n int64, batch int) (Round, error) {
	s, err := k.record(ctx, lamp)
	if err != nil {
		return Round{}, err
	}
	stand, _, err := k.ledger.Stand(ctx, s.ID)
	if err != nil {
		return Round{}, err
	}
	mark, err := k.ledger.Lead(ctx, 0, "loop")
	if err != nil {
		return Round{}, err
	}
	entries := make([]sale.Entry, warmth+n)
	at := max(sale.At(time.Now()), mark.Applied.At+1)
	for i := range entries {
		entries[i] = sale.Entry{
			ID: sale.EntryID{At: at, No: int64(i)}, Seq: mark.Seq + int64(i) + 1, Generation: mark.Generation,
			Request: k.bid(s, bidders[i%len(bidders)], i),
		}
	}
	warm := int(warmth) / batch * batch
	for ; warm > 0; warm, entries = warm-batch, entries[batch:] {
		if err := k.settleAlone(ctx, stand, &mark, entries[:batch]); err != nil {
			return Round{}, err
		}
	}
	n = int64(len(entries))
	own := computedSoFar()
	began := time.Now()
	used, err := k.Spent(func() error {
		for len(entries) > 0 {
			some := entries[:min(batch, len(entries))]
			if err := k.settleAlone(ctx, stand, &mark, some); err != nil {
				return err
			}
			entries = entries[len(some):]
		}
		return nil
	})
	if err != nil {
		return Round{}, err
	}
	took := time.Since(began)
	used["loop"] = computedSoFar() - own
	delete(used, "redis") // it has nothing to do with it
	return Round{Rate: float64(n) / took.Seconds(), N: float64(n), Seconds: took.Seconds(), CPU: PerOne(used, float64(n))}, k.sold(ctx, s)
}

// settleAlone settles one batch, and keeps stand and mark as they are behind it. As an
// owner does, it shows of the sale only the buyers who are asked for.
func (k *keepers) settleAlone(ctx context.Context, stand *sale.Stand, mark *ledger.Watermark, entries []sale.Entry) error {
	shown := *stand
	shown.Buyers = map[int64]int64{}
	for _, buyer := range partition.Asks(entries)[stand.ID].Buyers {
		if units := stand.Buyers[buyer]; units > 0 {
			shown.Buyers[buyer] = units
		}
	}
	last := entries[len(entries)-1]
	b := sale.Batch{
		Epoch: mark.Epoch, Prev: mark.Applied, Last: last.ID, Seq: last.Seq, Entries: entries,
		State: sale.State{stand.ID: &shown}, Facts: sale.Facts{Generation: mark.Generation},
	}
	if err := k.ledger.Settle(ctx, &b); err != nil {
		return err
	}
	for _, e := range b.Effects.Sales {
		stand.Free, stand.Sold, stand.Phase = stand.Free+e.Free, stand.Sold+e.Sold, e.Phase
		for _, of := range e.Buyers {
			stand.Buyers[of.Buyer] += of.Units
		}
	}
	mark.Applied, mark.Seq = b.Last, b.Seq
	return nil
}

// sold is an error unless the bids on s got what there was, and no more.
func (k *keepers) sold(ctx context.Context, s sale.Sale) error {
	stand, _, err := k.ledger.Stand(ctx, s.ID)
	if err != nil {
		return err
	}
	var rejected int64
	if err := k.postgres.QueryRow(ctx, `
		select coalesce(sum(n), 0)
		from rejections
		where sale = $1`, s.ID).Scan(&rejected); err != nil {
		return err
	}
	if stand.Free+stand.Sold != s.Stock || rejected > 0 && stand.Free > 0 {
		return fmt.Errorf("of %d units %d are sold and %d free, and %d bids were rejected", s.Stock, stand.Sold, stand.Free, rejected)
	}
	return nil
}
