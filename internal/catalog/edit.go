package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sluice/internal/sale"
)

// ErrOpened says that it is too late: the sale is open, or about to be.
var ErrOpened = errors.New("too late: the sale is open or about to open")

// Opened is ErrOpened about the fields of an edit that may not change any more.
type Opened struct{ Fields sale.Faults }

func (o *Opened) Error() string { return ErrOpened.Error() + ": " + o.Fields.Error() }

// Unwrap answers ErrOpened.
func (o *Opened) Unwrap() error { return ErrOpened }

// Edit is what a seller changes of a sale; what is nil stays. A new policy
// forgets the drop or rate of the other one.
type Edit struct {
	Title        *string
	Description  *string
	Kind         *sale.Kind
	Policy       *sale.Policy
	StartPrice   *int64         // points per unit, of an auction
	UnitPrice    *int64         // points per unit, of a reservation or event
	Drop         *int64         // points
	Rate         *int64         // basis points
	Period       *time.Duration // between two drops
	Stock        *int64         // units
	Limit        *int64         // units one buyer may have
	OpensAt      *sale.Instant
	ClosesAt     *sale.Instant
	RefundWindow *time.Duration
	ShowStock    *bool
	Hold         *time.Duration
	Line         *int64 // receipts that may wait
	MaxBypass    *int64
	AmountOff    *int64 // points
	ValidFrom    *sale.Instant
	ValidUntil   *sale.Instant
	StartsAt     *sale.Instant
}

// of answers s with the edit made.
func (e Edit) of(s sale.Sale) sale.Sale {
	if e.Policy != nil && *e.Policy != s.Price.Policy {
		s.Price.Drop, s.Price.Rate = 0, 0
	}
	set(&s.Title, e.Title)
	set(&s.Description, e.Description)
	set(&s.Kind, e.Kind)
	set(&s.Price.Policy, e.Policy)
	set(&s.Price.Start, e.StartPrice)
	set(&s.Price.Start, e.UnitPrice)
	set(&s.Price.Drop, e.Drop)
	set(&s.Price.Rate, e.Rate)
	set(&s.Price.Period, e.Period)
	set(&s.Stock, e.Stock)
	set(&s.Limit, e.Limit)
	set(&s.OpensAt, e.OpensAt)
	set(&s.ClosesAt, e.ClosesAt)
	set(&s.RefundWindow, e.RefundWindow)
	set(&s.ShowStock, e.ShowStock)
	set(&s.Hold, e.Hold)
	set(&s.LineMost, e.Line)
	set(&s.MaxBypass, e.MaxBypass)
	set(&s.AmountOff, e.AmountOff)
	set(&s.ValidFrom, e.ValidFrom)
	set(&s.ValidUntil, e.ValidUntil)
	set(&s.StartsAt, e.StartsAt)
	return s
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// Edit changes a seller's own sale and answers how it stands. Up to Margin before
// its opening any field but the kind may change, and the sale must keep the rules of
// creation (sale.Faults); afterwards, and of a slot, only title and description (*Opened names the others;
// a field that is given as it is does not count). sale.ErrUnknown,
// sale.ErrNotYours; sale.ErrUnavailable when Redis could not be told, and then
// the same edit must be made again.
func (c *Catalog) Edit(ctx context.Context, seller, id int64, e Edit) (*sale.Stand, error) {
	change := func(s *sale.Stand, now sale.Instant) error {
		if s.Seller != seller {
			return sale.ErrNotYours
		}
		if faults := e.foreign(s.Kind); faults != nil {
			return faults
		}
		edited := e.of(s.Sale)
		if err := c.allowed(s, edited, now); err != nil {
			return err
		}
		s.Free += edited.Stock - s.Stock
		s.Sale = edited
		return nil
	}
	s, err := c.ledger.Sale(ctx, id)
	if err != nil {
		return nil, err
	}
	p := s.Partition
	if err := change(s, sale.At(time.Now())); err != nil { // nobody else makes Redis forget a sale
		return nil, err
	}
	if err := c.store.Forget(ctx, p, id); err != nil {
		return nil, err
	}
	if s, err = c.ledger.EditSale(ctx, id, change); err != nil {
		return nil, err
	}
	return s, c.forget(ctx, p, id)
}

// allowed says what stands against a sale becoming edited.
func (c *Catalog) allowed(s *sale.Stand, edited sale.Sale, now sale.Instant) error {
	if !c.opened(s, now) {
		if edited.Kind != s.Kind { // requests at the door are told by what is remembered of it
			return sale.Faults{{Field: "kind", Rule: "may not change: delete the sale and make another one"}}
		}
		return edited.Check(now)
	}
	var late, faults sale.Faults
	for _, field := range differ(s.Sale, edited) {
		late = append(late, sale.Fault{Field: field, Rule: "may not change any more: the sale is open or about to open"})
	}
	if late != nil {
		return &Opened{late}
	}
	if errors.As(edited.Check(s.OpensAt), &faults) { // only text is new, and only that is judged
		faults = slices.DeleteFunc(faults, func(f sale.Fault) bool { return f.Field != "title" && f.Field != "description" })
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// opened says that the terms of a sale stand: it is open, or about to be. Those of a
// slot are its store's.
func (c *Catalog) opened(s *sale.Stand, now sale.Instant) bool {
	return s.Store != 0 || s.Phase != sale.Scheduled || now >= s.OpensAt.Add(-c.margin)
}

// Delete deletes a seller's own sale, up to Margin before its opening; ErrOpened
// afterwards. sale.ErrUnknown, sale.ErrNotYours; sale.ErrUnavailable when Redis
// could not be told.
func (c *Catalog) Delete(ctx context.Context, seller, id int64) error {
	may := func(s *sale.Stand, now sale.Instant) error {
		switch {
		case s.Seller != seller:
			return sale.ErrNotYours
		case c.opened(s, now):
			return ErrOpened
		}
		return nil
	}
	p, err := c.ledger.Place(ctx, id)
	if err != nil {
		return err
	}
	s, err := c.ledger.Sale(ctx, id)
	if err == nil {
		err = may(s, sale.At(time.Now()))
	}
	if err == nil {
		err = c.store.Forget(ctx, p, id)
	}
	if err == nil {
		err = c.ledger.DeleteSale(ctx, id, may)
	}
	if err != nil && !errors.Is(err, sale.ErrUnknown) {
		return err
	}
	// Also when it is gone already: perhaps Redis was not told then.
	if err := c.forget(ctx, p, id); err != nil {
		return err
	}
	c.ledger.ForgetPlace(id)
	return err
}

// forget makes Redis forget a sale that has changed in Postgres, also when
// whoever asked has gone.
func (c *Catalog) forget(ctx context.Context, p int, id int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := c.store.Forget(ctx, p, id); err != nil {
		return fmt.Errorf("%w: changed, but perhaps not seen everywhere: %w", sale.ErrUnavailable, err)
	}
	return nil
}
