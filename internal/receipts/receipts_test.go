package receipts

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// house is receipts over real servers, and a hand that settles.
type house struct {
	*Receipts
	t      *testing.T
	store  *partition.Store
	ledger *ledger.Ledger
	mark   ledger.Watermark
}

func open(t *testing.T) *house {
	h := &house{t: t}
	var err error
	h.ledger, err = ledger.Open(t.Context(), ledger.Options{URL: embeddedtest.Postgres(t)})
	h.must(err)
	t.Cleanup(h.ledger.Close)
	h.must(h.ledger.EnsurePartitions(t.Context(), 1))
	h.store, err = partition.Open(t.Context(), partition.Options{URL: embeddedtest.Redis(t), Partitions: 1})
	h.must(err)
	t.Cleanup(func() { h.store.Close() })
	h.mark, err = h.ledger.Lead(t.Context(), 0, "test")
	h.must(err)
	h.Receipts = New(h.store, h.ledger, prometheus.NewRegistry())
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) account(role string) int64 {
	h.t.Helper()
	ids, err := h.ledger.CreateAccounts(h.t.Context(), role, 1, 10_000)
	h.must(err)
	return ids[0]
}

func (h *house) sale(seller int64) sale.Sale {
	h.t.Helper()
	now := sale.At(time.Now())
	s, err := h.ledger.CreateSale(h.t.Context(), sale.Sale{
		Kind: sale.Auction, Seller: seller, Title: "lamp", Stock: 10, Limit: 10,
		Price:   sale.Price{Policy: sale.Constant, Start: 100, Drop: 1, Period: time.Hour},
		OpensAt: now - 1, ClosesAt: now.Add(time.Hour), RefundWindow: time.Hour,
	}, 1)
	h.must(err)
	return s
}

// settle settles a request, in Postgres alone.
func (h *house) settle(r sale.Request) uuid.UUID {
	h.t.Helper()
	stand, applied, err := h.ledger.Stand(h.t.Context(), r.Sale)
	h.must(err)
	r.Receipt = sale.NewReceiptID(0)
	h.mark.Seq++
	e := sale.Entry{ID: sale.EntryID{At: max(sale.At(time.Now()), applied.At+1)}, Seq: h.mark.Seq, Request: r}
	h.must(h.ledger.Settle(h.t.Context(), &sale.Batch{
		Epoch: h.mark.Epoch, Prev: applied, Last: e.ID, Seq: e.Seq, Entries: []sale.Entry{e}, State: sale.State{r.Sale: stand},
	}))
	return r.Receipt
}

// TestReads: who answers for a receipt is counted, and who does not have it.
func TestReads(t *testing.T) {
	h := open(t)
	me := h.account("buyer")
	s := h.sale(h.account("seller"))
	counted := func() [4]float64 {
		return [4]float64{testutil.ToFloat64(h.hot.found), testutil.ToFloat64(h.hot.missing), testutil.ToFloat64(h.cold.found), testutil.ToFloat64(h.cold.missing)}
	}
	old := h.settle(sale.Request{Verb: sale.Bid, Sale: s.ID, Buyer: me, Quantity: 1, Price: 100})
	_, err := h.Get(t.Context(), me, old)
	h.must(err)
	if got, want := counted(), [4]float64{0, 1, 1, 0}; got != want {
		t.Errorf("one that only Postgres has: counted %v, not %v", got, want)
	}
	_, err = h.store.Lead(t.Context(), 0, h.mark.Epoch, 1)
	h.must(err)
	h.must(h.store.Rebuild(t.Context(), 0, h.mark.Epoch, 1, sale.EntryID{}, 0))
	if _, err := h.Get(t.Context(), me, sale.NewReceiptID(0)); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("one that nobody has: %v", err)
	}
	if got, want := counted(), [4]float64{0, 2, 1, 1}; got != want {
		t.Errorf("one that nobody has: counted %v, not %v", got, want)
	}
	queued, err := h.store.Admit(t.Context(), 0, sale.Request{Receipt: sale.NewReceiptID(0), Verb: sale.Cancel, Sale: s.ID, Buyer: me, Target: old}, partition.Anytime, partition.Limits{Backlog: 10})
	h.must(err)
	_, err = h.Get(t.Context(), me, queued.ID)
	h.must(err)
	if got, want := counted(), [4]float64{1, 2, 1, 1}; got != want {
		t.Errorf("one that is queued: counted %v, not %v", got, want)
	}
}

// TestList: an account finds what it asked for, of one sale or all, and nobody
// else's.
func TestList(t *testing.T) {
	h := open(t)
	seller, me, other := h.account("seller"), h.account("buyer"), h.account("buyer")
	a, b := h.sale(seller), h.sale(seller)
	bid := func(s sale.Sale, buyer, quantity int64) uuid.UUID {
		return h.settle(sale.Request{Verb: sale.Bid, Sale: s.ID, Buyer: buyer, Quantity: quantity, Price: 100})
	}
	first, second := bid(a, me, 1), bid(b, me, 2)
	bid(a, other, 1)
	bid(a, me, 11) // rejected: it leaves no trace
	third := bid(a, me, 3)
	growth := h.settle(sale.Request{Verb: sale.Change, Sale: a.ID, Buyer: seller, Quantity: 5})
	for _, c := range []struct {
		name    string
		account int64
		f       Filter
		want    []uuid.UUID
	}{
		{"all", me, Filter{}, []uuid.UUID{third, second, first}},
		{"of a sale", me, Filter{Sale: a.ID}, []uuid.UUID{third, first}},
		{"confirmed", me, Filter{Status: sale.Confirmed}, []uuid.UUID{third, second, first}},
		{"refunded", me, Filter{Status: sale.Refunded}, nil},
		{"the seller's", seller, Filter{}, []uuid.UUID{growth}},
		{"nobody's", 404, Filter{}, nil},
	} {
		for _, c.f.Limit = range []int{1, 2, 100} {
			c.f.After = Cursor{}
			var got []uuid.UUID
			for {
				page, more, err := h.List(t.Context(), c.account, c.f)
				h.must(err)
				for _, r := range page {
					got = append(got, r.ID)
					c.f.After = Cursor{At: r.At, ID: r.ID}
				}
				if !more {
					break
				}
			}
			if len(got) != len(c.want) {
				t.Fatalf("%s: %v, not %v", c.name, got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%s: %v, not %v", c.name, got, c.want)
				}
			}
		}
	}
	if r, err := h.Get(t.Context(), me, first); err != nil || r.Status != sale.Confirmed || r.Sale != a.ID {
		t.Errorf("what is listed: %+v, %v", r, err)
	}
	if _, err := h.Get(t.Context(), other, first); !errors.Is(err, sale.ErrNotYours) {
		t.Errorf("somebody else's: %v", err)
	}
}
