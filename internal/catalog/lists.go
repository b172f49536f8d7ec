package catalog

import (
	"context"

	"sluice/internal/ledger"
	"sluice/internal/sale"
)

// What a list of sales is asked with.
type (
	Filter = ledger.SaleFilter
	Cursor = ledger.SaleCursor
	Order  = ledger.SaleOrder
)

// The orders.
const (
	ByOpening = ledger.ByOpening
	ByClosing = ledger.ByClosing
)

// List answers a page of sales as settled, without their buyers, and whether
// there are more. Their states are of the moment now, by the clock of Postgres. The
// seller asking for his own must see what he has just done; to others they may be a
// little old.
func (c *Catalog) List(ctx context.Context, asking int64, f Filter) (sales []*sale.Stand, more bool, now sale.Instant, err error) {
	if f.Seller != 0 && f.Seller == asking {
		return c.ledger.Sales(ctx, f)
	}
	return c.ledger.Cold().Sales(ctx, f)
}

// ReceiptFilter says which purchases of a sale are listed. What is zero does not
// filter.
type ReceiptFilter struct {
	Status   sale.Status
	Buyer    int64
	From, To sale.Instant // From ≤ at < To
	After    ReceiptCursor
	Limit    int
}

// ReceiptCursor is a place in a list of receipts.
type ReceiptCursor = ledger.ReceiptCursor

// Anybody stands for an account that may look into every sale: an admin.
const Anybody = 0

// Receipts answers a page of the purchases of a seller's own sale (what was bought,
// is held, or waited), the newest first, and whether there are more. What was asked
// about one shows in it: a refunded bid is refunded. sale.ErrUnknown,
// sale.ErrNotYours; sale.ErrDropped when they are not kept any more.
func (c *Catalog) Receipts(ctx context.Context, seller, id int64, f ReceiptFilter) ([]sale.Receipt, bool, error) {
	s, err := c.ledger.Sale(ctx, id)
	if err != nil {
		return nil, false, err
	}
	if seller != Anybody && s.Seller != seller {
		return nil, false, sale.ErrNotYours
	}
	found, more, err := c.ledger.Cold().Receipts(ctx, ledger.ReceiptFilter{
		Sale: id, Purchases: true, Status: f.Status, Buyer: f.Buyer, From: f.From, To: f.To, After: f.After, Limit: f.Limit,
	})
	if err == nil && len(found) == 0 {
		err = c.kept(ctx, id)
	}
	return found, more, err
}

// kept answers sale.ErrDropped when there are no receipts of a sale because they are not
// kept any more, and not because there never were any.
func (c *Catalog) kept(ctx context.Context, id int64) error {
	dropped, err := c.ledger.Dropped(ctx, id)
	if err == nil && dropped {
		err = sale.ErrDropped
	}
	return err
}

// Summary is how a sale has gone so far.
type Summary = ledger.Summary

// Summary sums a seller's own sale up, as settled. sale.ErrUnknown,
// sale.ErrNotYours; sale.ErrDropped when its receipts cannot be counted any more.
func (c *Catalog) Summary(ctx context.Context, seller, id int64) (Summary, error) {
	s, err := c.ledger.Sale(ctx, id)
	switch {
	case err != nil:
		return Summary{}, err
	case seller != Anybody && s.Seller != seller:
		return Summary{}, sale.ErrNotYours
	}
	if err := c.kept(ctx, id); err != nil {
		return Summary{}, err
	}
	return c.ledger.Cold().Summary(ctx, id)
}
