package audit

import (
	"context"
	"fmt"

	"sluice/internal/ledger"
)

// books is what the tables must say of themselves and of one another. Postgres
// does the sums; the questions stand with the other SQL, in ledger.
var books = []struct {
	rule Rule
	ask  ledger.Discrepancies
}{
	{Units, (*ledger.Inspection).Units},
	{Revenue, (*ledger.Inspection).Revenue},
	{Limit, (*ledger.Inspection).Limits},
	{Refunds, (*ledger.Inspection).Refunds},
	{Targets, (*ledger.Inspection).Targets},
	{Orders, (*ledger.Inspection).Orders},
	{Coupons, (*ledger.Inspection).Coupons},
	{Wallets, (*ledger.Inspection).Wallets},
	{Conservation, (*ledger.Inspection).Conservation},
	{Escrow, (*ledger.Inspection).Escrows},
	{Payments, (*ledger.Inspection).Payments},
	{Payouts, (*ledger.Inspection).Payouts},
	{Notices, (*ledger.Inspection).Notices},
	{Orphans, (*ledger.Inspection).Orphans},
	{Orphans, (*ledger.Inspection).Eras},
}

// books audits all partitions at one moment, since wallets belong to none. Every
// transaction leaves the books right, so there is nothing to wait for.
func (a *Audit) books(ctx context.Context, n *notes) error {
	return a.ledger.Inspect(ctx, func(record *ledger.Inspection) error {
		sizes, err := record.Sizes(ctx)
		if err != nil {
			return err
		}
		n.Sales, n.Receipts, n.Entries = sizes.Sales, sizes.Receipts, sizes.Entries
		for _, b := range books {
			err := b.ask(record, ctx, func(d ledger.Discrepancy) {
				n.found(b.rule, d.Partition, d.Sale, "%s: %s, must be %s", d.Subject, d.Have, d.Want)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", b.rule, err)
			}
		}
		return nil
	})
}
