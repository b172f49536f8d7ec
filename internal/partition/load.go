package partition

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/sale"
)

// Forgotten counts how often a sale was forgotten lately. Whoever loads it asks
// before he reads Postgres.
func (s *Store) Forgotten(ctx context.Context, p int, id int64) (int64, error) {
	cmd := redis.NewStringCmd(ctx, "get", forgottenKey(p, id))
	switch err := s.owners.do(ctx, forgottenKey(p, id), cmd); {
	case errors.Is(err, redis.Nil):
		return 0, nil
	case err != nil:
		return 0, fault(fmt.Sprintf("ask whether sale %d was forgotten", id), err)
	}
	return cmd.Int64()
}

// Forget makes partition p forget a sale, whose terms or text have changed in
// Postgres, or are about to; it is loaded again when it is needed. Loads that
// began before are refused. It may be called at any time, by anybody:
//
//   - Admit refuses for a sale that is not there as unknown, and is asked again
//     after a load;
//   - View leaves it out, and the owner takes it from Postgres;
//   - Apply leaves it alone: what is loaded later has the batch in it, since it is
//     loaded at the batch's watermark or not at all.
func (s *Store) Forget(ctx context.Context, p int, id int64) error {
	answer, err := s.run(ctx, s.owners, "forget", append(saleKeys(nil, p, id), forgottenKey(p, id)), forgetGrace.Milliseconds())
	if err != nil {
		return fmt.Errorf("forget sale %d: %w", id, err)
	}
	if answer != "forgotten" {
		return unknown("forget", answer)
	}
	return nil
}

// Load puts a sale, as it stands in Postgres at the watermark applied with all its
// buyers, holds and line, into the projection. It does nothing when the sale is there. ErrStale when Redis stands
// at another watermark, or the sale was forgotten since Forgotten was asked;
// ErrLoading when it has no data of the partition; ErrBroken when the stand shows
// only part of its line.
func (s *Store) Load(ctx context.Context, forgotten int64, applied sale.EntryID, stand *sale.Stand) error {
	p := stand.Partition
	if int64(len(stand.Line)) != stand.Waiting {
		return fmt.Errorf("load sale %d: %w: %d of %d in line", stand.ID, ErrBroken, len(stand.Line), stand.Waiting)
	}
	args := make([]any, 0, 64+2*(len(stand.Buyers)+len(stand.Holds)+len(stand.Line)))
	args = append(args, applied.String(), forgotten, int64(saleExpiry(stand.Sale, applied.At)), saleGrace.Milliseconds())
	fields := standFields(stand)
	args = append(append(args, len(fields)), fields...)
	args = append(args, 2*len(stand.Buyers))
	for buyer, units := range stand.Buyers {
		args = append(args, buyer, units)
	}
	for _, places := range [...][]sale.Place{stand.Holds, stand.Line} {
		args = append(args, 2*len(places))
		for _, place := range places {
			args = append(args, int64(place.At), member(place))
		}
	}
	keys := append(saleKeys([]string{slot(p)}, p, stand.ID), forgottenKey(p, stand.ID))
	answer, err := s.run(ctx, s.owners, "load", keys, args...)
	if err != nil {
		return fmt.Errorf("load sale %d: %w", stand.ID, err)
	}
	switch answer {
	case "loaded", "there":
		return nil
	case "stale":
		return ErrStale
	case "loading":
		return ErrLoading
	}
	return unknown("load", answer)
}

// loadFor bounds a load, whoever waits for it.
const loadFor = 5 * time.Second

// LoadFrom reads sale id of partition p from Postgres and loads it, again and
// again until both stand at one watermark (a batch may be between its commit and
// its Apply) and it was not forgotten in between. ErrLoading when they did not all
// the time that a load may take, or when Redis has no data of the partition. All who
// ask at once share one load, which does not end with the first of them: a crowd may
// be at the door.
func (s *Store) LoadFrom(ctx context.Context, p int, id int64, read func(context.Context) (*sale.Stand, sale.EntryID, error)) error {
	_, err, _ := s.loads.Do(saleKey(p, id), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadFor)
		defer cancel()
		return nil, s.loadFrom(ctx, p, id, read)
	})
	return err
}

func (s *Store) loadFrom(ctx context.Context, p int, id int64, read func(context.Context) (*sale.Stand, sale.EntryID, error)) error {
	err := s.loadOnce(ctx, p, id, read)
	for wait := time.Millisecond; errors.Is(err, ErrStale); wait = min(2*wait, 100*time.Millisecond) {
		select {
		case <-ctx.Done():
			return ErrLoading
		case <-time.After(wait):
		}
		if err = s.loadOnce(ctx, p, id, read); err != nil && ctx.Err() != nil {
			return ErrLoading // it was stale all the time until then
		}
	}
	return err
}

func (s *Store) loadOnce(ctx context.Context, p int, id int64, read func(context.Context) (*sale.Stand, sale.EntryID, error)) error {
	forgotten, err := s.Forgotten(ctx, p, id)
	if err != nil {
		return err
	}
	stand, applied, err := read(ctx)
	if err != nil {
		return err
	}
	return s.Load(ctx, forgotten, applied, stand)
}
