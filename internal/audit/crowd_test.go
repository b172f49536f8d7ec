package audit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"sluice/internal/audit"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// crowd asks for everything that can be asked, right and wrong.
type crowd struct {
	dice  *rand.Rand
	asked []sale.Request // purchases and payments: what others can be about
	live  []sale.Request // the same, of those that had not failed or ended lately

	suspended []int64 // sales
}

var sellers = []int64{chairs, bulk, offs, evening, concert, gala, lamp, slot, later}

// request makes up the next one.
func (c *crowd) request() sale.Request {
	var r sale.Request
	switch what := c.dice.IntN(100); {
	case what < 50 || len(c.asked) == 0:
		r = c.purchase()
	case what < 90:
		about := c.asked
		if len(c.live) > 0 && what < 80 {
			about = c.live
		}
		r = c.about(about[c.dice.IntN(len(about))])
	case what == 90 && c.dice.IntN(4) == 0:
		r = sale.Request{Verb: sale.Suspend, Sale: sellers[c.dice.IntN(len(sellers))]}
		c.suspended = append(c.suspended, r.Sale)
	case what == 91 && len(c.suspended) > 0:
		r = sale.Request{Verb: sale.Resume, Sale: c.suspended[0]}
		c.suspended = c.suspended[1:]
	case what < 92:
		r = sale.Request{Verb: sale.Change, Sale: sellers[c.dice.IntN(len(sellers))], Buyer: seller, Quantity: 1}
	default:
		r = sale.Request{Verb: []sale.Verb{sale.Expire, sale.Close, sale.Payout}[c.dice.IntN(3)], Sale: sellers[c.dice.IntN(len(sellers))]}
	}
	r.Receipt = sale.NewReceiptID(placeOf(r.Sale))
	if r.Verb.Buys() || r.Verb == sale.Pay {
		c.asked = append(c.asked, r)
	}
	return r
}

func (c *crowd) purchase() sale.Request {
	r := sale.Request{Sale: sellers[c.dice.IntN(len(sellers))], Verb: sale.Reserve, Buyer: first + c.dice.Int64N(60), Quantity: 1}
	switch r.Sale {
	case offs:
		r.Verb = sale.Claim
		return r
	case evening, concert:
		r.Verb = sale.Join
		return r
	case slot, later:
		return r
	case lamp:
		r.Verb, r.Price = sale.Bid, 500
	case bulk:
		r.Quantity += c.dice.Int64N(3)
	}
	if i := slices.IndexFunc(c.asked, func(q sale.Request) bool { return q.Verb == sale.Claim && q.Buyer == r.Buyer }); i >= 0 {
		r.Coupon = c.asked[i].Receipt
	}
	return r
}

// about makes up what the buyer of a purchase asks next.
func (c *crowd) about(q sale.Request) sale.Request {
	r := sale.Request{Verb: sale.Pay, Sale: q.Sale, Buyer: q.Buyer, Target: q.Receipt}
	switch dice := c.dice.IntN(4); {
	case q.Sale == lamp:
		r.Verb = sale.Refund
	case dice == 0:
		r.Verb = sale.Cancel
	case dice == 1 && (q.Sale == slot || q.Sale == later):
		r.Verb, r.Quantity, r.Sale, r.From = sale.Reserve, 1, slot+later-q.Sale, q.Sale
	}
	return r
}

// TestCrowdOfAllKinds lets many ask for everything at once while time goes on:
// whatever the rules decide, in large batches and small ones, the audit finds right,
// with all of the log and with less and less of it.
func TestCrowdOfAllKinds(t *testing.T) {
	h, now := begin(t)
	_, err := h.ledger.CreateAccounts(t.Context(), "buyer", 50, 10_000)
	h.must(err)
	stop := h.consume()
	defer stop()
	for _, id := range sellers {
		h.must(h.store.LoadFrom(t.Context(), placeOf(id), id, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
			return h.ledger.Stand(ctx, id)
		}))
	}
	fine := func(what string, of int) {
		t.Helper()
		if report := h.audit(); report.Verdict != audit.OK {
			t.Fatalf("%s %d: %+v", what, of, report)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &crowd{dice: rand.New(rand.NewPCG(seed, 0))}
	const rounds = 64
	for round, at := 0, now+100_000; round < rounds; round, at = round+1, at+sale.Instant(c.dice.IntN(90_000)) {
		h.jump(at)
		var busy sync.WaitGroup
		for range 8 {
			requests := make([]sale.Request, c.dice.IntN(12))
			for i := range requests {
				requests[i] = c.request()
			}
			busy.Go(func() {
				for _, r := range requests {
					var refused *sale.Refusal
					if _, err := h.store.Admit(t.Context(), placeOf(r.Sale), r, partition.Anytime, free); err != nil && !errors.As(err, &refused) {
						t.Error(err)
					}
				}
			})
		}
		busy.Wait()
		h.quiet()
		c.live = h.live()
		if round%8 == 0 {
			fine("round", round)
		}
	}
	fine("round", rounds)
	for keep := 64; keep > 0; keep /= 4 {
		_, err := h.pg.Exec(t.Context(), `
			delete from batches b
			using (
				select partition, last_ms, last_no, row_number() over (partition by partition order by last_ms desc, last_no desc) as n
				from batches) as k
			where (k.partition, k.last_ms, k.last_no) = (b.partition, b.last_ms, b.last_no) and k.n > $1`, keep)
		h.must(err)
		fine("batches", keep)
	}
	t.Log(h.statuses())
}

// quiet waits until all that is queued is settled.
func (h *house) quiet() {
	h.t.Helper()
	for p := range partitions {
		h.until(func() bool {
			seen, err := h.store.Projection(h.t.Context(), p, nil)
			return err == nil && seen.Seq == seen.Settled
		})
	}
}

// live answers the requests whose receipts others can be about, but for tries to fool
// the rules.
func (h *house) live() (live []sale.Request) {
	h.t.Helper()
	rows, err := h.pg.Query(h.t.Context(), `
		select id, sale, buyer
		from receipts
		where verb in ('bid', 'reserve', 'join', 'pay') and quantity > 0 and status in ('held', 'waiting', 'confirmed')
			or status = 'expired' and pay_by > (select max(at) from receipts) - interval '3 minutes'`)
	h.must(err)
	defer rows.Close()
	for rows.Next() {
		var r sale.Request
		h.must(rows.Scan((*[16]byte)(&r.Receipt), &r.Sale, &r.Buyer))
		live = append(live, r)
	}
	return live
}

// statuses counts what became of the receipts.
func (h *house) statuses() (counts []string) {
	h.t.Helper()
	rows, err := h.pg.Query(h.t.Context(), `select status || ' ' || verb, count(*) from receipts group by status, verb order by 1`)
	h.must(err)
	defer rows.Close()
	for rows.Next() {
		var word string
		var n int
		h.must(rows.Scan(&word, &n))
		counts = append(counts, fmt.Sprint(word, " ", n))
	}
	return counts
}
