package settlement

import (
	"context"
	"errors"
	"fmt"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// Poison is an entry whose outcome Postgres refuses to write, whatever the reason:
// a rule of the schema that sale.Decide does not know. It must not stop those behind
// it, so it is found and settled for what can be said of it without its data:
//
//	batch ─refused─▶ once more ─refused─▶ half of it ─settled─▶ half of the rest ─▶ … ─▶ one entry, alone
//	                                          │                                          │ refused for the
//	                                       refused ─▶ a quarter ─▶ …                      ▼ aloneMost-th time
//	                                                                 settled as if it could not be read
//
// Prefixes only, so that everything is settled in stream order. What is refused is
// judged by ledger.RefusesData; any other fault is retried, never counted, and
// nobody's poison. An entry that is refused even without its data is none: then
// something is wrong with all of them, and the search begins again.
const (
	wholeMost = 2 // times that a batch is refused as a whole before it is taken apart
	aloneMost = 3 // times that an entry is refused with nothing else in its batch
	causeMost = 500
)

// errData says that Postgres refused a batch for its data, and that the next
// step goes on with the search.
var errData = errors.New("refused for its data")

// suspicion is how far the search is. It dies with its owner: the next one learns
// the same by itself.
type suspicion struct {
	among int    // the first poison is one of so many entries behind the watermark; 0: there is none
	times int    // it was refused, in whatever company
	alone int    // of these, with nothing else
	cause string // the last of them
}

// portion answers how many of n entries behind the watermark to settle next.
func (s *suspicion) portion(n int) int {
	switch {
	case s.among == 0:
		return n
	case s.times < wholeMost:
		return min(n, s.among)
	}
	return min(n, max(s.among/2, 1))
}

// condemned says that the next entry is the poison.
func (s *suspicion) condemned() bool { return s.alone >= aloneMost }

// refused notes that the first n entries were refused.
func (s *suspicion) refused(n int, cause error) {
	s.among, s.cause = n, cause.Error()
	s.times++
	if n == 1 {
		s.alone++
	}
	if len(s.cause) > causeMost {
		s.cause = s.cause[:causeMost]
	}
}

// settled notes that the first n entries are through: the poison is among the rest
// of those refused, if it is there at all.
func (s *suspicion) settled(n int) {
	if n >= s.among {
		*s = suspicion{}
		return
	}
	s.among, s.alone = s.among-n, 0
}

// bare is what is left of an entry when its data may not be used: it is decided as
// one that could not be read, by everybody who replays it.
func bare(e sale.Entry) sale.Entry {
	e.Request = sale.Request{Receipt: e.Receipt, Sale: e.Sale, Buyer: e.Buyer, Trace: e.Trace}
	return e
}

// judge says what to make of a batch that Settle has refused.
func (o *owner) judge(fault error, b sale.Batch) error {
	switch {
	case !o.refuses(fault):
		return fault
	case o.suspect.condemned():
		o.suspect, o.deaths = suspicion{}, nil
		return fmt.Errorf("refused without its data, too: %w", fault)
	}
	o.suspect.refused(len(b.Entries), fault)
	return fmt.Errorf("%w: %d entries from %s: %w", errData, len(b.Entries), b.Entries[0].ID, fault)
}

// condemn takes its data from the poison, and remembers why.
func (o *owner) condemn(e *sale.Entry) {
	*e = bare(*e)
	o.deaths = map[sale.EntryID]partition.Death{e.ID: {Cause: o.suspect.cause, Attempts: o.suspect.times}}
}

// apply makes a settled batch true in Redis. Of the poison that this owner has found
// it knows the cause, even if the batch is applied from the log, since a reply was
// lost.
func (o *owner) apply(ctx context.Context, b sale.Batch) error {
	at, err := o.store.Bury(ctx, o.mark.Epoch, b, o.drain, o.deaths)
	switch {
	case errors.Is(err, partition.ErrStrange): // until it is trusted, nobody is let in
		o.doubt()
	case err != nil:
		return err
	}
	if at > 0 { // else whoever made it true has counted it, if he lived to
		o.metrics.applied(b, at)
	}
	death, found := o.deaths[b.Last]
	if e := b.Entries[len(b.Entries)-1]; found && e.Verb == 0 {
		o.metrics.faults.WithLabelValues("poison").Inc()
		o.log.Error().Str("request_id", e.Trace).Stringer("entry", e.ID).Stringer("receipt", e.Receipt).Int64("sale", e.Sale).
			Int("attempts", death.Attempts).Str("cause", death.Cause).Msg("poison: rejected, and put to the dead letters")
	}
	o.deaths = nil
	return nil
}
