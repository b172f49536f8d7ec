package settlement

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// verdictsOf is how many verdicts of a verb were counted, and how long they took
// together.
func (m *metrics) verdictsOf(t testing.TB, verb sale.Verb) (n uint64, seconds float64) {
	t.Helper()
	alone := prometheus.NewRegistry()
	alone.MustRegister(m.verdicts[verb].(prometheus.Collector))
	families, err := alone.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := families[0].Metric[0].GetHistogram()
	return found.GetSampleCount(), found.GetSampleSum()
}

// queuedFor waits until a request has been queued for so long by Redis' clock.
func (h *house) queuedFor(o *owner, d time.Duration) {
	h.t.Helper()
	h.until("it has waited", func() bool {
		found, err := h.store.Survey(h.ctx)
		h.must(err)
		return found.Partitions[o.partition].Oldest >= d
	})
}

// TestVerdicts: what people ask is counted with the time that it was queued, each verb
// for itself, and the ticks of the scheduler are not.
func TestVerdicts(t *testing.T) {
	const queued = 30 * time.Millisecond
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	h.drain(o)
	buyers := h.buyers(3, 1000)
	for _, buyer := range buyers {
		h.bid(s, buyer, 1)
	}
	h.admit(s, sale.Request{Verb: sale.Change, Buyer: h.seller, Quantity: 5})
	h.admit(s, sale.Request{Verb: sale.Open, Receipt: sale.TickReceiptID(s.Partition, s.ID, sale.Open, s.OpensAt, 1, 0, 0)})
	h.queuedFor(o, queued)
	h.drain(o)
	for verb, want := range map[sale.Verb]uint64{sale.Bid: 3, sale.Change: 1, sale.Pay: 0} {
		n, seconds := o.metrics.verdictsOf(t, verb)
		if least := (queued * time.Duration(want)).Seconds() / 2; n != want || seconds < least || seconds > patience.Seconds()*float64(want) {
			t.Errorf("%s: %d verdicts, of %d, in %v s together", verb, n, want, seconds)
		}
	}
	if got := testutil.ToFloat64(o.metrics.outcomes.WithLabelValues("open", "confirmed", "")); got != 1 {
		t.Errorf("%v ticks were settled", got)
	}
	asked := []sale.Verb{sale.Bid, sale.Refund, sale.Change, sale.Reserve, sale.Claim, sale.Join, sale.Pay, sale.Cancel}
	for _, verb := range sale.Verbs() {
		if counted := o.metrics.verdicts[verb] != nil; counted != slices.Contains(asked, verb) {
			t.Errorf("%s has verdicts: %v", verb, counted)
		}
	}
}

// TestVerdictsOfTheDead: what an owner has committed and not applied is counted, once, by
// the next one, with all the time that it took.
func TestVerdictsOfTheDead(t *testing.T) {
	const queued = 30 * time.Millisecond
	b := &breakage{script: "no script", done: true}
	h := houseOver(t, embeddedtest.Redis(t), embeddedtest.Postgres(t), func(tx pgx.Tx) pgx.Tx { return commits{tx, b} })
	s := h.sale(nil)
	first := h.owner(s.Partition)
	h.open(s)
	h.drain(first)
	h.bid(s, h.buyers(1, 1000)[0], 1)
	b.left.Store(1)
	if err := first.step(h.ctx); err == nil {
		t.Fatal("the commit did not break")
	}
	h.queuedFor(first, queued)
	next := h.owner(s.Partition)
	h.drain(next)
	if n, _ := first.metrics.verdictsOf(t, sale.Bid); n != 0 {
		t.Errorf("who died has counted %d", n)
	}
	if n, seconds := next.metrics.verdictsOf(t, sale.Bid); n != 1 || seconds < queued.Seconds() {
		t.Errorf("the next one has counted %d in %v s", n, seconds)
	}
	if n := testutil.ToFloat64(next.metrics.outcomes.WithLabelValues("bid", "confirmed", "")); n != 1 {
		t.Errorf("the next one has counted %v outcomes", n)
	}
}

// TestEpochs: each partition that is owned shows its epoch, and none that is not.
func TestEpochs(t *testing.T) {
	h := newHouse(t)
	a := h.start("a")
	shown := func(c *running) int { return testutil.CollectAndCount(c.metrics.epochs) }
	h.until("it shows all", func() bool { return shown(a) == partitions })
	if got := testutil.ToFloat64(a.metrics.epochs.WithLabelValues("0")); got < 1 {
		t.Errorf("the first owner has epoch %v", got)
	}
	b := h.start("b")
	h.until("both show their half", func() bool { return shown(a) == partitions/2 && shown(b) == partitions/2 })
	for _, p := range b.Owned() {
		if got := testutil.ToFloat64(b.metrics.epochs.WithLabelValues(strconv.Itoa(p))); got < 2 {
			t.Errorf("the second owner of %d has epoch %v", p, got)
		}
	}
	b.stop()
	if n := shown(b); n != 0 {
		t.Errorf("one that owns nothing shows %d", n)
	}
	h.until("the first shows all again", func() bool { return shown(a) == partitions })
}
