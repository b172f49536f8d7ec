package audit

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

const (
	readsMost = 20 // of a partition whose stores stand apart
	waitMin   = time.Millisecond
	waitMax   = 50 * time.Millisecond
)

// partition reads both stores until they stand at one watermark, and compares
// them. If they never do, it is busy, and Postgres is audited by itself.
func (a *Audit) partition(ctx context.Context, n *notes, p int) error {
	wait := waitMin
	for reads := 1; ; reads++ {
		done := false
		err := a.ledger.Inspect(ctx, func(record *ledger.Inspection) error {
			seen, err := a.look(ctx, record, p)
			if err != nil {
				return err
			}
			last := reads == readsMost
			if !seen.settled() && !last {
				return nil
			}
			stands, err := record.Stands(ctx, p)
			if err != nil {
				return err
			}
			if done = last || !seen.editing(stands); !done {
				return nil
			}
			return seen.audit(ctx, n, stands)
		})
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		wait = min(2*wait, waitMax)
	}
}

// sight is a partition as both stores show it, each at one moment.
type sight struct {
	p          int
	record     *ledger.Inspection
	mark       ledger.Watermark
	projection partition.Projection
	loading    bool  // Redis has no data of the partition
	unreadable error // or some that it cannot have written
}

// look reads the watermark in Postgres, which fixes the moment of all the rest,
// and Redis right after it.
func (a *Audit) look(ctx context.Context, record *ledger.Inspection, p int) (*sight, error) {
	s := &sight{p: p, record: record}
	var err error
	if s.mark, err = record.Watermark(ctx, p); err != nil {
		return nil, err
	}
	ids, err := record.SaleIDs(ctx, p)
	if err != nil {
		return nil, err
	}
	s.projection, err = a.store.Projection(ctx, p, ids)
	switch {
	case errors.Is(err, partition.ErrLoading):
		s.loading = true
	case errors.Is(err, partition.ErrBroken):
		s.unreadable = err
	case err != nil:
		return nil, err
	}
	return s, nil
}

// settled says that both stores can be compared: they stand at one watermark, or
// neither has anything yet.
func (s *sight) settled() bool {
	if s.loading {
		return s.mark.Applied == sale.EntryID{}
	}
	return s.unreadable != nil || s.projection.Applied == s.mark.Applied
}

// editing says that a sale that is not open yet differs between the stores: its
// seller may be changing it at this moment, which moves no watermark.
func (s *sight) editing(stands sale.State) bool {
	for id, hot := range s.projection.Sales {
		cold := stands[id]
		if untouched(hot) && untouched(cold) && (terms(hot) != terms(cold) || counters(hot) != counters(cold)) {
			return true
		}
	}
	return false
}

func (s *sight) audit(ctx context.Context, n *notes, stands sale.State) error {
	for _, id := range slices.Sorted(maps.Keys(stands)) {
		s.stock(n, stands[id])
	}
	switch {
	case s.unreadable != nil:
		n.found(Projection, s.p, 0, "%v", s.unreadable)
	case !s.settled():
		n.Report.Busy = append(n.Report.Busy, s.p)
	default:
		for _, id := range slices.Sorted(maps.Keys(s.projection.Sales)) {
			s.compare(n, stands[id])
		}
	}
	n.Unfinished += max(s.projection.Seq-s.projection.Settled, 0)
	return s.log(ctx, n, stands)
}

// stock: free + held + sold = stock, and nothing below zero, in either store at
// whatever watermark. It counts the units that were sold without being there.
func (s *sight) stock(n *notes, stand *sale.Stand) {
	over := n.addsUp(s.p, "Postgres", stand)
	if hot := s.projection.Sales[stand.ID]; hot != nil {
		over = max(over, n.addsUp(s.p, "Redis", hot))
	}
	n.Oversold += over
}

// addsUp is stock in one store. It answers the units that were sold without being there.
func (n *notes) addsUp(p int, store string, s *sale.Stand) (over int64) {
	if s.Free < 0 || s.Held < 0 || s.Sold < 0 || s.Free+s.Held+s.Sold != s.Stock {
		n.found(Stock, p, s.ID, "%s has %d free + %d held + %d sold of %d", store, s.Free, s.Held, s.Sold, s.Stock)
	}
	return max(0, s.Held+s.Sold-s.Stock)
}

// compare: Redis says of a sale what Postgres says at the same watermark, to the
// last place of its holds and its line. A title may change at any time and is not
// compared.
func (s *sight) compare(n *notes, stand *sale.Stand) {
	hot := s.projection.Sales[stand.ID]
	n.agree(s.p, hot, s.projection.Exhausted[stand.ID], "Postgres", stand)
	for _, of := range []struct {
		what      string
		hot, cold []sale.Place
	}{{"holds", hot.Holds, stand.Holds}, {"line", hot.Line, stand.Line}} {
		if i, same := firstApart(of.hot, of.cold); !same {
			n.found(Projection, s.p, stand.ID, "%s: of %d in Redis and %d in Postgres number %d is %s in Redis, %s in Postgres",
				of.what, len(of.hot), len(of.cold), i+1, tellPlace(of.hot, i), tellPlace(of.cold, i))
		}
	}
	for buyer, units := range eitherOf(hot.Buyers, stand.Buyers) {
		if units[0] != units[1] {
			n.found(Projection, s.p, stand.ID, "buyer %d has %d units in Redis, %d in Postgres", buyer, units[0], units[1])
		}
	}
}

// agree: Redis says of a sale what another one says, as far as numbers go.
func (n *notes) agree(p int, hot *sale.Stand, exhausted bool, other string, stand *sale.Stand) {
	if a, b := counters(hot), counters(stand); a != b {
		n.found(Projection, p, stand.ID, "Redis has %+v, %s %+v", a, other, b)
	}
	if a, b := terms(hot), terms(stand); a != b {
		n.found(Projection, p, stand.ID, "Redis has the terms %+v, %s %+v", a, other, b)
	}
	if exhausted != stand.Exhausted() {
		n.found(Projection, p, stand.ID, "exhausted is %t in Redis with %d free and %d held in %s", exhausted, stand.Free, stand.Held, other)
	}
}

// standing is what settling a batch may change of a sale.
type standing struct {
	Phase                   sale.Phase
	Stock, Free, Held, Sold int64
	Waiting                 int64 // receipts
	PaidOut, Suspended      bool
	ClosesAt                sale.Instant
}

func counters(s *sale.Stand) standing {
	return standing{s.Phase, s.Stock, s.Free, s.Held, s.Sold, s.Waiting, s.PaidOut, s.Suspended, s.ClosesAt}
}

// terms is what never changes once a sale is open, and the log keeps: neither
// title nor partition.
func terms(s *sale.Stand) sale.Sale {
	t := s.Sale
	t.Title, t.Description, t.Partition, t.Stock, t.ClosesAt = "", "", 0, 0, 0
	return t
}

// eitherOf answers both values of every key of a and b, in the order of the keys.
func eitherOf(a, b map[int64]int64) func(yield func(int64, [2]int64) bool) {
	keys := make(map[int64]int64, len(a)+len(b))
	maps.Copy(keys, a)
	maps.Copy(keys, b)
	return func(yield func(int64, [2]int64) bool) {
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			if !yield(k, [2]int64{a[k], b[k]}) {
				return
			}
		}
	}
}
