package audit

import (
	"context"
	"maps"
	"strconv"

	"github.com/google/uuid"

	"sluice/internal/ledger"
	"sluice/internal/sale"
)

// knew: a batch was decided on the receipts as they were settled, as far as the log
// shows that exactly so, and on all of them.
func (w *walk) knew(b sale.Batch, settled map[uuid.UUID]sale.Receipt) {
	for id, fact := range b.Facts.Receipts {
		row, ok := settled[id]
		left, further := w.later[id]
		switch {
		case !ok && w.record.Gone(fact.Sale):
		case !ok || !becomes(fact, row):
			w.n.found(Continuity, w.p, fact.Sale, "batch to %s knew receipt %s as %s, Postgres has %s", b.Last, id, tell(fact, true), tell(row, ok))
		case further && fact != left:
			w.n.found(Continuity, w.p, fact.Sale, "batch to %s knew receipt %s as %s, the batches before left it as %s", b.Last, id, tell(fact, true), tell(left, true))
		case !further && fact != row && w.logs(row) && row.At < b.Prev.At: // then the last of them left it as it is
			w.n.found(Continuity, w.p, fact.Sale, "batch to %s knew receipt %s as %s, when it was already %s", b.Last, id, tell(fact, true), tell(row, true))
		}
	}
	for _, s := range b.State {
		for _, p := range s.Holds {
			if r := b.Facts.Receipts[p.Receipt]; r.Status != sale.Held || r.Sale != s.ID || r.HoldPlace() != p {
				w.n.found(Continuity, w.p, s.ID, "batch to %s stands on the hold %+v, but knew its receipt as %s", b.Last, p, tell(r, r.ID != uuid.Nil))
			}
		}
		for _, p := range s.Line {
			if r := b.Facts.Receipts[p.Receipt]; r.Status != sale.Waiting || r.Sale != s.ID || r.LinePlace() != p {
				w.n.found(Continuity, w.p, s.ID, "batch to %s stands on the place in line %+v, but knew its receipt as %s", b.Last, p, tell(r, r.ID != uuid.Nil))
			}
		}
	}
	unknown := func(id uuid.UUID) {
		row, ok := settled[id]
		if _, known := b.Facts.Receipts[id]; !ok || known || w.rows[row.Sale] == nil {
			return // or of another partition, whose clock is another
		}
		if row.At < b.Prev.At {
			w.n.found(Continuity, w.p, row.Sale, "batch to %s did not know receipt %s, settled before as %s", b.Last, id, tell(row, true))
		}
	}
	for _, e := range b.Entries {
		unknown(e.Receipt)
		unknown(e.Target)
	}
}

// logs says that the request of a receipt is in this log.
func (w *walk) logs(r sale.Receipt) bool {
	return !w.torn && r.At > w.first.At && w.rows[r.Sale] != nil
}

// steps: each move begins where the receipt stood, be it before the batch, by its
// own entry or by the move before, and is one that the status machine knows.
func (w *walk) steps(b sale.Batch) {
	if len(b.Effects.Moves) == 0 {
		return
	}
	decided := b
	decided.Effects.Moves = nil
	stood := maps.Clone(b.Facts.Receipts)
	for _, r := range decided.Receipts() {
		stood[r.ID] = r
	}
	for _, m := range b.Effects.Moves {
		was, known := stood[m.Receipt.ID]
		if !known || was.Status != m.From || !steps(was, m.Receipt) {
			w.n.found(Record, w.p, m.Receipt.Sale, "batch to %s moves receipt %s from %s to %s, it stood as %s",
				b.Last, m.Receipt.ID, m.From, tell(m.Receipt, true), tell(was, known))
		}
		stood[m.Receipt.ID] = m.Receipt
	}
}

// wrote: every receipt that a batch changed stands in Postgres as the batch left
// it, or as a later batch did. A rejected one has no row, unless it waited first.
func (w *walk) wrote(b sale.Batch, settled map[uuid.UUID]sale.Receipt) {
	for i, e := range b.Entries {
		switch o := b.Outcomes[i]; {
		case o.Stands:
		case o.Status != sale.Rejected && e.ID.At > w.first.At:
			w.logged++
		case o.Status == sale.Rejected && e.Verb.Buys() && b.State[e.Sale] != nil:
			w.counts[ledger.Rejection{Sale: e.Sale, Reason: o.Reason.String()}]++
		}
	}
	waited := map[uuid.UUID]bool{}
	for _, m := range b.Effects.Moves {
		waited[m.Receipt.ID] = true
	}
	for _, r := range b.Receipts() {
		row, ok := settled[r.ID]
		rejected := r.Status == sale.Rejected && !waited[r.ID]
		switch {
		case !ok && w.record.Gone(r.Sale):
		case rejected && (!ok || row.At > r.At): // or asked again under the same key, when that was forgotten
		case ok && row == r:
			delete(w.later, r.ID)
		case ok && !rejected && becomes(r, row):
			w.later[r.ID] = r
		default:
			w.n.found(Record, w.p, r.Sale, "receipt %s is %s in the log, %s in Postgres", r.ID, tell(r, true), tell(row, ok))
		}
	}
}

// recorded: no receipt stands in Postgres as no batch has left it, and none that
// no batch has made; and rejections are counted.
func (w *walk) recorded(ctx context.Context) error {
	for id := range maps.Keys(w.later) {
		w.n.found(Record, w.p, w.later[id].Sale, "receipt %s is %s in the log, further in Postgres", id, tell(w.later[id], true))
	}
	rows, err := w.record.ReceiptsAfter(ctx, w.p, w.first.At)
	if err != nil {
		return err
	}
	if rows > w.logged {
		w.n.found(Record, w.p, 0, "Postgres has %d receipts since %s, the log %d", rows, w.first, w.logged)
	}
	return w.counted(ctx)
}

// counted: Postgres counts at least the rejections of the log, and no others if that
// is complete.
func (w *walk) counted(ctx context.Context) error {
	rows, err := w.record.Rejections(ctx, w.p)
	if err != nil {
		return err
	}
	for of, n := range w.counts {
		if w.rows[of.Sale] != nil && rows[of] < n {
			w.n.found(Record, w.p, of.Sale, "Postgres counts %d rejected as %s, the log %d", rows[of], of.Reason, n)
		}
	}
	for of, n := range rows {
		if w.complete() && n > w.counts[of] {
			w.n.found(Record, w.p, of.Sale, "Postgres counts %d rejected as %s, the log %d", n, of.Reason, w.counts[of])
		}
	}
	return nil
}

// steps says that b is one step from a: on along the status machine, or passed once
// while it waits.
func steps(a, b sale.Receipt) bool {
	switch {
	case a.Status == sale.Waiting && b.Status == sale.Waiting:
		a.Passed++
	case !a.Status.CanBecome(b.Status):
		return false
	case b.Status == sale.Held && b.PayBy > a.At:
		a.PayBy = b.PayBy
	case b.Status == sale.Rejected:
		a.Reason = sale.Closed
	}
	a.Status = b.Status
	return a == b
}

// becomes says that a receipt that stood as a may by now stand as b. Only one that
// waits is still told until when it is held, how often it was passed, or why it
// waited in vain.
func becomes(a, b sale.Receipt) bool {
	from := a.Status
	if from == sale.Waiting {
		if b.Passed < a.Passed || b.Status == sale.Waiting && b.PayBy != 0 {
			return false
		}
		a.Passed, a.PayBy = b.Passed, b.PayBy
		if b.Status == sale.Rejected {
			a.Reason = sale.Closed
		}
	}
	a.Status = b.Status
	return a == b && leads(from, b.Status)
}

func leads(from, to sale.Status) bool {
	if from == to {
		return true
	}
	for next := sale.Confirmed; next <= sale.Refunded; next++ {
		if from.CanBecome(next) && leads(next, to) {
			return true
		}
	}
	return false
}

func tell(r sale.Receipt, there bool) string {
	if !there {
		return "missing"
	}
	words := r.Status.String() + " " + r.Verb.String() + " of buyer " + decimal(r.Buyer) + " for sale " + decimal(r.Sale) +
		", " + decimal(r.Quantity) + " at " + decimal(r.UnitPrice) + ", number " + decimal(r.Seq)
	if r.Discount != 0 {
		words += ", " + decimal(r.Discount) + " off"
	}
	if r.PayBy != 0 {
		words += ", until " + decimal(int64(r.PayBy))
	}
	if r.Passed != 0 {
		words += ", passed " + decimal(r.Passed) + " times"
	}
	if r.Reason != 0 {
		words += ", " + r.Reason.String()
	}
	return words
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
