package upkeep

import (
	"context"
	"errors"

	"sluice/internal/sale"
)

const (
	holdsMost = 5000 // told in one beat
	salesMost = 200  // that open, or start, told about in one beat
)

// remind tells people what only time brings about. Each is told once, whoever else
// is at it, and however often this is cut off: the ledger sees to that.
func (s *Scheduler) remind(ctx context.Context, now sale.Instant) error {
	var faults []error
	for _, t := range []struct {
		word sale.NoticeWord
		tell func(ctx context.Context, now sale.Instant, limit int) (int64, error)
		most int
	}{
		{sale.NoticeSoon, s.ledger.RemindHolds, holdsMost},
		{sale.NoticeOpens, s.ledger.Announce, salesMost},
		{sale.NoticeReminder, s.ledger.RemindStarts, salesMost},
	} {
		n, err := t.tell(ctx, now, t.most)
		s.told.WithLabelValues(string(t.word)).Add(float64(n))
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}
