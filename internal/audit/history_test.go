package audit_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/audit"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// The cast of the history. Sales alternate between the two partitions, 0 for
// those with an even number.
const (
	seller = 1
	poor   = 2  // has 50 points
	first  = 3  // the first of ten buyers with 100,000 points each
	paid   = 1  // sale: closed, refunded in part, paid out
	atOnce = 2  // sale: paid to the seller at once, falling by percents
	closed = 3  // sale: closed, its refund window still open
	gone   = 4  // sale: open and sold out
	coming = 5  // sale: scheduled, never asked for
	early  = 6  // sale: scheduled, asked for too early
	open7  = 7  // sale: open, with units left
	nobody = 99 // no sale
)

// begin answers a house with these accounts and sales, as of now.
func begin(t testing.TB) (h *house, now sale.Instant) {
	t.Helper()
	h = open(t, embeddedtest.Redis(t), embeddedtest.Postgres(t))
	for _, a := range []struct {
		role   string
		n      int
		points int64
	}{{"seller", 1, 0}, {"buyer", 1, 50}, {"buyer", 10, 100_000}} {
		_, err := h.ledger.CreateAccounts(t.Context(), a.role, a.n, a.points)
		h.must(err)
	}
	now = sale.At(time.Now())
	constant := sale.Price{Policy: sale.Constant, Start: 1000, Drop: 10, Period: time.Second}
	percents := sale.Price{Policy: sale.Percentage, Start: 1000, Rate: 700, Period: time.Second}
	slowly := sale.Price{Policy: sale.Constant, Start: 1000, Drop: 10, Period: time.Minute}
	for _, s := range []sale.Sale{
		paid - 1:   {Price: constant, Stock: 10, Limit: 2, ClosesAt: now + 60_000, RefundWindow: time.Minute},
		atOnce - 1: {Price: percents, Stock: 10, Limit: 2, ClosesAt: now + 60_000},
		closed - 1: {Price: constant, Stock: 10, Limit: 2, ClosesAt: now + 60_000, RefundWindow: time.Hour},
		gone - 1:   {Price: slowly, Stock: 3, Limit: 2, ClosesAt: now + 3_000_000, RefundWindow: time.Hour},
		coming - 1: {Price: constant, Stock: 10, Limit: 2, OpensAt: now + 3_000_000, ClosesAt: now + 3_060_000, RefundWindow: time.Hour},
		early - 1:  {Price: constant, Stock: 10, Limit: 2, OpensAt: now + 3_000_000, ClosesAt: now + 3_060_000, RefundWindow: time.Hour},
		open7 - 1:  {Price: slowly, Stock: 10, Limit: 2, ClosesAt: now + 3_000_000, RefundWindow: time.Hour},
	} {
		s.Seller = seller
		if s.OpensAt == 0 {
			s.OpensAt = now - 5_000
		}
		h.sale(s)
	}
	h.beginKinds(now)
	return h, now
}

// history lives through everything that can happen to a sale.
func (h *house) history(now sale.Instant) {
	h.consume()() // opens the partitions
	bid := func(of, buyer, quantity, price int64) uuid.UUID {
		return h.ask(int(of%partitions), sale.Request{Verb: sale.Bid, Sale: of, Buyer: buyer, Quantity: quantity, Price: price}, partition.Anytime)
	}
	tick := func(of int64, verb sale.Verb, due sale.Instant) uuid.UUID {
		p := int(of % partitions)
		return h.ask(p, sale.Request{Receipt: sale.TickReceiptID(p, of, verb, due), Verb: verb, Sale: of}, partition.From(due))
	}
	refund := func(of, buyer int64, target uuid.UUID) uuid.UUID {
		return h.ask(int(of%partitions), sale.Request{Verb: sale.Refund, Sale: of, Buyer: buyer, Target: target}, partition.Anytime)
	}
	// One batch in each partition, all of it in one millisecond.
	h.jump(now + 10_000)
	opened := tick(paid, sale.Open, now-5_000)
	bought := map[int64][]uuid.UUID{}
	for of := int64(paid); of <= closed; of++ {
		for buyer := int64(first); buyer < first+3; buyer++ {
			bought[of] = append(bought[of], bid(of, buyer, 2, 1000))
		}
	}
	stop := h.consume()
	defer stop()
	h.becomes(opened, "confirmed")
	for _, ids := range bought {
		for _, id := range ids {
			h.becomes(id, "confirmed")
		}
	}
	// One batch each.
	h.becomes(bid(nobody, first, 1, 1000), "rejected unknown_sale")
	h.becomes(bid(early, first, 1, 1000), "rejected not_open")
	h.becomes(bid(closed, poor, 1, 1000), "rejected short_points")
	h.becomes(bid(closed, first, 3, 1000), "rejected over_limit")
	h.becomes(bid(closed, first+5, 1, 1), "rejected price_changed")
	h.becomes(bid(atOnce, seller, 1, 1000), "confirmed") // from himself: no points move
	h.becomes(bid(open7, first, 2, 1000), "confirmed")
	h.becomes(bid(gone, first, 2, 1000), "confirmed")
	h.becomes(bid(gone, first+1, 2, 1000), "rejected sold_out")
	h.becomes(bid(gone, first+1, 1, 1000), "confirmed")
	h.becomes(bid(gone, first+2, 1, 1000), "rejected sold_out")
	h.becomes(h.ask(gone%partitions, sale.Request{Verb: sale.Change, Sale: gone, Buyer: seller, Quantity: 1}, partition.Anytime), "confirmed")
	h.becomes(h.ask(gone%partitions, sale.Request{Verb: sale.Change, Sale: gone, Buyer: first, Quantity: 1}, partition.Anytime), "rejected not_yours")
	h.becomes(bid(gone, first+2, 1, 1000), "confirmed")

	h.jump(now + 61_000)
	h.becomes(bid(paid, first+5, 1, 1000), "rejected closed")
	h.becomes(tick(atOnce, sale.Close, now+60_000), "confirmed")
	h.becomes(refund(paid, first, bought[paid][0]), "confirmed")
	h.becomes(refund(paid, first, bought[paid][0]), "rejected already_final")
	h.becomes(refund(closed, first+1, bought[closed][0]), "rejected not_yours")
	h.becomes(refund(closed, first, bought[closed][0]), "confirmed")
	h.becomes(refund(atOnce, first, bought[atOnce][0]), "rejected not_refundable")

	h.jump(now + 121_000)
	h.becomes(tick(atOnce, sale.Payout, now+60_000), "confirmed")
	h.becomes(tick(paid, sale.Payout, now+120_000), "confirmed")
}

func TestHistoryIsRight(t *testing.T) {
	h, now := begin(t)
	h.history(now)
	report := h.audit()
	if report.Verdict != audit.OK || report.Oversold != 0 || report.Unfinished != 0 || report.Inversions != 0 {
		t.Errorf("%+v", report)
	}
	if report.Partitions != 2 || report.Sales != 16 || report.Receipts != 21 || report.Entries != 27 || report.Requests != 35 {
		t.Errorf("looked at %+v", report)
	}
}

// TestAllKindsAreRight: what reservations, coupons, events and slots live through, too.
func TestAllKindsAreRight(t *testing.T) {
	h, now := begin(t)
	h.history(now)
	h.kinds(now)
	report := h.audit()
	if report.Verdict != audit.OK || report.Oversold != 0 || report.Unfinished != 0 || report.Inversions != 0 {
		t.Errorf("%+v", report)
	}
	trim(h)
	h.wants(audit.OK, "")
}
