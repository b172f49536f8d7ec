package upkeep

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
	"sluice/internal/settlement"
)

// ask queues a request and waits until it is settled.
func (h *house) ask(s sale.Sale, r sale.Request) sale.Receipt {
	h.t.Helper()
	r.Receipt, r.Sale = sale.NewReceiptID(s.Partition), s.ID
	var err error
	h.until("its partition is open", func() bool {
		err = h.store.LoadFrom(h.ctx, s.Partition, s.ID, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
			return h.ledger.Stand(ctx, s.ID)
		})
		return !errors.Is(err, partition.ErrLoading)
	})
	h.must(err)
	_, err = h.store.Admit(h.ctx, s.Partition, r, partition.Anytime, partition.Limits{Backlog: 1000})
	h.must(err)
	var settled sale.Receipt
	h.until("it is settled", func() bool {
		settled, err = h.ledger.Receipt(h.ctx, r.Receipt)
		return err == nil
	})
	return settled
}

// told counts what an account was told with a word.
func (h *house) told(account int64, word sale.NoticeWord) (n int) {
	h.t.Helper()
	notices, _, err := h.ledger.Notices(h.ctx, ledger.NoticeFilter{Account: account, Limit: 100})
	h.must(err)
	for _, notice := range notices {
		if notice.Word == word {
			n++
		}
	}
	return n
}

// TestWhatOnlyTimeBringsAbout: of a hold that ends soon, a sale that opens, and one
// that starts tomorrow, each who is concerned is told once, by four schedulers at
// once, which are started anew, and at every beat find nothing.
func TestWhatOnlyTimeBringsAbout(t *testing.T) {
	h := open(t)
	h.run(settlement.New("consumer", h.store, h.ledger, zerolog.Nop(), prometheus.NewRegistry()).Run)
	seller, err := h.ledger.CreateAccounts(h.ctx, "seller", 1, 0)
	h.must(err)
	buyers, err := h.ledger.CreateAccounts(h.ctx, "buyer", 3, 100)
	h.must(err)
	now := sale.At(time.Now())
	offer := func(s sale.Sale) sale.Sale {
		s.Seller, s.Title, s.Stock, s.Limit, s.Price.Policy, s.Hold = seller[0], "lamp", 10, 1, sale.Fixed, 10*time.Minute
		s, err := h.ledger.CreateSale(h.ctx, s, 2)
		h.must(err)
		return s
	}
	lamp := offer(sale.Sale{Kind: sale.Reservation, OpensAt: now, ClosesAt: now.Add(time.Hour), Price: sale.Price{Start: 10}})
	coming := offer(sale.Sale{Kind: sale.Event, OpensAt: now.Add(time.Hour), ClosesAt: now.Add(2 * time.Hour)})
	talk := offer(sale.Sale{Kind: sale.Event, OpensAt: now, ClosesAt: now.Add(48 * time.Hour), StartsAt: now.Add(48 * time.Hour)})
	held := h.ask(lamp, sale.Request{Verb: sale.Reserve, Buyer: buyers[0], Quantity: 1})
	h.ask(talk, sale.Request{Verb: sale.Join, Buyer: buyers[1], Quantity: 1})
	h.must(h.ledger.Watch(h.ctx, buyers[2], coming.ID))
	if held.Status != sale.Held {
		t.Fatalf("%+v", held)
	}

	words := []sale.NoticeWord{sale.NoticeSoon, sale.NoticeReminder, sale.NoticeOpens}
	counted := map[sale.NoticeWord]float64{}
	for _, test := range []struct {
		at   sale.Instant
		want [3]int
	}{
		{now, [3]int{}},
		{held.PayBy.Add(-2*time.Minute) - 1, [3]int{}},
		{held.PayBy.Add(-2 * time.Minute), [3]int{1, 0, 0}},
		{coming.OpensAt, [3]int{1, 0, 1}},
		{talk.StartsAt.Add(-24*time.Hour) - 1, [3]int{1, 0, 1}},
		{talk.StartsAt.Add(-24 * time.Hour), [3]int{1, 1, 1}},
		{talk.StartsAt, [3]int{1, 1, 1}},
	} {
		four := h.four()
		for range 2 {
			h.together(four, func(s *Scheduler) error { return s.remind(h.ctx, test.at) })
		}
		for i, word := range words {
			for _, s := range four {
				counted[word] += testutil.ToFloat64(s.told.WithLabelValues(string(word)))
			}
			if n := h.told(buyers[i], word); n != test.want[i] || counted[word] != float64(n) {
				t.Errorf("at %d it was told %d times that %q, and counted %v times", test.at-now, n, word, counted[word])
			}
		}
	}
	if h.told(buyers[0], sale.NoticeHeld) != 1 {
		t.Error("what the settlement tells is missing")
	}
}
