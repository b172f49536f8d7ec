package upkeep

import (
	"context"
	"errors"
	"time"

	"sluice/internal/sale"
)

const (
	erasEvery  = time.Minute // how often it looks whether sales are to be of the next era, or an era is to go
	leaveEvery = time.Hour   // and whether all sales of one have been over for long enough
)

// eras makes the tables of receipts to come, has the sales of a new month begin the next
// one, and drops those that are kept no longer.
func (s *Scheduler) eras(ctx context.Context, now sale.Instant) error {
	if now < s.erasAt {
		return nil
	}
	s.erasAt = now.Add(erasEvery)
	did, err := s.ledger.AdvanceEras(ctx, now)
	if did.Begun != 0 {
		s.log.Info().Int64("first_sale", did.Begun).Msg("a new era of sales begins")
	}
	if s.receiptsKeep == 0 {
		return err
	}
	faults := []error{err}
	if now >= s.leaveAt {
		leaving, err := s.ledger.SayLeaving(ctx, now, s.receiptsKeep)
		for _, e := range leaving {
			s.log.Warn().Int64("first_sale", e.First).Int64("last_sale", e.Past-1).Msg("all sales of an era are over for long enough: its receipts will be dropped")
		}
		if err == nil {
			s.leaveAt = now.Add(leaveEvery)
		}
		faults = append(faults, err)
	}
	gone, err := s.ledger.DropEra(ctx, now)
	if gone != nil {
		s.dropped.Inc()
		s.log.Warn().Int64("first_sale", gone.First).Int64("last_sale", gone.Past-1).Msg("the receipts of an era are dropped")
	}
	return errors.Join(append(faults, err)...)
}
