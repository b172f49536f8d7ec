package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Owner is who led a partition last, by its name, and under which epoch.
type Owner struct {
	Name  string // "" when nobody has yet
	Epoch int64
}

// Owners answers the owner of each partition, in their order. One that is dead is still
// in the book until another has led.
func (l *Ledger) Owners(ctx context.Context) ([]Owner, error) {
	rows, err := l.pool.Query(ctx, `
		select owner, epoch
		from partitions
		order by id`)
	if err != nil {
		return nil, fmt.Errorf("read the owners of the partitions: %w", err)
	}
	owners, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Owner])
	if err != nil {
		return nil, fmt.Errorf("read the owners of the partitions: %w", err)
	}
	return owners, nil
}
