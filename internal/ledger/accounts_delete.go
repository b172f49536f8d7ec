package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// DeleteAccount takes e-mail and password from an account; wallet and history
// stay. was is the password that the caller has read: ErrChanged when that is no
// longer it. ErrBusy while a sale of it is not paid out.
//
// Its stores are closed, and the slots that nobody has ever booked are gone: nothing
// would ever pay them out. Redis may have some of these still. A batch that books
// one is not decided (Edited), since the first that does opens it.
func (l *Ledger) DeleteAccount(ctx context.Context, id int64, was string) error {
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		// Stores before accounts, as whoever publishes slots has them: the row of a slot
		// refers to its seller.
		if _, err := tx.Exec(ctx, `
			select
			from stores
			where seller = $1 and closed_at is null
			order by id
			for update`, id); err != nil {
			return err
		}
		// This waits for sales and stores that are being made: their rows refer to the
		// account.
		tag, err := tx.Exec(ctx, `
			select
			from accounts
			where id = $1 and password = $2
			for update`, id, was)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			return ErrChanged
		}
		if err := dropSlots(ctx, tx, id); err != nil {
			return err
		}
		// Asked after that, and so with what was committed meanwhile.
		var busy bool
		if err := tx.QueryRow(ctx, `
			select exists (
				select
				from sales
				where seller = $1 and not paid_out)`, id).Scan(&busy); err != nil {
			return err
		}
		if busy {
			return ErrBusy
		}
		if _, err := tx.Exec(ctx, `
			update stores
			set closed_at = now()
			where seller = $1 and closed_at is null`, id); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			update accounts
			set email = null,
				password = null,
				deleted_at = now()
			where id = $1`, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete account %d: %w", id, err)
	}
	return nil
}

// dropSlots deletes a seller's slots that nobody has asked anything of, with their
// escrows.
func dropSlots(ctx context.Context, tx pgx.Tx, seller int64) error {
	// Wallets before sales, as everywhere.
	if _, err := tx.Exec(ctx, `
		select
		from wallets w
		where id in (
			select -id
			from sales
			where seller = $1 and not paid_out and store is not null and phase = 'scheduled')
		order by w.id
		for update`, seller); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		with gone as (
			delete from sales
			where seller = $1 and not paid_out and store is not null and phase = 'scheduled' and free = stock
			returning id)
		delete from wallets
		where id in (select -id from gone) and balance = 0`, seller)
	return err
}
