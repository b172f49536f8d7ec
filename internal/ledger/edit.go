package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// EditSale locks a sale, lets edit change its terms and text, and records them; a
// slot stays with its store.
// now is the clock of Postgres with the lock held. What edit answers is the
// answer, and then nothing is changed; sale.ErrUnknown when there is no such
// sale.
//
// The watermark of the partition stays where it is: whoever keeps a copy of the
// sale must be made to forget it (partition.Forget). A batch that was to be
// decided on the old terms is not (Edited).
func (l *Ledger) EditSale(ctx context.Context, id int64, edit func(s *sale.Stand, now sale.Instant) error) (s *sale.Stand, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		var now sale.Instant
		if s, now, err = lockSale(ctx, tx, id); err != nil {
			return err
		}
		if err := edit(s, now); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			update sales
			set kind = $2,
				title = $3,
				description = $4,
				price_policy = $5,
				start_price = $6,
				price_drop = $7,
				price_rate = $8,
				price_period_ms = $9,
				stock = $10,
				free = free + $10 - stock,
				per_buyer_limit = $11,
				opens_at = $12,
				closes_at = $13,
				payout_at = $14,
				show_stock = $15,
				hold_ms = $16,
				line_most = $17,
				max_bypass = $18,
				amount_off = $19,
				valid_from = $20,
				valid_until = $21,
				starts_at = $22
			where id = $1`,
			id, s.Kind, s.Title, s.Description, s.Price.Policy, s.Price.Start, s.Price.Drop, s.Price.Rate, s.Price.Period.Milliseconds(),
			s.Stock, s.Limit, s.OpensAt.Time(), s.ClosesAt.Time(), s.PayoutAt().Time(), s.ShowStock,
			s.Hold.Milliseconds(), s.LineMost, s.MaxBypass, s.AmountOff, moment(s.ValidFrom), moment(s.ValidUntil), moment(s.StartsAt))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("edit sale %d: %w", id, err)
	}
	return s, nil
}

// DeleteSale locks a sale and its escrow and, if may has no objection, deletes
// both. Receipts of a stock that grew stay, as everything in the log does.
func (l *Ledger) DeleteSale(ctx context.Context, id int64, may func(s *sale.Stand, now sale.Instant) error) error {
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		// Wallets before sales, as everywhere.
		if _, err := tx.Exec(ctx, `
			select
			from wallets
			where id = $1
			for update`, escrowOf(id)); err != nil {
			return err
		}
		s, now, err := lockSale(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := may(s, now); err != nil {
			return err
		}
		var sales, escrows int
		err = tx.QueryRow(ctx, `
			with gone as (
				delete from sales
				where id = $1 and phase = 'scheduled' and free = stock
				returning id),
			emptied as (
				delete from wallets
				where id = $2 and balance = 0
				returning id)
			select
				(select count(*) from gone),
				(select count(*) from emptied)`, id, escrowOf(id)).Scan(&sales, &escrows)
		if err == nil && (sales != 1 || escrows != 1) {
			err = errors.New("it is not untouched")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete sale %d: %w", id, err)
	}
	return nil
}

// Edited says that a batch was to be decided on sales as they are no more: their
// seller has changed or deleted them since they were viewed. Nothing is settled;
// whoever keeps a copy must forget it, and the batch be viewed again.
type Edited struct{ Sales []int64 }

func (e *Edited) Error() string {
	return fmt.Sprintf("edited: sales %v are not as they were viewed", e.Sales)
}

// scheduled answers the sales of a state that their sellers may still change.
func scheduled(state sale.State) (ids []int64) {
	for id, s := range state {
		if s.Phase == sale.Scheduled {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// lockScheduled keeps sellers out until the batch is committed. Once a sale is
// open its terms stand, so only the batches around its opening ask this.
const lockScheduled = `
	select ` + saleColumns + `
	from sales s
	where s.id = any($1::bigint[])
	order by s.id
	for no key update`

// unedited reads what lockScheduled answers: an *Edited when any of these sales is
// not as the state has it.
func unedited(answers pgx.BatchResults, state sale.State, ids []int64) error {
	rows, err := answers.Query()
	if err != nil {
		return fmt.Errorf("read scheduled sales: %w", err)
	}
	stands, err := pgx.CollectRows(rows, scanStand)
	if err != nil {
		return fmt.Errorf("read scheduled sales: %w", err)
	}
	same := make(map[int64]bool, len(stands))
	for _, s := range stands {
		same[s.ID] = alike(s, state[s.ID])
	}
	ids = slices.DeleteFunc(ids, func(id int64) bool { return same[id] })
	if len(ids) > 0 {
		return &Edited{ids}
	}
	return nil
}

// alike says whether two stands have the same terms and counters. Decisions do
// not depend on text.
func alike(a, b *sale.Stand) bool {
	one, two := a.Sale, b.Sale
	one.Title, one.Description, two.Title, two.Description = "", "", "", ""
	return one == two && a.Phase == b.Phase && a.Free == b.Free && a.Held == b.Held && a.Sold == b.Sold &&
		a.Waiting == b.Waiting && a.PaidOut == b.PaidOut && a.Suspended == b.Suspended
}

// lockSale locks a sale as settling a batch does, and answers how it stands
// without its buyers, and the time.
func lockSale(ctx context.Context, tx pgx.Tx, id int64) (*sale.Stand, sale.Instant, error) {
	rows, err := tx.Query(ctx, `
		select `+saleColumns+`
		from sales s
		where s.id = $1
		for no key update`, id)
	if err != nil {
		return nil, 0, err
	}
	s, err := pgx.CollectExactlyOneRow(rows, scanStand)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, 0, sale.ErrUnknown
	case err != nil:
		return nil, 0, err
	}
	var now time.Time
	err = tx.QueryRow(ctx, `select clock_timestamp()`).Scan(&now) // after waiting for the lock
	return s, sale.At(now), err
}

// ForgetPlace makes Place ask again: the sale is gone.
func (l *Ledger) ForgetPlace(id int64) {
	l.places.mu.Lock()
	defer l.places.mu.Unlock()
	delete(l.places.known, id)
}
