package admission

import (
	"context"

	"github.com/google/uuid"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// What a sale can be asked depends on its kind, which never changes.
func auctions(p ledger.Place) bool { return p.Kind == sale.Auction }
func coupons(p ledger.Place) bool  { return p.Kind == sale.Coupon }
func slots(p ledger.Place) bool    { return p.Kind == sale.Event && p.Store != 0 }
func events(p ledger.Place) bool   { return p.Kind == sale.Event && p.Store == 0 }
func bookable(p ledger.Place) bool { return p.Kind == sale.Reservation || slots(p) }
func held(p ledger.Place) bool     { return p.Kind == sale.Reservation || p.Kind == sale.Event }
func all(ledger.Place) bool        { return true }

// Of all of these a *sale.Refusal says why a request is not queued; sale.ErrUnknown
// that there is no such sale, or receipt; ErrKind that the sale is of another kind.

// Bid asks for quantity units of an auction at no more than price per unit, or at
// exactly that price. coupon is the receipt of its claim; uuid.Nil: none.
func (a *Admission) Bid(ctx context.Context, by Asker, saleID, quantity, price int64, exact bool, coupon uuid.UUID) (sale.Standing, error) {
	return a.admitTo(ctx, by, partition.Selling, auctions, sale.Request{
		Verb: sale.Bid, Sale: saleID, Quantity: quantity, Price: price, Exact: exact, Coupon: coupon,
	})
}

// Reserve asks for quantity units of a reservation, or for a table of a slot, which
// is one unit.
func (a *Admission) Reserve(ctx context.Context, by Asker, saleID, quantity int64, coupon uuid.UUID) (sale.Standing, error) {
	return a.admitTo(ctx, by, partition.Selling, bookable, sale.Request{
		Verb: sale.Reserve, Sale: saleID, Quantity: quantity, Coupon: coupon,
	})
}

// Claim asks for a coupon.
func (a *Admission) Claim(ctx context.Context, by Asker, saleID int64) (sale.Standing, error) {
	return a.admitTo(ctx, by, partition.Selling, coupons, sale.Request{Verb: sale.Claim, Sale: saleID, Quantity: 1})
}

// Join asks for quantity seats of an event.
func (a *Admission) Join(ctx context.Context, by Asker, saleID, quantity int64) (sale.Standing, error) {
	return a.admitTo(ctx, by, partition.Selling, events, sale.Request{Verb: sale.Join, Sale: saleID, Quantity: quantity})
}

// Pay pays for target, a hold.
func (a *Admission) Pay(ctx context.Context, by Asker, target uuid.UUID) (sale.Standing, error) {
	return a.admitAbout(ctx, by, held, sale.Request{Verb: sale.Pay, Target: target})
}

// Cancel gives target back: a hold, a place in the line, or what was bought.
func (a *Admission) Cancel(ctx context.Context, by Asker, target uuid.UUID) (sale.Standing, error) {
	return a.admitAbout(ctx, by, held, sale.Request{Verb: sale.Cancel, Target: target})
}

// Refund asks for the points of target back, a confirmed bid.
func (a *Admission) Refund(ctx context.Context, by Asker, target uuid.UUID) (sale.Standing, error) {
	return a.admitAbout(ctx, by, auctions, sale.Request{Verb: sale.Refund, Target: target})
}

// ChangeSlot asks for a table of the slot newSale instead of target, a booking of
// another slot of the same store.
func (a *Admission) ChangeSlot(ctx context.Context, by Asker, target uuid.UUID, newSale int64) (sale.Standing, error) {
	old, err := a.own(ctx, by, target)
	var from ledger.Place
	if err == nil {
		from, err = a.ledger.Find(ctx, old.Sale)
	}
	if err != nil {
		a.count(sale.Reserve, sale.Standing{}, err)
		return sale.Standing{}, err
	}
	same := func(p ledger.Place) bool { return slots(p) && p.Store == from.Store }
	return a.admitTo(ctx, by, partition.Selling, same, sale.Request{
		Verb: sale.Reserve, Sale: newSale, Quantity: 1, Target: target, From: old.Sale,
	})
}

// Change asks for quantity more units of a seller's own sale, and for a later
// close; 0 is none.
func (a *Admission) Change(ctx context.Context, by Asker, saleID, quantity int64, closesAt sale.Instant) (sale.Standing, error) {
	return a.admitTo(ctx, by, partition.Anytime, all, sale.Request{
		Verb: sale.Change, Sale: saleID, Quantity: quantity, ClosesAt: closesAt,
	})
}
