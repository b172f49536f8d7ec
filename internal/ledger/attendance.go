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

// Booking is a confirmed booking of a slot, and whose.
type Booking struct {
	Store, Seller int64
	StartsAt, Now sale.Instant // now by the clock of Postgres
}

// Booking answers the booking that a receipt is, or sale.ErrUnknown when it is none,
// or not confirmed.
func (l *Ledger) Booking(ctx context.Context, receipt uuid.UUID) (b Booking, err error) {
	var starts, now time.Time
	err = l.pool.QueryRow(ctx, `
		select t.id, t.seller, s.starts_at, now()
		from receipts r
		join sales s on s.id = r.sale
		join stores t on t.id = s.store
		where r.id = $1 and r.status = 'confirmed' and (r.verb = 'reserve' or r.verb = 'pay' and r.quantity > 0)`, [16]byte(receipt)).
		Scan(&b.Store, &b.Seller, &starts, &now)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return b, sale.ErrUnknown
	case err != nil:
		return b, fmt.Errorf("read booking %s: %w", receipt, err)
	}
	b.StartsAt, b.Now = sale.At(starts), sale.At(now)
	return b, nil
}

// Attend notes what became of a booking; the last word counts.
func (l *Ledger) Attend(ctx context.Context, receipt uuid.UUID, word string) error {
	if _, err := l.pool.Exec(ctx, `
		insert into attendance (receipt, word)
		values ($1, $2)
		on conflict (receipt) do update
		set word = excluded.word, at = now()`, [16]byte(receipt), word); err != nil {
		return fmt.Errorf("note the attendance of %s: %w", receipt, err)
	}
	return nil
}

// Attendance answers what was noted of these bookings.
func (l *Ledger) Attendance(ctx context.Context, receipts []uuid.UUID) (map[uuid.UUID]string, error) {
	ids := make([][16]byte, len(receipts))
	for i, id := range receipts {
		ids[i] = id
	}
	rows, err := l.pool.Query(ctx, `
		select receipt, word
		from attendance
		where receipt = any($1::uuid[])`, ids)
	if err != nil {
		return nil, fmt.Errorf("read attendance: %w", err)
	}
	words := map[uuid.UUID]string{}
	var id [16]byte
	var word string
	if _, err := pgx.ForEachRow(rows, []any{&id, &word}, func() error {
		words[id] = word
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read attendance: %w", err)
	}
	return words, nil
}
