// Package admission lets requests in: it finds the partition, makes the receipt
// ID and has the request queued under it, once. What comes of it is the
// consumer's business.
package admission

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// Admission queues requests. Its methods may be called concurrently.
type Admission struct {
	store    *partition.Store
	ledger   *ledger.Ledger
	limits   Limits
	answered *prometheus.CounterVec
	seconds  prometheus.Histogram
}

// New answers an admission that holds buyers and partitions to limits.
func New(store *partition.Store, ledger *ledger.Ledger, limits Limits, registry prometheus.Registerer) *Admission {
	a := &Admission{
		store: store, ledger: ledger, limits: limits,
		answered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_admissions_total",
			Help: "Requests at the door, by verb and answer: queued, known (a repeated request), a refusal's code, not_yours, wrong_kind, or fault.",
		}, []string{"verb", "answer"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_admit_seconds", Help: "Time that Redis took to queue a request or to refuse it, there and back.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 13), NativeHistogramBucketFactor: 1.1,
		}),
	}
	registry.MustRegister(a.answered, a.seconds)
	return a
}

// Asker is who asks, and under what name his request can be found again.
type Asker struct {
	Account int64
	Key     string       // Idempotency-Key; "" for none
	Trace   string       // X-Request-ID
	Turn    sale.Instant // that he was promised when he was refused as overloaded; 0: none
}

// Limits bound what may be admitted.
type Limits = partition.Limits

// Limits are those that this admission holds to.
func (a *Admission) Limits() Limits { return a.limits }

// ErrKind says that a sale is of a kind that does not know the verb.
var ErrKind = errors.New("the sale is of another kind")

// admitTo admits r to the sale that it names, which must be of a kind that knows
// the verb.
func (a *Admission) admitTo(ctx context.Context, by Asker, gate partition.Gate, knows func(ledger.Place) bool, r sale.Request) (sale.Standing, error) {
	place, err := a.ledger.Find(ctx, r.Sale)
	if err == nil && !knows(place) {
		err = ErrKind
	}
	if err != nil {
		a.count(r.Verb, sale.Standing{}, err)
		return sale.Standing{}, err
	}
	return a.admit(ctx, place, by, gate, r)
}

// admitAbout admits r, which is about a receipt of by's own. sale.ErrUnknown and
// sale.ErrNotYours are about that.
func (a *Admission) admitAbout(ctx context.Context, by Asker, knows func(ledger.Place) bool, r sale.Request) (sale.Standing, error) {
	target, err := a.own(ctx, by, r.Target)
	if err != nil {
		a.count(r.Verb, sale.Standing{}, err)
		return sale.Standing{}, err
	}
	r.Sale = target.Sale
	return a.admitTo(ctx, by, partition.Anytime, knows, r)
}

// own answers a receipt of by's own.
func (a *Admission) own(ctx context.Context, by Asker, id uuid.UUID) (sale.Receipt, error) {
	p, ok := sale.PartitionOf(id)
	if !ok || p >= a.store.Partitions() {
		return sale.Receipt{}, sale.ErrUnknown
	}
	r, err := a.find(ctx, p, id)
	if err == nil && r.Buyer != by.Account {
		err = sale.ErrNotYours
	}
	return r, err
}

func (a *Admission) admit(ctx context.Context, place ledger.Place, by Asker, gate partition.Gate, r sale.Request) (sale.Standing, error) {
	r.Buyer, r.Trace = by.Account, by.Trace
	p := place.Partition
	switch {
	case by.Key == "":
		r.Receipt = sale.NewReceiptID(p)
	case place.Store != 0:
		// One address asks for all slots of a store: another slot under the same key is
		// another request, and must not slip through as one for another sale.
		r.Receipt = sale.KeyedReceiptID(p, r.Buyer, -place.Store, r.Verb, by.Key)
	default:
		r.Receipt = sale.KeyedReceiptID(p, r.Buyer, r.Sale, r.Verb, by.Key)
	}
	limits := a.limits
	limits.Turn = by.Turn
	standing, err := a.queue(ctx, place, gate, r, limits, by.Key != "")
	a.count(r.Verb, standing, err)
	return standing, err
}

func (a *Admission) count(verb sale.Verb, standing sale.Standing, err error) {
	answer := "queued"
	var refusal *sale.Refusal
	switch {
	case errors.As(err, &refusal):
		answer = string(refusal.Code)
	case errors.Is(err, sale.ErrUnknown):
		answer = string(sale.RefusedUnknownSale)
	case errors.Is(err, sale.ErrNotYours):
		answer = "not_yours"
	case errors.Is(err, ErrKind):
		answer = "wrong_kind"
	case err != nil:
		answer = "fault"
	case standing.Known:
		answer = "known"
	}
	a.answered.WithLabelValues(verb.String(), answer).Inc()
}

// queue admits r, helping where Redis lacks what Postgres has: the sale, or the
// receipt of a repeated request that Redis has forgotten since its sale closed. What
// is sold out is refused without asking: a crowd is at that door, and unless Redis
// burns it keeps the receipts of an open sale.
func (a *Admission) queue(ctx context.Context, place ledger.Place, gate partition.Gate, r sale.Request, limits Limits, keyed bool) (standing sale.Standing, err error) {
	if gate == partition.Selling && place.Store != 0 {
		err = a.serves(ctx, place.Store)
	}
	if err == nil {
		began := time.Now()
		standing, err = a.store.Admit(ctx, place.Partition, r, gate, limits)
		a.took(began)
	}
	if errors.Is(err, partition.ErrForgotten) {
		return a.again(ctx, place, gate, r, limits)
	}
	if refused(err, sale.RefusedUnknownSale) {
		standing, err = a.load(ctx, place.Partition, gate, r, limits)
	}
	if keyed && refused(err, sale.RefusedClosed) {
		return a.repeated(ctx, place.Partition, r, err)
	}
	return standing, err
}

// again admits r to a partition that has been rebuilt since its sale opened, unless
// Postgres has the receipt.
func (a *Admission) again(ctx context.Context, place ledger.Place, gate partition.Gate, r sale.Request, limits Limits) (sale.Standing, error) {
	known, err := a.ledger.Receipt(ctx, r.Receipt)
	switch {
	case err == nil:
		return matching(known, r)
	case !errors.Is(err, sale.ErrUnknown):
		return sale.Standing{}, err
	}
	standing, err := a.fresh(ctx, place.Partition, r, gate, limits)
	if refused(err, sale.RefusedUnknownSale) {
		return a.load(ctx, place.Partition, gate, r, limits)
	}
	return standing, err
}

// fresh is the store's AdmitFresh, timed.
func (a *Admission) fresh(ctx context.Context, p int, r sale.Request, gate partition.Gate, limits Limits) (sale.Standing, error) {
	defer a.took(time.Now())
	return a.store.AdmitFresh(ctx, p, r, gate, limits)
}

// took notes how long Redis took.
func (a *Admission) took(began time.Time) { a.seconds.Observe(time.Since(began).Seconds()) }

// matching answers a receipt that r has had before, if it was for the same.
func matching(known sale.Receipt, r sale.Request) (sale.Standing, error) {
	if known.Fingerprint != r.Sum() {
		return sale.Standing{}, &sale.Refusal{Code: sale.RefusedMismatch}
	}
	return sale.Standing{Receipt: known, Known: true, Left: -1, Durability: sale.InRecord}, nil
}

func refused(err error, why sale.Code) bool {
	var refusal *sale.Refusal
	return errors.As(err, &refusal) && refusal.Code == why
}

// serves refuses for a store that is closed: slots that somebody has asked for once
// outlive it, and sell until they begin.
func (a *Admission) serves(ctx context.Context, store int64) error {
	s, err := a.ledger.Store(ctx, store)
	if err == nil && s.Closed {
		err = &sale.Refusal{Code: sale.RefusedClosed}
	}
	return err
}

// load loads the sale of r, and admits r then.
func (a *Admission) load(ctx context.Context, p int, gate partition.Gate, r sale.Request, limits Limits) (sale.Standing, error) {
	loading := &sale.Refusal{Code: sale.RefusedLoading, RetryAfter: time.Second}
	read := func(ctx context.Context) (*sale.Stand, sale.EntryID, error) { return a.ledger.Stand(ctx, r.Sale) }
	switch err := a.store.LoadFrom(ctx, p, r.Sale, read); {
	case errors.Is(err, partition.ErrLoading):
		return sale.Standing{}, loading
	case err != nil:
		return sale.Standing{}, err
	}
	standing, err := a.fresh(ctx, p, r, gate, limits)
	if refused(err, sale.RefusedUnknownSale) { // forgotten at once: its seller is changing it
		return sale.Standing{}, loading
	}
	return standing, err
}

// repeated answers the receipt that r has had before, or else the refusal.
func (a *Admission) repeated(ctx context.Context, p int, r sale.Request, refusal error) (sale.Standing, error) {
	known, err := a.find(ctx, p, r.Receipt)
	switch {
	case errors.Is(err, sale.ErrUnknown), errors.Is(err, sale.ErrLost):
		return sale.Standing{}, refusal
	case err != nil:
		return sale.Standing{}, err
	}
	return matching(known, r)
}

// find answers a receipt from Redis, else from Postgres.
func (a *Admission) find(ctx context.Context, p int, id uuid.UUID) (sale.Receipt, error) {
	standing, err := a.store.Receipt(ctx, p, id)
	unknown := errors.Is(err, sale.ErrUnknown)
	if !unknown && !refused(err, sale.RefusedLoading) {
		return standing.Receipt, err
	}
	cold, fault := a.ledger.Receipt(ctx, id)
	switch {
	case !errors.Is(fault, sale.ErrUnknown):
		return cold, fault
	case unknown:
		err = a.store.Missing(ctx, p, id)
	}
	return sale.Receipt{}, err
}
