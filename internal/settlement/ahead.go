package settlement

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// Under a backlog Postgres never waits for Redis. While it settles a batch, the one
// before comes into view, and the one behind is read and viewed:
//
//	Settle  │ n ─────────────────────▶ COMMIT │ n+1 ──────────────────▶ COMMIT
//	Apply   │ n−1 ─────▶                      │ n ───────▶
//	Read    │ n+1 ──▶                         │ n+2 ──▶
//	View    │           n+1 at n−1 ──▶        │           n+2 at n ──▶
//
// Each batch is committed before it is applied, and applied before the next one is, as
// ever. Whoever dies leaves Redis up to two batches behind instead of one, which sync
// has always made good, however many they are.
//
// What the one behind has seen is one batch old when its turn comes. The effects of that
// batch are known, so they are added (partition.After); where that cannot be done, it
// waits until they are in Redis and looks again. So Redis stays the only memory of how
// the sales stand, and whoever makes it forget one is obeyed at once.

// outlook is what comes next: entries, and what of their sales was seen.
type outlook struct {
	entries []sale.Entry
	asks    map[int64]*partition.Ask
	state   sale.State        // one batch ago; nil: not seen
	missed  []sale.SaleEffect // what that batch did
}

// flight is a committed batch on its way into view.
type flight struct {
	batch                       sale.Batch
	began                       time.Time
	viewing, settling, applying time.Duration
	done                        chan struct{}
	err                         error // once done
}

// smooth says whether a batch may be carried while the one before comes into view: it
// is all that was read, everything in it can be read, and nothing is suspected.
func (o *owner) smooth(read, taken []sale.Entry) bool {
	if len(taken) < len(read) || o.suspect.among > 0 {
		return false
	}
	for _, e := range taken {
		if e.Verb == 0 {
			return false
		}
	}
	return true
}

// look reads what comes behind b and views it as it stands before b, once the batch
// before b is in view. What cannot be had is left out. It answers nil when nothing comes.
func (o *owner) look(ctx context.Context, b sale.Batch) <-chan *outlook {
	seen := make(chan *outlook, 1)
	most, before := o.most, o.flying
	go func() {
		entries, err := o.store.Peek(ctx, b.Partition, b.Last, most)
		if err != nil || len(entries) == 0 {
			seen <- nil
			return
		}
		next := &outlook{entries: entries, asks: partition.Asks(entries)}
		if before != nil {
			<-before.done
		}
		next.state, err = o.store.View(ctx, b.Partition, b.Epoch, b.Prev, entries[len(entries)-1].ID, next.asks)
		if err != nil {
			next.state = nil
		}
		seen <- next
	}()
	return seen
}

// foreseen answers how the sales of a batch up to last stand, nil when that has to be
// viewed.
func (o *owner) foreseen(at *outlook, last sale.EntryID) sale.State {
	if at.state == nil || !partition.After(at.state, at.missed, at.asks, last) {
		return nil
	}
	return at.state
}

// launch has a committed batch applied, while the owner goes on.
func (o *owner) launch(ctx context.Context, f *flight) {
	if o.coming != nil {
		o.coming.missed = f.batch.Effects.Sales
	}
	f.done = make(chan struct{})
	o.flying = f
	go func() {
		defer close(f.done)
		began := time.Now()
		f.err = o.apply(ctx, f.batch)
		if f.applying = time.Since(began); f.err == nil {
			o.tell(f.batch)
		}
	}()
}

// tell logs what came of a batch.
func (o *owner) tell(b sale.Batch) {
	for i, e := range b.Entries {
		if e.Receipt == uuid.Nil { // nobody's request: a partition that was opened anew, or unreadable and told
			continue
		}
		o.decisions.Info().Str("request_id", e.Trace).Stringer("receipt", e.Receipt).Int64("sale", e.Sale).Stringer("verb", e.Verb).
			Stringer("status", b.Outcomes[i].Status).Stringer("reason", b.Outcomes[i].Reason).Msg("settled")
	}
}

// land waits until the batch that was launched is in view. Nothing of
// Redis but its sales may be asked for before.
func (o *owner) land() error {
	f := o.flying
	if f == nil {
		return nil
	}
	<-f.done
	o.flying = nil
	if f.err != nil {
		return f.err
	}
	since := f.began
	if o.landed.After(since) {
		since = o.landed
	}
	o.landed = time.Now()
	o.drain = drained(o.drain, len(f.batch.Entries), o.landed.Sub(since))
	o.metrics.batch(f.batch, f.viewing, f.settling, f.applying)
	return nil
}

// landAfter lands after a fault, which stays the first to be told. What was seen ahead is
// worth nothing then.
func (o *owner) landAfter(fault error) error {
	if fault == nil {
		return nil
	}
	o.coming = nil
	return errors.Join(fault, o.land())
}
