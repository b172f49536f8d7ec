package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// OpenSales answers how many sales are open, and of the first most of them to close
// how many units have moved: each one that is held or was sold, and each receipt that
// waits. What that has grown by is how much trade there was.
func (l *Ledger) OpenSales(ctx context.Context, most int) (open int64, moved map[int64]int64, err error) {
	questions := &pgx.Batch{}
	questions.Queue(`
		select count(*)
		from sales
		where phase = 'open'`)
	questions.Queue(`
		select id, held + 2 * sold + waiting
		from sales
		where phase = 'open'
		order by closes_at
		limit $1`, most)
	answers := l.pool.SendBatch(ctx, questions)
	defer answers.Close()
	if err := answers.QueryRow().Scan(&open); err != nil {
		return 0, nil, fmt.Errorf("count the open sales: %w", err)
	}
	rows, err := answers.Query()
	if err != nil {
		return 0, nil, fmt.Errorf("read the open sales: %w", err)
	}
	moved = make(map[int64]int64, min(open, int64(most)))
	var id, units int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &units}, func() error {
		moved[id] = units
		return nil
	}); err != nil {
		return 0, nil, fmt.Errorf("read the open sales: %w", err)
	}
	return open, moved, nil
}

// Figures are what is seen of the record at one moment.
type Figures struct {
	Size           int64         // of the database on disk, bytes
	Connections    int64         // to the database, of everybody
	MaxConnections int64         // that the server takes, to all its databases
	Suspended      int64         // sales
	Sales          []*sale.Stand // without their buyers
}

// Figures answers those, with how these sales stand, as far as they are open.
func (l *Ledger) Figures(ctx context.Context, sales []int64) (f Figures, err error) {
	questions := &pgx.Batch{}
	questions.Queue(`
		select pg_database_size(current_database()),
			(select numbackends from pg_stat_database where datname = current_database()),
			current_setting('max_connections')::bigint,
			(select count(*) from sales where suspended)`)
	questions.Queue(`
		select `+saleColumns+`
		from sales s
		where s.id = any($1) and s.phase = 'open'`, sales)
	answers := l.pool.SendBatch(ctx, questions)
	defer answers.Close()
	if err := answers.QueryRow().Scan(&f.Size, &f.Connections, &f.MaxConnections, &f.Suspended); err != nil {
		return Figures{}, fmt.Errorf("measure the database: %w", err)
	}
	rows, err := answers.Query()
	if err == nil {
		f.Sales, err = pgx.CollectRows(rows, scanStand)
	}
	if err != nil {
		return Figures{}, fmt.Errorf("read the busiest sales: %w", err)
	}
	return f, nil
}
