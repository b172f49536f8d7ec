package audit

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// beat is a partition between two rounds of a patrol: how the log has left it.
type beat struct {
	p    int
	walk *walk   // nil: it was not seen yet, or too long ago
	live []int64 // sales, at the last round

	// Of the round in hand.
	at       sale.EntryID // the watermark at which something is found
	logged   bool         // in the log, where it is met once
	redis    bool         // of Redis' own doing
	matched  map[int]bool // glimpses that the log has come by
	requests int64        // that the round had judged before it came here
	over     int64        // units that are not there, by Redis
}

// buyersMost is how many buyers of a sale are remembered: with more of them, those who
// come again are learned anew.
const buyersMost = 10_000

// begin takes over how the live sales stand at a watermark.
func (b *beat) begin(mark ledger.Watermark, live sale.State, receipts []sale.Receipt) {
	w := &walk{sight: &sight{p: b.p, mark: mark}, counts: map[ledger.Rejection]int64{}}
	w.forget()
	w.begun, w.firm = true, true
	w.first, w.last, w.seq, w.epoch, w.era = mark.Applied, mark.Applied, mark.Seq, mark.Epoch, mark.Generation
	for id, s := range live {
		w.sales[id] = &known{standing: counters(s), terms: terms(s), buyers: map[int64]int64{}, holds: s.Holds, line: s.Line, whole: true}
		w.turns[id] = &turn{id: id, terms: s.Sale, free: s.Free, closes: s.ClosesAt, suspended: s.Suspended, held: map[uuid.UUID]sale.Receipt{}, whole: true}
	}
	slices.SortFunc(receipts, func(a, b sale.Receipt) int { return a.LinePlace().Compare(b.LinePlace()) })
	for _, r := range receipts {
		if t := w.turns[r.Sale]; r.Status == sale.Held {
			t.hold(r)
		} else {
			t.line = append(t.line, r)
		}
	}
	b.walk, b.live = w, slices.Sorted(maps.Keys(live))
}

// window readies the walk for what is new.
func (b *beat) window(n *notes, record *ledger.Inspection, mark ledger.Watermark, live sale.State) *walk {
	w := b.walk
	w.sight, w.n, w.rows = &sight{p: b.p, record: record, mark: mark}, n, maps.Clone(live)
	w.first, w.later, w.counts, w.logged = w.last, map[uuid.UUID]sale.Receipt{}, map[ledger.Rejection]int64{}, 0
	b.matched, b.requests, b.over = map[int]bool{}, n.Requests, 0
	return w
}

// mention looks up the sales that batches are about and that do not live: not open, or
// over by now.
func (b *beat) mention(ctx context.Context, record *ledger.Inspection, page []ledger.Logged) error {
	var more []int64
	for _, logged := range page {
		for id := range logged.State {
			if b.walk.rows[id] == nil && !slices.Contains(more, id) {
				more = append(more, id)
			}
		}
	}
	if len(more) == 0 {
		return nil
	}
	rows, err := record.Some(ctx, more)
	maps.Copy(b.walk.rows, rows)
	return err
}

// judges goes on by one batch.
func (b *beat) judges(logged ledger.Logged, settled map[uuid.UUID]sale.Receipt) {
	b.at, b.logged = logged.Last, true
	b.walk.batch(logged, settled)
	b.logged = false
}

// compare holds what Redis says against what the log made, for each glimpse that was at
// the watermark at which the log is now. It answers true when that was the last of them.
func (b *beat) compare(n *notes, glimpses []partition.Glimpse) bool {
	w := b.walk
	for i, g := range glimpses {
		if g.Applied != w.last || b.matched[i] {
			continue
		}
		b.matched[i] = true
		b.at, b.redis = g.Applied, true
		for _, id := range slices.Sorted(maps.Keys(g.Sales)) {
			b.hot(n, id, g.Sales[id])
		}
		b.redis = false
	}
	return len(b.matched) == len(glimpses)
}

// hot compares one sale.
func (b *beat) hot(n *notes, id int64, seen partition.Glimpsed) {
	if seen.Unreadable != nil {
		n.found(Projection, b.p, id, "%v", seen.Unreadable)
		return
	}
	b.over += n.addsUp(b.p, "Redis", seen.Stand)
	k := b.walk.sales[id]
	if k == nil || k.Phase == sale.Scheduled {
		return
	}
	said := k.stand(id)
	if row := b.walk.rows[id]; k.terms == (sale.Sale{}) && row != nil { // the log told the terms before they stood
		said.Sale = row.Sale
		said.Stock, said.ClosesAt = k.Stock, k.ClosesAt
	}
	n.agree(b.p, seen.Stand, seen.Exhausted, "the log", said)
	if k.whole && (seen.Holds != int64(len(k.holds)) || seen.Line != int64(len(k.line))) {
		n.found(Projection, b.p, id, "Redis has %d holds and %d in line, the log %d and %d", seen.Holds, seen.Line, len(k.holds), len(k.line))
	}
}

// stand is a sale as the log has left it, as far as numbers go.
func (k *known) stand(id int64) *sale.Stand {
	s := &sale.Stand{Sale: k.terms, Phase: k.Phase, Free: k.Free, Held: k.Held, Sold: k.Sold, Waiting: k.Waiting, PaidOut: k.PaidOut, Suspended: k.Suspended}
	s.ID, s.Stock, s.ClosesAt = id, k.Stock, k.ClosesAt
	return s
}

// finish compares Postgres with the end of the log, and forgets what is over.
func (b *beat) finish(ctx context.Context, n *notes, live sale.State) error {
	w := b.walk
	b.at = w.mark.Applied
	w.reaches()
	over := int64(0)
	for _, id := range slices.Sorted(maps.Keys(live)) {
		over += n.addsUp(b.p, "Postgres", live[id])
		if k := w.sales[id]; k != nil && k.Phase != sale.Scheduled {
			w.stands(k, live[id])
		}
	}
	n.Oversold += max(over, b.over)
	for id, r := range w.later {
		n.found(Record, b.p, r.Sale, "receipt %s is %s in the log, further in Postgres", id, tell(r, true))
	}
	if err := w.couponsEnd(ctx); err != nil {
		return err
	}
	if err := w.record.LiveEscrows(ctx, b.p, func(d ledger.Discrepancy) {
		n.found(Escrow, d.Partition, d.Sale, "%s: %s, must be %s", d.Subject, d.Have, d.Want)
	}); err != nil {
		return err
	}
	n.Sales += int64(len(live))
	if w.torn || w.last != w.mark.Applied { // told, and not to be told again
		b.walk = nil
		return nil
	}
	maps.DeleteFunc(w.sales, func(id int64, _ *known) bool { return live[id] == nil })
	maps.DeleteFunc(w.turns, func(id int64, _ *turn) bool { return live[id] == nil })
	clear(w.coupons)
	for _, k := range w.sales {
		if len(k.buyers) > buyersMost {
			k.buyers, k.all = map[int64]int64{}, false
		}
	}
	w.sight, w.n, w.rows, w.moves = &sight{p: b.p, mark: w.mark}, nil, nil, nil
	b.live = slices.Sorted(maps.Keys(live))
	return nil
}
