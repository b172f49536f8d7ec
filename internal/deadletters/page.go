package deadletters

import (
	"context"
	"fmt"

	"sluice/internal/sale"
)

// Place is where a letter stands in the list of all: partition by partition, the oldest
// first. An ID alone is only good within its partition.
type Place struct {
	Partition int
	ID        sale.EntryID
}

// Place answers where l stands.
func (l Letter) Place() Place { return Place{l.Partition, l.at} }

func (p Place) String() string { return fmt.Sprintf("%d-%s", p.Partition, p.ID) }

// Page answers up to limit letters of all partitions that stand behind after, the zero
// Place for the first ones, and whether there are more.
func (l *Letters) Page(ctx context.Context, after Place, limit int) (page []Letter, more bool, err error) {
	for p := after.Partition; p < l.store.Partitions(); p, after.ID = p+1, (sale.EntryID{}) {
		found, err := l.store.DeadList(ctx, p, after.ID, int64(limit-len(page)+1))
		if err != nil {
			return nil, false, err
		}
		for _, dead := range found {
			if len(page) == limit {
				return page, true, nil
			}
			letter, err := l.tell(ctx, p, dead)
			if err != nil {
				return nil, false, err
			}
			page = append(page, letter)
		}
	}
	return page, false, nil
}
