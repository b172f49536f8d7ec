package audit

import (
	"context"
	"maps"
	"strconv"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// knew: a batch was decided on the receipts as they were settled, and on all of
// them.
func (w *walk) knew(b sale.Batch, settled map[uuid.UUID]sale.Receipt) {
	for id, fact := range b.Facts.Receipts {
		if row, ok := settled[id]; !ok || !becomes(fact, row) {
			w.n.found(Continuity, w.p, fact.Sale, "batch to %s knew receipt %s as %s, Postgres has %s", b.Last, id, tell(fact, true), tell(row, ok))
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

// wrote: every receipt that a batch changed stands in Postgres as the batch left
// it, or as a later batch did; a rejected one has no row.
func (w *walk) wrote(b sale.Batch, settled map[uuid.UUID]sale.Receipt) {
	for i, e := range b.Entries {
		if o := b.Outcomes[i]; !o.Stands && o.Status != sale.Rejected && e.ID.At > w.first.At {
			w.logged++
		}
	}
	for _, r := range b.Receipts() {
		row, ok := settled[r.ID]
		switch {
		case r.Status == sale.Rejected && (!ok || row.At > r.At): // or asked again under the same key, when that was forgotten
		case ok && row == r:
			delete(w.later, r.ID)
		case ok && r.Status != sale.Rejected && becomes(r, row):
			w.later[r.ID] = r
		default:
			w.n.found(Record, w.p, r.Sale, "receipt %s is %s in the log, %s in Postgres", r.ID, tell(r, true), tell(row, ok))
		}
	}
}

// recorded: no receipt stands in Postgres as no batch has left it, and none that
// no batch has made.
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
	return nil
}

// becomes says that a receipt that stood as a may by now stand as b.
func becomes(a, b sale.Receipt) bool {
	from := a.Status
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
	if r.Reason != 0 {
		words += ", " + r.Reason.String()
	}
	return words
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
