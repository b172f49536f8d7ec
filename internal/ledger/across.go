package ledger

import (
	"fmt"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// Impossible says that what was to be written about a receipt or a coupon cannot be: it
// would be given back twice, used twice, or settled twice. It is refused as by the
// schema (RefusesData).
type Impossible struct {
	Subject uuid.UUID
	Why     string
}

func (i *Impossible) Error() string { return fmt.Sprintf("impossible: %s %s", i.Subject, i.Why) }

// acrossSales proves of a decision what the schema can say of one era only, since the
// receipts of two sales may lie in two tables: that one receipt is settled once, a purchase
// paid once and given back once, by whatever sale, and that a coupon has one purchase.
//
// It stands on what Postgres said of these receipts and coupons in this transaction,
// which has locked them; whoever else may write about them waits for it. Receipts of a
// partition are written by its owner alone, whom its row has let in.
func (w *writes) acrossSales() error {
	now := make(map[uuid.UUID]sale.Receipt, len(w.last)) // receipts as far as they have got
	var fresh []sale.Receipt
	for i, e := range w.batch.Entries {
		o := w.batch.Outcomes[i]
		if o.Stands {
			continue
		}
		_, moves := w.last[e.Receipt]
		if o.Status == sale.Rejected && !moves {
			continue
		}
		r := e.Settled(o)
		if why := w.known(r, now); why != "" {
			return &Impossible{r.ID, why}
		}
		now[r.ID] = r
		fresh = append(fresh, r)
	}
	paid, ended := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for _, m := range w.batch.Effects.Moves {
		was, here := now[m.Receipt.ID]
		if !here {
			was, here = w.settled(m.Receipt.ID)
		}
		next := m.Receipt.Status
		switch {
		case !here:
			return &Impossible{m.Receipt.ID, "moves, and is not there"}
		case was.Sale != m.Receipt.Sale:
			return &Impossible{m.Receipt.ID, fmt.Sprintf("of sale %d moves to sale %d", was.Sale, m.Receipt.Sale)}
		case m.From != was.Status, !was.Status.CanBecome(next) && !(was.Status == sale.Waiting && next == sale.Waiting):
			return &Impossible{m.Receipt.ID, fmt.Sprintf("is %s and moves from %s to %s", was.Status, m.From, next)}
		}
		now[m.Receipt.ID] = m.Receipt
		paid[m.Receipt.ID] = paid[m.Receipt.ID] || was.Status == sale.Held && next == sale.Confirmed
		ended[m.Receipt.ID] = ended[m.Receipt.ID] || next == sale.Cancelled || next == sale.Refunded
	}
	for _, r := range fresh {
		if r.Target == uuid.Nil {
			continue
		}
		if why := w.about(r, paid, ended); why != "" {
			return &Impossible{r.ID, why}
		}
	}
	return w.couponsUsedOnce(fresh, now)
}

// known says why r cannot be new.
func (w *writes) known(r sale.Receipt, now map[uuid.UUID]sale.Receipt) string {
	if there, is := w.settled(r.ID); is {
		return fmt.Sprintf("is settled, %s for sale %d", there.Status, there.Sale)
	}
	if _, is := now[r.ID]; is {
		return "is there twice"
	}
	if p, ours := sale.PartitionOf(r.ID); !ours || p != w.batch.Partition {
		return fmt.Sprintf("is none of partition %d", w.batch.Partition)
	}
	return ""
}

// about says why r cannot be about its target: each is paid once, and ends once, by the
// receipt that makes it so in this batch. Taken is off the list what r is for.
func (w *writes) about(r sale.Receipt, paid, ended map[uuid.UUID]bool) string {
	did := ended
	switch {
	case r.Verb == sale.Pay && r.Quantity > 0: // a late one: of its own sale, which the schema sees to
		return ""
	case r.Verb == sale.Pay:
		did = paid
	}
	if !did[r.Target] {
		return fmt.Sprintf("is %s %s, and nothing came of it for %s", r.Verb, r.Status, r.Target)
	}
	did[r.Target] = false
	return ""
}

// couponsUsedOnce proves that every purchase which lives has its coupon to itself, and
// that none is taken from one that does.
func (w *writes) couponsUsedOnce(fresh []sale.Receipt, now map[uuid.UUID]sale.Receipt) error {
	user := make(map[uuid.UUID]uuid.UUID, len(w.batch.Effects.Coupons))
	for _, c := range w.batch.Effects.Coupons {
		user[c.Coupon] = c.UsedBy
		was := w.batch.Facts.Coupons[c.Coupon].UsedBy
		if was == c.UsedBy {
			continue
		}
		if r, moved := now[was]; was != uuid.Nil && (!moved || !r.Status.Final()) {
			return &Impossible{c.Coupon, fmt.Sprintf("is taken from %s, which lives", was)}
		}
		if r := now[c.UsedBy]; c.UsedBy != uuid.Nil && r.Coupon != c.Coupon {
			return &Impossible{c.Coupon, fmt.Sprintf("is used by %s, which does not name it", c.UsedBy)}
		}
	}
	for _, r := range fresh {
		if r.Coupon == uuid.Nil || now[r.ID].Status.Final() {
			continue
		}
		if by, used := user[r.Coupon]; !used || by != r.ID {
			return &Impossible{r.Coupon, fmt.Sprintf("is named by %s and used by %s", r.ID, by)}
		}
	}
	return nil
}
