package torture

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/client"
	"sluice/internal/sale"
	"sluice/internal/sale/saletest"
)

// offered is a sale as its seller is shown it.
func offered(s sale.Sale) client.Sale {
	at := func(i sale.Instant) (t time.Time) {
		if i != 0 {
			t = i.Time()
		}
		return t
	}
	c := client.Sale{
		ID: s.ID, Kind: client.Kind(s.Kind), Seller: s.Seller, Limit: s.Limit, OpensAt: at(s.OpensAt), ClosesAt: at(s.ClosesAt),
		RefundWindow: s.RefundWindow, Stock: &client.Stock{Total: s.Stock, Free: s.Stock}, StartsAt: at(s.StartsAt), Store: s.Store,
		Hold: s.Hold, Line: s.LineMost, MaxBypass: s.MaxBypass, AmountOff: s.AmountOff, ValidFrom: at(s.ValidFrom), ValidUntil: at(s.ValidUntil),
	}
	if s.Kind == sale.Auction {
		c.Policy, c.StartPrice, c.Drop, c.Rate, c.Period = client.Policy(s.Price.Policy), s.Price.Start, s.Price.Drop, s.Price.Rate, s.Price.Period
	} else {
		c.UnitPrice = s.Price.Start
	}
	return c
}

// smear tells what clients may see of a stream that is heard one entry each
// millisecond, and decided at once: each has asked up to 6 ms before, and was answered
// up to 6 ms later; what happened is seen late, or not at all, but for the end of it.
func smear(h saletest.History, dice *rand.Rand) History {
	seen := History{Stock: map[int64]int64{}}
	for _, s := range h.Sales {
		seen.Sales = append(seen.Sales, offered(s))
		seen.Stock[s.ID] = s.Stock
	}
	m := h.Model()
	asked := map[uuid.UUID]*Request{}
	var order []uuid.UUID
	late := func(us int64) int64 { return us + 1 + dice.Int64N(6000) }
	look := func(r *Request, us int64, now sale.Receipt) {
		s := Sighting{
			Receipt: now.ID.String(), Status: client.Status(now.Status.String()), Reason: client.Reason(now.Reason.String()),
			Quantity: now.Quantity, UnitPrice: now.UnitPrice,
		}
		if now.Purchase() && now.Status != sale.Rejected {
			s.Amount = now.Cost()
		}
		if now.Status == sale.Held {
			s.PayByMS = int64(now.PayBy)
		}
		if s.AtUS = max(late(us), r.last().AtUS); !r.last().sameOutcome(s) {
			r.Seen = append(r.Seen, s)
		}
	}
	for i, e := range h.Entries {
		if e.Verb == sale.Suspend || e.Verb == sale.Resume {
			continue // an operator's: no client can ask for it, and no torture does
		}
		us := int64(i+1) * 1000
		o := m.Hear(e)
		// A client cannot name a target and a sale that do not belong together.
		booking, from := m.Receipts()[e.Target], e.Sale
		if e.Verb == sale.Reserve {
			from = e.From
		}
		nowhere := e.Target != uuid.Nil && booking.Sale != from && (booking.Sale != 0 || e.Verb == sale.Reserve)
		if nothing := nowhere || e.Verb.Buys() && e.Quantity < 1 || e.Verb == sale.Change && (e.Quantity < 0 || e.Quantity == 0 && e.ClosesAt == 0); e.Buyer != 0 && !nothing {
			r := &Request{
				Key: fmt.Sprint(i), Account: e.Buyer, Verb: client.Verb(e.Verb.String()), Sale: e.Sale,
				Asked:  Asked{Quantity: e.Quantity, Price: e.Price, Exact: e.Exact, ClosesAtMS: int64(e.ClosesAt)},
				SentUS: max(us-dice.Int64N(6000), 0), AnsweredUS: late(us), StreamMS: int64(e.ID.At), Answers: []string{e.Receipt.String()},
			}
			if e.Target != uuid.Nil {
				r.Asked.Target = e.Target.String()
			}
			if e.Coupon != uuid.Nil {
				r.Asked.Coupon = e.Coupon.String()
			}
			if dice.IntN(2) == 0 {
				r.Seen = append(r.Seen, Sighting{AtUS: r.AnsweredUS, Receipt: e.Receipt.String(), Status: client.Queued})
			}
			seen.Requests = append(seen.Requests, r)
			asked[e.Receipt] = r
			order = append(order, e.Receipt)
			if o.Status == sale.Rejected {
				look(r, us, sale.Receipt{ID: e.Receipt, Status: o.Status, Reason: o.Reason})
			}
		}
		for _, id := range order {
			if now, stays := m.Receipts()[id]; stays && dice.IntN(3) == 0 {
				look(asked[id], us, now)
			}
		}
	}
	for _, id := range order {
		if now, stays := m.Receipts()[id]; stays {
			look(asked[id], int64(len(h.Entries)+1)*1000, now)
		}
	}
	slices.SortFunc(seen.Requests, func(a, b *Request) int { return int(a.SentUS - b.SentUS) })
	return seen
}

// blur lets some requests end without an answer, and some receipts vanish before
// anybody saw what became of them.
func blur(h History, dice *rand.Rand) {
	for _, r := range h.Requests {
		switch dice.IntN(12) {
		case 0:
			r.Answers, r.Seen, r.Unanswered, r.AnsweredUS, r.StreamMS = nil, nil, "reset", 0, 0
		case 1, 2:
			r.Seen, r.Vanished = nil, "404"
		}
	}
}

// TestBlurredHistoriesAreLinearizable: what nobody knows to have been done or not,
// makes no history wrong.
func TestBlurredHistoriesAreLinearizable(t *testing.T) {
	var judged, undecided int
	rapid.Check(t, func(t *rapid.T) {
		h := saletest.Histories.Draw(t, "history")
		h.Entries = h.Entries[:min(len(h.Entries), 40)]
		dice := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "smear"), 1))
		seen := smear(h, dice)
		blur(seen, dice)
		l, found := linearize(seen)
		if len(found) > 0 {
			t.Fatalf("%v %+v", l, found)
		}
		judged += l.Sales
		undecided += l.Undecided
	})
	t.Logf("%d sales, %d undecided", judged, undecided)
	if judged < 20 || undecided > judged {
		t.Error("hardly anything was judged: this proves nothing")
	}
}

// TestSmearedHistoriesAreLinearizable: whatever the rules let happen, told by clients
// whose requests overlap, is explained. The rules are told by another model.
func TestSmearedHistoriesAreLinearizable(t *testing.T) {
	var judged, requests int
	rapid.Check(t, func(t *rapid.T) {
		h := saletest.Histories.Draw(t, "history")
		seen := smear(h, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "smear"), 1)))
		l, found := linearize(seen)
		if len(found) > 0 || l.Undecided > 0 {
			t.Fatalf("%v %+v", l, found)
		}
		judged += l.Sales
		requests += l.Requests
	})
	t.Logf("%d sales, %d requests", judged, requests)
	if judged < 20 || requests < 200 {
		t.Error("hardly anything was judged: this proves nothing")
	}
}
