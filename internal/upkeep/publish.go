package upkeep

import (
	"context"
	"errors"
	"time"

	"sluice/internal/sale"
)

const (
	storesMost   = 200         // looked at in one beat
	slotsMost    = 1000        // made in one beat; the week in which it comes to that is finished
	publishAgain = time.Minute // after a store could not be published
)

// publish makes the slots of stores that have come to another day. A store that
// cannot be published, say because this machine does not know its time zone, is put
// off, so that it does not stand in the way of the others.
func (s *Scheduler) publish(ctx context.Context, now sale.Instant) error {
	due, err := s.ledger.ToPublish(ctx, now, storesMost)
	if err != nil {
		return err
	}
	var faults []error
	made := 0
	for _, p := range due {
		for more := true; more && made < slotsMost; {
			var n int
			if n, more, err = s.ledger.Publish(ctx, &p, now); err != nil {
				faults = append(faults, err)
				if err := s.ledger.PublishNext(ctx, &p, now.Add(publishAgain)); err != nil {
					return errors.Join(append(faults, err)...) // not this store's fault: nothing can be written now
				}
			}
			made += n
			s.slots.Add(float64(n))
		}
	}
	return errors.Join(faults...)
}
