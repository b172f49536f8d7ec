package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// What a seller of stores may be told.
var (
	ErrTooManyStores = errors.New("too many: the seller has sale.MaxStores open stores")
	ErrBooked        = errors.New("booked: slots to come have bookings")
)

const storeColumns = `
	id, partition, seller, title, description, time_zone, tables, unit_price, refund_ms, hold_ms, days_ahead, opens, closes, created_at,
	closed_at is not null`

func scanStore(row pgx.CollectableRow) (s sale.Store, err error) {
	return s, scanStoreInto(row, &s)
}

// scanStoreInto reads storeColumns, and what columns come behind them.
func scanStoreInto(row pgx.CollectableRow, s *sale.Store, more ...any) error {
	var refund, hold int64
	var opens, closes []*int16
	var created time.Time
	if err := row.Scan(append([]any{&s.ID, &s.Partition, &s.Seller, &s.Title, &s.Description, &s.TimeZone, &s.Tables, &s.UnitPrice,
		&refund, &hold, &s.DaysAhead, &opens, &closes, &created, &s.Closed}, more...)...); err != nil {
		return err
	}
	s.RefundWindow, s.Hold = time.Duration(refund)*time.Millisecond, time.Duration(hold)*time.Millisecond
	s.CreatedAt = sale.At(created)
	for i := range min(len(s.Hours), len(opens), len(closes)) {
		if opens[i] != nil && closes[i] != nil {
			s.Hours[i] = &sale.Span{Opens: int(*opens[i]), Closes: int(*closes[i])}
		}
	}
	return nil
}

// hours are columns of the store.
func hours(h sale.Hours) (opens, closes []*int16) {
	opens, closes = make([]*int16, len(h)), make([]*int16, len(h))
	for i, span := range h {
		if span != nil {
			from, to := int16(span.Opens), int16(span.Closes)
			opens[i], closes[i] = &from, &to
		}
	}
	return opens, closes
}

// CreateStoreOnce records a checked store under a request, spreads stores over the
// partitions, and answers it with its number. A second one under the same request
// answers the store of the first, as it stands now, replayed; a *sale.Refusal
// (idempotency_mismatch) when that asked for another store. uuid.Nil is no request.
// ErrTooManyStores; sale.ErrUnknown when the seller has no account (any more).
func (l *Ledger) CreateStoreOnce(ctx context.Context, s sale.Store, partitions int, request uuid.UUID) (made sale.Store, replayed bool, err error) {
	var once *[16]byte
	var fingerprint *int64
	if sum := int64(s.Sum()); request != uuid.Nil {
		once, fingerprint = (*[16]byte)(&request), &sum
	}
	opens, closes := hours(s.Hours)
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		// One store of a seller at a time, or two at once would both be the third.
		err := tx.QueryRow(ctx, `
			select
			from accounts
			where id = $1 and deleted_at is null
			for no key update`, s.Seller).Scan()
		if err != nil {
			return err
		}
		made, err = storeOf(ctx, tx, once, s)
		if !errors.Is(err, pgx.ErrNoRows) {
			replayed = err == nil
			return err
		}
		rows, err := tx.Query(ctx, `
			with next as (
				select nextval(pg_get_serial_sequence('stores', 'id')) as id
				where (
					select count(*)
					from stores
					where seller = $2 and closed_at is null) < $3)
			insert into stores (
				id, partition, seller, title, description, time_zone, tables, unit_price, refund_ms, hold_ms,
				days_ahead, opens, closes, request, fingerprint)
			overriding system value
			select id, id % $1, $2, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
			from next
			returning `+storeColumns,
			partitions, s.Seller, sale.MaxStores, s.Title, s.Description, s.TimeZone, s.Tables, s.UnitPrice, s.RefundWindow.Milliseconds(), s.Hold.Milliseconds(),
			s.DaysAhead, opens, closes, once, fingerprint)
		if err != nil {
			return err
		}
		made, err = pgx.CollectExactlyOneRow(rows, scanStore)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrTooManyStores
		}
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = sale.ErrUnknown
	}
	if err != nil {
		return sale.Store{}, false, fmt.Errorf("create store: %w", err)
	}
	return made, replayed, nil
}

// storeOf answers the store that a request has created, or pgx.ErrNoRows. A
// *sale.Refusal when that was another than s.
func storeOf(ctx context.Context, tx pgx.Tx, request *[16]byte, s sale.Store) (sale.Store, error) {
	rows, err := tx.Query(ctx, `
		select `+storeColumns+`, fingerprint
		from stores
		where request = $1`, request)
	if err != nil {
		return s, err
	}
	var fingerprint int64
	made, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (s sale.Store, err error) {
		return s, scanStoreInto(row, &s, &fingerprint)
	})
	if err == nil && uint64(fingerprint) != s.Sum() {
		err = &sale.Refusal{Code: sale.RefusedMismatch}
	}
	return made, err
}

// Store answers a store, closed or not, or sale.ErrUnknown.
func (l *Ledger) Store(ctx context.Context, id int64) (sale.Store, error) {
	s, err := readStore(ctx, l.pool, id, ``)
	if err != nil {
		return s, fmt.Errorf("read store %d: %w", id, err)
	}
	return s, nil
}

func readStore(ctx context.Context, q interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, id int64, lock string) (sale.Store, error) {
	rows, err := q.Query(ctx, `
		select `+storeColumns+`
		from stores
		where id = $1`+lock, id)
	if err != nil {
		return sale.Store{}, err
	}
	s, err := pgx.CollectExactlyOneRow(rows, scanStore)
	if errors.Is(err, pgx.ErrNoRows) {
		err = sale.ErrUnknown
	}
	return s, err
}

const lockStore = `
		for no key update`

// StoreFilter says which stores are listed: open ones, in the order they were made.
type StoreFilter struct {
	Seller int64 // 0: any
	After  int64 // behind the store with that ID
	Limit  int
}

// Stores lists open stores and says whether there are more. It walks stores_open, or
// stores_of_seller.
func (l *Ledger) Stores(ctx context.Context, f StoreFilter) (stores []sale.Store, more bool, err error) {
	query, args := f.query()
	stores, _, err = list(ctx, l, query, args, scanStore)
	if err != nil {
		return nil, false, fmt.Errorf("list stores: %w", err)
	}
	stores, more = page(stores, f.Limit)
	return stores, more, nil
}

func (f StoreFilter) query() (string, []any) {
	q := &conditions{}
	q.add(`closed_at is null`)
	q.add(`id > %s`, f.After)
	if f.Seller != 0 {
		q.add(`seller = %s`, f.Seller)
	}
	return `
		select ` + storeColumns + `
		from stores` + q.where() + `
		order by id
		limit ` + q.value(f.Limit+1), q.args
}

// EditStore locks a store, lets edit change its text, tables, hours and days ahead,
// records them, and has the scheduler look whether that makes more slots. What is
// published stays as it is. What edit answers is the answer, and then nothing is
// changed; sale.ErrUnknown when there is no such store.
func (l *Ledger) EditStore(ctx context.Context, id int64, edit func(*sale.Store) error) (p Publication, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if p.Store, err = readStore(ctx, tx, id, lockStore); err != nil {
			return err
		}
		if err := edit(&p.Store); err != nil {
			return err
		}
		opens, closes := hours(p.Hours)
		var published *time.Time
		err = tx.QueryRow(ctx, `
			update stores
			set title = $2,
				description = $3,
				tables = $4,
				opens = $5,
				closes = $6,
				days_ahead = $7,
				publish_at = now()
			where id = $1
			returning published`, id, p.Title, p.Description, p.Tables, opens, closes, p.DaysAhead).Scan(&published)
		p.note(published)
		return err
	})
	if err != nil {
		return Publication{}, fmt.Errorf("edit store %d: %w", id, err)
	}
	return p, nil
}

// CloseStore locks a store and, if may has no objection, closes it: it gets no more
// slots, and those to come that nobody has asked anything of are gone. ErrBooked
// when one of them has a booking, or somebody waiting; sale.ErrUnknown when there is
// no such store. To close a closed one changes nothing.
//
// Redis may have the slots still. A batch that books one is not decided (Edited),
// since the first that does opens it.
func (l *Ledger) CloseStore(ctx context.Context, id int64, may func(sale.Store) error) error {
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		s, err := readStore(ctx, tx, id, lockStore)
		if err != nil {
			return err
		}
		if err := may(s); err != nil || s.Closed {
			return err
		}
		// Wallets before sales, as everywhere.
		if _, err := tx.Exec(ctx, `
			select
			from wallets w
			where w.id in (
				select -s.id
				from sales s
				where s.store = $1 and s.starts_at > now() and s.phase = 'scheduled')
			order by w.id
			for update`, id); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			with gone as (
				delete from sales
				where store = $1 and starts_at > now() and phase = 'scheduled' and free = stock
				returning id)
			delete from wallets
			where id in (select -id from gone) and balance = 0`, id); err != nil {
			return err
		}
		// Asked after that, and so with what was committed meanwhile.
		var booked bool
		if err := tx.QueryRow(ctx, `
			select exists (
				select
				from sales
				where store = $1 and starts_at > now() and (free < stock or waiting > 0))`, id).Scan(&booked); err != nil {
			return err
		}
		if booked {
			return ErrBooked
		}
		_, err = tx.Exec(ctx, `
			update stores
			set closed_at = now()
			where id = $1`, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("close store %d: %w", id, err)
	}
	return nil
}
