package settlement

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"sluice/internal/ledger"
	"sluice/internal/logs"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

const (
	batchMost   = 500  // entries settled at once
	gapPatience = 3    // times a gap in the numbers is read again before it is taken for a loss
	drainGuess  = 5000 // entries per second, until it is known better: what a small machine does with ease
	backoffMin  = 50 * time.Millisecond
	backoffMax  = 2 * time.Second

	// A server that is there answers, or gives up by itself, long before. One that is
	// gone without a word would keep an owner, and so its partition, for many minutes.
	answerMost = 30 * time.Second
)

// errGap says that entries are missing between the watermark and what was read.
var errGap = errors.New("gap in the numbers of the stream")

// owner works one partition, under one epoch.
type owner struct {
	partition int
	name      string
	store     *partition.Store
	ledger    *ledger.Ledger
	log       zerolog.Logger
	decisions zerolog.Logger // sampled
	metrics   *metrics

	lease   sync.Mutex
	dropped bool // it may not be renewed: nobody would work under it

	doubts   atomic.Bool                        // whether Redis still has what was applied
	reading  atomic.Pointer[context.CancelFunc] // ends the read in hand
	patience time.Duration                      // with one step, or with one page of a longer work
	watchdog *time.Timer                        // ends it

	stopping chan struct{}
	once     sync.Once

	mark  ledger.Watermark // epoch, generation, and where Postgres stands; so does Redis, but for a batch in the air
	seen  int64            // number of the last entry that was read
	gaps  int              // times the gap after mark was met
	drain float64          // entries settled per second while there is a backlog, smoothed
	most  int              // entries settled at once

	flying *flight   // the batch that is on its way into view
	landed time.Time // when the one before was there
	coming *outlook  // what comes behind it; nil: not looked

	refuses func(error) bool // whether a fault of Settle is one of the data
	suspect suspicion
	deaths  map[sale.EntryID]partition.Death // of the last poison
}

func newOwner(c *Consumer, p int) *owner {
	log := c.log.With().Int("partition", p).Logger()
	return &owner{
		partition: p, name: c.name, store: c.store, ledger: c.ledger, metrics: c.metrics, log: log,
		decisions: logs.Glimpses(log),
		stopping:  make(chan struct{}),
		patience:  c.patience,
		drain:     drainGuess,
		most:      batchMost,
		refuses:   ledger.RefusesData,
	}
}

// stop asks the owner to take no more entries. Its batch is finished.
func (o *owner) stop() {
	o.once.Do(func() { close(o.stopping) })
	o.interrupt()
}

// doubt has it compare the stores before it goes on.
func (o *owner) doubt() {
	o.doubts.Store(true)
	o.interrupt()
}

// interrupt ends the read in hand, which nothing may come of for seconds.
func (o *owner) interrupt() {
	if end := o.reading.Load(); end != nil {
		(*end)()
	}
}

func (o *owner) stopped() bool {
	select {
	case <-o.stopping:
		return true
	default:
		return false
	}
}

// renew holds the lease for one more while; also the owner's who is stopping, until
// he is done. When it had lapsed, Redis may have been emptied, which nobody tells an
// owner who waits for entries: so he compares the stores.
func (o *owner) renew(ctx context.Context, who string) (held bool, err error) {
	o.lease.Lock()
	defer o.lease.Unlock()
	if o.dropped {
		return false, nil
	}
	held, lapsed, err := o.store.Renew(ctx, o.partition, who)
	if held && lapsed {
		o.doubt()
	}
	return held, err
}

// drop gives the lease back.
func (o *owner) drop(ctx context.Context, who string) error {
	o.lease.Lock()
	defer o.lease.Unlock()
	o.dropped = true
	return o.store.Drop(ctx, o.partition, who)
}

// run is the shell around take, sync and step: it works until it is stopped or
// fenced. Every other error is retried, with both stores compared first, ever more
// slowly until a step gets through. The search for a poison goes on at once: the
// servers are well.
func (o *owner) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, o.land()) }()
	synced, tries := false, 0
	for wait := backoffMin; !o.stopped() && ctx.Err() == nil; {
		if o.doubts.Swap(false) {
			synced = false
		}
		err := o.next(ctx, synced)
		if err == nil {
			if synced {
				wait = backoffMin
				if tries > 0 {
					o.log.Info().Int("tries", tries).Msg("batches go through again")
					tries = 0
				}
			}
			synced = true
			continue
		}
		synced = false
		pause := wait
		switch {
		case errors.Is(err, ledger.ErrFenced), errors.Is(err, partition.ErrFenced):
			o.metrics.faults.WithLabelValues("fenced").Inc()
			return err
		case errors.Is(err, errGap):
			o.metrics.faults.WithLabelValues("gap").Inc()
		case errors.Is(err, errData):
			o.metrics.faults.WithLabelValues("refused").Inc()
			o.log.Warn().Err(err).Msg("batch refused")
			pause = backoffMin
		default:
			o.metrics.faults.WithLabelValues("retried").Inc()
			tries++
			level := zerolog.WarnLevel
			if errors.Is(err, partition.ErrAhead) { // nothing will mend that but an operator
				level = zerolog.ErrorLevel
			}
			o.log.WithLevel(level).Err(err).Int("tries", tries).Dur("again_in", wait).Msg("batch not through")
			wait = min(2*wait, backoffMax)
		}
		select {
		case <-time.After(pause):
		case <-o.stopping:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// next does what comes next: takes the partition, compares the stores, or steps.
func (o *owner) next(ctx context.Context, synced bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.watchdog = time.AfterFunc(o.patience, cancel)
	defer o.watchdog.Stop()
	switch {
	case o.mark.Epoch == 0:
		return o.take(ctx)
	case !synced:
		return o.sync(ctx)
	}
	return o.step(ctx)
}

// alive says that a long work goes on, however long it takes in all.
func (o *owner) alive() {
	if o.watchdog != nil {
		o.watchdog.Reset(o.patience)
	}
}

// step carries one batch from the stream into view. It waits some seconds for the
// first entry; none is no error.
//
// When there are more entries than one batch takes, it returns as soon as the batch is
// committed: the next step sees to it that it comes into view (ahead.go).
func (o *owner) step(ctx context.Context) error {
	at := o.coming
	if o.coming = nil; at == nil {
		entries, err := o.read(ctx)
		if err != nil {
			return err
		}
		at = &outlook{entries: entries}
	}
	return o.landAfter(o.carry(ctx, at))
}

// carry is step with entries at hand.
func (o *owner) carry(ctx context.Context, at *outlook) error {
	entries, err := o.unbroken(at.entries)
	if err != nil || len(entries) == 0 {
		return err
	}
	began := time.Now()
	entries = entries[:o.suspect.portion(len(entries))]
	smooth := o.smooth(at.entries, entries)
	if !smooth { // what is done now may ask Redis for more than sales
		if err := o.land(); err != nil {
			return err
		}
		at = &outlook{entries: entries}
	}
	if err := o.identify(ctx, entries); err != nil {
		return err
	}
	if o.suspect.condemned() {
		o.condemn(&entries[0])
	}
	b := sale.Batch{
		Partition: o.partition, Epoch: o.mark.Epoch,
		Prev: o.mark.Applied, Last: entries[len(entries)-1].ID, Seq: o.mark.Seq, Entries: entries,
	}
	for _, e := range entries {
		b.Seq = max(b.Seq, e.Seq)
	}
	b.Facts.Generation = o.mark.Generation
	var coming <-chan *outlook
	if smooth && len(entries) == o.most {
		coming = o.look(ctx, b)
	}
	viewing, err := o.settle(ctx, &b, at)
	if coming != nil {
		o.coming = <-coming
	}
	if err != nil {
		return o.relearn(ctx, o.judge(err, b))
	}
	o.suspect.settled(len(entries))
	o.mark.Applied, o.mark.Seq, o.gaps = b.Last, b.Seq, 0
	// Committed: from here on it has to become visible, even if we are stopping.
	settled := time.Now()
	if err := o.land(); err != nil {
		return err
	}
	o.launch(context.WithoutCancel(ctx), &flight{batch: b, began: began, viewing: viewing, settling: settled.Sub(began) - viewing})
	if o.coming != nil {
		return nil
	}
	return o.land()
}

// drained is how many entries are settled per second, after a batch of n that took so
// long. A full batch tells how fast a backlog drains; a small one is mostly its fixed cost
// and tells next to nothing, so it counts by its size. The mean is the geometric one: a
// guess that was twenty times too high is as soon forgotten as one that was too low.
func drained(drain float64, n int, took time.Duration) float64 {
	return drain * math.Pow(float64(n)/took.Seconds()/drain, float64(n)/batchMost/2)
}

// read answers the next entries; none, too, when the owner is stopped, or in doubt.
func (o *owner) read(ctx context.Context) ([]sale.Entry, error) {
	reading, end := context.WithCancel(ctx)
	defer end()
	o.reading.Store(&end)
	defer o.reading.Store(nil)
	if o.stopped() || o.doubts.Load() { // who said so a moment ago found no read to interrupt
		return nil, nil
	}
	entries, err := o.store.Read(reading, o.partition, o.mark.Applied, o.most)
	if o.stopped() || reading.Err() != nil && ctx.Err() == nil {
		return nil, nil
	}
	return entries, err
}

// identify gives unreadable entries what their receipts still know of them, so
// that whoever holds one is told.
func (o *owner) identify(ctx context.Context, entries []sale.Entry) error {
	for i, e := range entries {
		if e.Verb != 0 {
			continue
		}
		o.log.Error().Stringer("entry", e.ID).Stringer("receipt", e.Receipt).Msg("unreadable entry")
		o.metrics.faults.WithLabelValues("unreadable").Inc()
		if e.Receipt == uuid.Nil {
			continue
		}
		queued, err := o.store.Receipt(ctx, o.partition, e.Receipt)
		switch {
		case errors.Is(err, sale.ErrUnknown):
		case err != nil:
			return err
		default:
			entries[i].Sale, entries[i].Buyer = queued.Sale, queued.Buyer
		}
	}
	return nil
}

// unbroken answers the entries up to the first gap in their numbers. A gap right
// behind the watermark is read again a few times; if it stays, those entries are
// lost in Redis, and the stream goes on without them.
func (o *owner) unbroken(entries []sale.Entry) ([]sale.Entry, error) {
	seq := o.mark.Seq
	for i, e := range entries {
		o.seen = max(o.seen, e.Seq)
		if e.Seq == 0 || e.Seq <= seq { // unreadable, or admitted again by a Redis that came back older
			continue
		}
		if e.Seq != seq+1 {
			if i > 0 {
				return entries[:i], nil
			}
			if o.gaps++; o.gaps <= gapPatience {
				return nil, errGap
			}
			o.log.Error().Int64("after", seq).Int64("next", e.Seq).Int64("lost", e.Seq-seq-1).Msg("entries are lost in Redis")
			o.metrics.faults.WithLabelValues("lost").Add(float64(e.Seq - seq - 1))
		}
		seq = e.Seq
	}
	return entries, nil
}

// settle views what the batch may have to see, unless that was seen ahead, and has it
// settled; it answers how long it viewed. When a line was shown too little of, nothing
// has happened, and it is looked at again, deeper.
func (o *owner) settle(ctx context.Context, b *sale.Batch, at *outlook) (viewing time.Duration, err error) {
	asks := at.asks
	if asks == nil {
		asks = partition.Asks(b.Entries)
	}
	b.State = o.foreseen(at, b.Last)
	for {
		if b.State == nil {
			if err := o.land(); err != nil {
				return viewing, err
			}
			began := time.Now()
			if b.State, err = o.view(ctx, *b, asks); err != nil {
				return viewing, err
			}
			viewing += time.Since(began)
		}
		var short *ledger.Short
		if err = o.commit(ctx, b); !errors.As(err, &short) || !deepen(asks, short.Sales) {
			return viewing, err
		}
		b.State = nil
		o.metrics.deeper.Inc()
	}
}

// deepen asks for more of the lines of some sales. It answers false when there is
// no more to see.
func deepen(asks map[int64]*partition.Ask, sales []int64) (more bool) {
	for _, id := range sales {
		if ask := asks[id]; ask != nil && ask.Deeper < partition.DeepMost {
			ask.Deeper++
			more = true
		}
	}
	return more
}

// view answers how the sales of a batch stand, loading from Postgres those that
// Redis lacks.
func (o *owner) view(ctx context.Context, b sale.Batch, asks map[int64]*partition.Ask) (sale.State, error) {
	state, err := o.store.View(ctx, o.partition, o.mark.Epoch, b.Prev, b.Last, asks)
	if err != nil {
		return nil, err
	}
	for id, ask := range asks {
		if state[id] != nil {
			continue
		}
		stand, err := o.load(ctx, b.Prev, id)
		if err != nil {
			return nil, err
		}
		if stand != nil {
			ask.Cut(stand, b.Last)
			state[id] = stand
		}
	}
	return state, nil
}

// load puts a sale that Redis lacks there, and answers how it stands at prev; nil
// when the partition has no such sale. Redis is not asked again: it may have been
// made to forget the sale by now.
func (o *owner) load(ctx context.Context, prev sale.EntryID, id int64) (*sale.Stand, error) {
	forgotten, err := o.store.Forgotten(ctx, o.partition, id)
	if err != nil {
		return nil, err
	}
	stand, applied, err := o.ledger.Stand(ctx, id)
	switch {
	case errors.Is(err, sale.ErrUnknown):
		return nil, nil
	case err != nil:
		return nil, err
	case stand.Partition != o.partition:
		return nil, nil
	case applied != prev:
		return nil, partition.ErrStale
	}
	if err := o.store.Load(ctx, forgotten, applied, stand); err != nil && !errors.Is(err, partition.ErrStale) {
		return nil, err
	}
	return stand, nil
}

// relearn makes Redis forget the sales that a seller has changed in Postgres since
// they were viewed. The batch is decided again on what they are now.
func (o *owner) relearn(ctx context.Context, fault error) error {
	var edited *ledger.Edited
	if !errors.As(fault, &edited) {
		return fault
	}
	for _, id := range edited.Sales {
		if err := o.store.Forget(ctx, o.partition, id); err != nil {
			return errors.Join(fault, err)
		}
	}
	return fault
}
