package audit

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"sluice/internal/ledger"
	"sluice/internal/sale"
)

// walk goes once through the log of a partition, oldest batch first. What it
// remembers of a sale it has from the batches it has seen; where the log is torn
// it forgets that and starts afresh, so that one missing batch is one finding.
type walk struct {
	*sight
	n    *notes
	rows sale.State // how the sales stand in Postgres; of a patrol without their buyers, holds and lines

	begun bool
	first sale.EntryID // where the log begins
	last  sale.EntryID // where the batch before ended
	seq   int64        // and its number
	epoch int64
	era   int64 // its generation

	torn bool // batches are missing, or could not be read
	firm bool // what a batch stood on is not believed where the batches before made something else

	sales   map[int64]*known               // continuity
	turns   map[int64]*turn                // turns
	moves   map[int64][]sale.Move          // turns: of this batch, by sale, those whose turn has not come yet
	coupons map[uuid.UUID]sale.CouponStand // continuity and turns: as the batches seen so far have left them
	later   map[uuid.UUID]sale.Receipt     // record: as logged, when the row has gone on from there
	logged  int64                          // record: receipts with a row since the beginning
	counts  map[ledger.Rejection]int64     // record: buyers rejected at once
}

// log audits the log of a partition, and the record by it.
func (s *sight) log(ctx context.Context, n *notes, rows sale.State) error {
	w := &walk{sight: s, n: n, rows: rows, counts: map[ledger.Rejection]int64{}}
	w.forget()
	err := s.record.Log(ctx, s.p, func(page []ledger.Logged) error {
		settled, err := s.record.Receipts(ctx, mentioned(page))
		if err != nil {
			return err
		}
		for _, b := range page {
			w.batch(b, settled)
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.reaches()
	if w.torn || w.last != s.mark.Applied {
		return nil
	}
	w.ends()
	if err := w.couponsEnd(ctx); err != nil {
		return err
	}
	return w.recorded(ctx)
}

// mentioned answers all receipts that these batches may be about.
func mentioned(page []ledger.Logged) (ids [][16]byte) {
	for _, b := range page {
		for _, e := range b.Entries {
			ids = append(ids, e.Receipt)
			if e.Target != uuid.Nil {
				ids = append(ids, e.Target)
			}
		}
		for _, m := range b.Effects.Moves {
			ids = append(ids, m.Receipt.ID)
		}
		for id := range b.Facts.Receipts {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w *walk) forget() {
	w.sales, w.turns, w.later = map[int64]*known{}, map[int64]*turn{}, map[uuid.UUID]sale.Receipt{}
	w.coupons = map[uuid.UUID]sale.CouponStand{}
}

// batch audits one batch. settled is what Postgres has of its receipts now.
func (w *walk) batch(b ledger.Logged, settled map[uuid.UUID]sale.Receipt) {
	w.n.Batches++
	w.n.Requests += int64(len(b.Entries))
	w.follows(b)
	if b.Unreadable != nil {
		w.n.found(Unreadable, w.p, 0, "%v", b.Unreadable)
		w.torn = true
		w.forget()
		return
	}
	w.inside(b.Batch)
	w.replay(b.Batch)
	w.stood(b.Batch)
	w.knew(b.Batch, settled)
	w.couponsStood(b.Batch)
	w.evolve(b.Batch)
	w.steps(b.Batch)
	w.wrote(b.Batch, settled)
	w.take(b.Batch)
}

// follows: a batch begins where the one before ended, under no older owner or
// generation.
func (w *walk) follows(b ledger.Logged) {
	switch {
	case !w.begun:
		w.begun, w.first = true, b.Prev
	case b.Prev != w.last:
		w.n.found(Chain, w.p, 0, "batch %s to %s does not follow %s", b.Prev, b.Last, w.last)
		w.torn = true
		w.forget()
	case b.Epoch < w.epoch:
		w.n.found(Chain, w.p, 0, "batch to %s is of epoch %d, the one before of %d", b.Last, b.Epoch, w.epoch)
	case b.Unreadable == nil && b.Facts.Generation < w.era:
		w.n.found(Chain, w.p, 0, "batch to %s is of generation %d, the one before of %d", b.Last, b.Facts.Generation, w.era)
	case b.Seq < w.seq:
		w.n.found(Chain, w.p, 0, "batch to %s ends with number %d, the one before with %d", b.Last, b.Seq, w.seq)
	}
	w.last, w.seq, w.epoch = b.Last, b.Seq, b.Epoch
	if b.Unreadable == nil {
		w.era = b.Facts.Generation
	}
}

// inside: the entries of a batch are in stream order, between its watermarks, and
// numbered up to its own number.
func (w *walk) inside(b sale.Batch) {
	at := b.Prev
	for _, e := range b.Entries {
		if e.ID.Compare(at) <= 0 {
			w.n.found(Chain, w.p, e.Sale, "entry %s comes after %s", e.ID, at)
		}
		if e.Seq > b.Seq {
			w.n.found(Chain, w.p, e.Sale, "entry %s is number %d, its batch ends with %d", e.ID, e.Seq, b.Seq)
		}
		at = e.ID
	}
	if at != b.Last {
		w.n.found(Chain, w.p, 0, "batch to %s ends with entry %s", b.Last, at)
	}
}

// reaches: the log ends at the partition's watermark, and is never forgotten
// altogether.
func (w *walk) reaches() {
	if w.last != w.mark.Applied || w.begun && w.seq != w.mark.Seq {
		w.n.found(Chain, w.p, 0, "the log ends at %s, number %d, the partition stands at %s, number %d",
			w.last, w.seq, w.mark.Applied, w.mark.Seq)
	}
}

// replay: deciding the batch again gives every outcome and every effect that is
// recorded.
func (w *walk) replay(b sale.Batch) {
	// The rules trust their state. One that was tampered with may take them where
	// they cannot go, and that is a finding as well.
	defer func() {
		if fault := recover(); fault != nil {
			w.n.found(Replay, w.p, 0, "batch to %s cannot be decided again: %v", b.Last, fault)
		}
	}()
	again := sale.Decide(b.State, b.Facts, b.Entries)
	if len(again.Short) > 0 {
		w.n.found(Replay, w.p, again.Short[0], "batch to %s shows too little of the lines of %d to be decided", b.Last, again.Short)
		return
	}
	for i, e := range b.Entries {
		if again.Outcomes[i] != b.Outcomes[i] {
			w.n.found(Replay, w.p, e.Sale, "%s %s at %s is recorded as %s, decided again as %s",
				e.Verb, e.Receipt, e.ID, say(b.Outcomes[i]), say(again.Outcomes[i]))
		}
	}
	for i, m := range b.Effects.Moves {
		if m.At == 0 && i < len(again.Effects.Moves) { // version 1 did not tell it
			again.Effects.Moves[i].At = 0
		}
	}
	if !bytes.Equal(again.Effects.Encode(), b.Effects.Encode()) {
		w.n.found(Replay, w.p, 0, "batch to %s has the effects %+v, decided again %+v", b.Last, b.Effects, again.Effects)
	}
}

// say puts an outcome into words: "confirmed at 900", "held at 700 less 50 until
// 1700000600000", "rejected sold_out, stands".
func say(o sale.Outcome) string {
	words := o.Status.String()
	if o.Reason != 0 {
		words += " " + o.Reason.String()
	}
	if o.UnitPrice != 0 {
		words += " at " + decimal(o.UnitPrice)
	}
	if o.Discount != 0 {
		words += " less " + decimal(o.Discount)
	}
	if o.PayBy != 0 {
		words += " until " + decimal(int64(o.PayBy))
	}
	if o.Quantity != 0 {
		words += ", buys " + decimal(o.Quantity)
	}
	if o.Stands {
		words += ", stands"
	}
	return words
}

// known is a sale as the batches seen so far have left it.
type known struct {
	standing
	terms  sale.Sale       // zero until it opens
	buyers map[int64]int64 // units
	all    bool            // those of all buyers
	holds  places          // with whole set all of them
	line   places          // the same
	whole  bool            // the log shows the sale from its beginning, or a patrol has looked the places up
}

// units answers those of a buyer, as far as they are known.
func (k *known) units(buyer int64) (n int64, ok bool) {
	n, ok = k.buyers[buyer]
	return n, ok || k.all
}

// untouched says that a sale is as it was created. Until it opens its seller may
// still change its terms, and nothing that counts has happened.
func untouched(s *sale.Stand) bool {
	return s.Phase == sale.Scheduled && s.Free == s.Stock && s.Held == 0 && s.Sold == 0 && s.Waiting == 0 && !s.PaidOut && len(s.Buyers) == 0
}

// complete says that nothing of the partition happened before what the walk saw.
func (w *walk) complete() bool { return !w.torn && w.first == sale.EntryID{} }

// stood: the state that a batch was decided on is the one that the batches before
// it made.
func (w *walk) stood(b sale.Batch) {
	asked := map[int64][]int64{} // whose units the state must tell
	for _, e := range b.Entries {
		asked[e.Sale] = append(asked[e.Sale], e.Buyer)
	}
	for _, id := range slices.Sorted(maps.Keys(b.State)) {
		s, k := b.State[id], w.sales[id]
		switch {
		case k == nil && w.complete() && !untouched(s), k != nil && k.Phase == sale.Scheduled && !untouched(s):
			w.n.found(Continuity, w.p, id, "batch to %s stands on %+v, but nothing happened before", b.Last, counters(s))
			k = nil
		case k != nil && k.Phase != sale.Scheduled && k.standing != counters(s):
			w.n.found(Continuity, w.p, id, "batch to %s stands on %+v, the batches before made %+v", b.Last, counters(s), k.standing)
		}
		if k == nil {
			k = &known{buyers: map[int64]int64{}, all: untouched(s), whole: untouched(s)}
			w.sales[id] = k
		}
		if !w.firm || k.Phase == sale.Scheduled || k.Phase == "" {
			k.standing = counters(s)
		}
		if s.Phase != sale.Scheduled {
			if k.terms != terms(s) && k.terms != (sale.Sale{}) {
				w.n.found(Continuity, w.p, id, "batch to %s stands on the terms %+v, the batches before on %+v", b.Last, terms(s), k.terms)
			}
			if !w.firm || k.terms == (sale.Sale{}) {
				k.terms = terms(s)
			}
		}
		for _, buyer := range slices.AppendSeq(asked[id], maps.Keys(s.Buyers)) {
			had, seen := k.units(buyer)
			if seen && had != s.Buyers[buyer] {
				w.n.found(Continuity, w.p, id, "batch to %s stands on %d units of buyer %d, the batches before gave him %d",
					b.Last, s.Buyers[buyer], buyer, had)
			}
			k.buyers[buyer] = s.Buyers[buyer]
		}
		w.shown(k, b, id, "holds", &k.holds, s.Holds)
		w.shown(k, b, id, "line", &k.line, s.Line)
	}
}

// shown: a state shows of the holds, or of the line, the first ones, and leaves none
// out.
func (w *walk) shown(k *known, b sale.Batch, id int64, what string, have *places, first []sale.Place) {
	begun := w.first.At // whoever came earlier may have taken his place before the log begins
	if k.whole {
		begun = 0
	}
	if wrong := have.begin(first, func(p sale.Place) bool { return b.Facts.Receipts[p.Receipt].At <= begun }); wrong != "" {
		w.n.found(Continuity, w.p, id, "batch to %s stands on other %s: %s", b.Last, what, wrong)
		if !w.firm {
			*have = slices.Clone(first)
		}
	}
}

// evolve makes the effects of a batch true for what is known.
func (w *walk) evolve(b sale.Batch) {
	for _, e := range b.Effects.Sales {
		k := w.sales[e.Sale]
		if k == nil {
			w.n.found(Continuity, w.p, e.Sale, "batch to %s changes a sale that it does not know", b.Last)
			continue
		}
		k.standing = standing{e.Phase, k.Stock + e.Stock, k.Free + e.Free, k.Held + e.Held, k.Sold + e.Sold, k.Waiting + e.Waiting, e.PaidOut, e.Suspended, e.ClosesAt}
		for _, of := range e.Buyers {
			if _, seen := k.units(of.Buyer); seen { // who loses a hold to time need not be in the state
				k.buyers[of.Buyer] += of.Units
			}
		}
		for _, of := range []struct {
			what    string
			have    *places
			effects []sale.PlaceEffect
		}{{"holds", &k.holds, e.Holds}, {"line", &k.line, e.Line}} {
			for _, effect := range of.effects {
				if !of.have.change(effect) && k.whole {
					w.n.found(Continuity, w.p, e.Sale, "batch to %s changes the %s by %+v, which does not fit", b.Last, of.what, effect)
				}
			}
		}
		if k.whole && int64(len(k.line)) != k.Waiting {
			w.n.found(Continuity, w.p, e.Sale, "batch to %s leaves %d waiting, in a line of %d", b.Last, k.Waiting, len(k.line))
			k.whole = false
		}
	}
}

// ends: the sales in Postgres stand as the log has left them, and those that the
// log never touched are untouched.
func (w *walk) ends() {
	for _, id := range slices.Sorted(maps.Keys(w.rows)) {
		row, k := w.rows[id], w.sales[id]
		switch {
		case k == nil && w.complete(), k != nil && k.Phase == sale.Scheduled:
			if !untouched(row) {
				w.n.found(Continuity, w.p, id, "Postgres has %+v, but nothing happened in the log", counters(row))
			}
			continue
		case k == nil:
			continue
		}
		w.stands(k, row)
		if w.record.Gone(id) { // then nobody knows who had it
			continue
		}
		for buyer, units := range eitherOf(row.Buyers, k.buyers) {
			if _, seen := k.units(buyer); seen && units[0] != units[1] {
				w.n.found(Continuity, w.p, id, "buyer %d has %d units in Postgres, the log gave him %d", buyer, units[0], units[1])
			}
		}
		for _, of := range []struct {
			what      string
			row, have []sale.Place
		}{{"holds", row.Holds, k.holds}, {"line", row.Line, k.line}} {
			i, same := firstApart(of.row, of.have)
			if k.whole && !same || !k.whole && !contains(of.row, of.have) {
				w.n.found(Continuity, w.p, id, "%s: of %d in Postgres and %d in the log number %d is %s in Postgres, %s in the log",
					of.what, len(of.row), len(of.have), i+1, tellPlace(of.row, i), tellPlace(of.have, i))
			}
		}
	}
}

// stands: a sale stands in Postgres as the log has left it, as far as numbers go.
func (w *walk) stands(k *known, row *sale.Stand) {
	if counters(row) != k.standing {
		w.n.found(Continuity, w.p, row.ID, "Postgres has %+v, the log made %+v", counters(row), k.standing)
	}
	if k.terms != terms(row) && k.terms != (sale.Sale{}) {
		w.n.found(Continuity, w.p, row.ID, "Postgres has the terms %+v, the log %+v", terms(row), k.terms)
	}
}
