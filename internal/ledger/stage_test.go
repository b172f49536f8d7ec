package ledger

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// stage plays entries of one partition against a real Postgres, and keeps a model
// of what must be recorded: built from the batches' own words, by other means.
type stage struct {
	*books
	mark     Watermark
	opens    sale.Instant // of its sales
	clock    sale.Instant // of the stream
	receipts map[uuid.UUID]sale.Receipt
	notices  []sale.Notice
	sales    []int64
}

func newStage(t testing.TB) *stage { return newStageOver(open(t)) }

func newStageOver(b *books) *stage {
	st := &stage{books: b, opens: sale.At(time.Now()), receipts: map[uuid.UUID]sale.Receipt{}}
	var err error
	st.mark, err = st.Lead(st.ctx, 0, "test")
	st.must(err)
	st.clock = st.opens
	return st
}

// offer records a sale of partition 0 that sells for an hour.
func (st *stage) offer(s sale.Sale) sale.Sale {
	st.t.Helper()
	s.Seller, s.Title = st.seller, "lamp"
	s.OpensAt = cmp.Or(s.OpensAt, st.opens)
	s.ClosesAt = cmp.Or(s.ClosesAt, s.OpensAt.Add(time.Hour))
	s.Limit = cmp.Or(s.Limit, 1)
	switch s.Kind {
	case sale.Auction:
		if s.Price.Policy == "" {
			s.Price = sale.Price{Policy: sale.Percentage, Start: 100, Rate: 100, Period: time.Hour}
		}
	case sale.Coupon:
		s.ValidFrom, s.ValidUntil = s.OpensAt, cmp.Or(s.ValidUntil, s.OpensAt.Add(2*time.Hour))
		s.AmountOff = cmp.Or(s.AmountOff, 30)
	default:
		s.Hold = cmp.Or(s.Hold, 10*time.Minute)
	}
	if s.Kind != sale.Auction {
		s.Price.Policy = sale.Fixed
	}
	st.must(s.Check(s.OpensAt))
	s, err := st.CreateSale(st.ctx, s, 1)
	st.must(err)
	st.sales = append(st.sales, s.ID)
	return s
}

// store makes one in partition 0.
func (st *stage) store() (id int64) {
	st.t.Helper()
	st.must(st.pool.QueryRow(st.ctx, `
		insert into stores (partition, seller, title, time_zone, tables, unit_price, refund_ms, hold_ms, days_ahead, opens, closes)
		values (0, $1, 'inn', 'UTC', 2, 0, 0, 60000, 14, array_fill(600, array[7]), array_fill(1200, array[7]))
		returning id`, st.seller).Scan(&id))
	return id
}

func (st *stage) buyers(n int, points int64) []int64 {
	st.t.Helper()
	ids, err := st.CreateAccounts(st.ctx, "buyer", n, points)
	st.must(err)
	return ids
}

// later lets stream time pass.
func (st *stage) later(d time.Duration) { st.clock = st.clock.Add(d) }

// ask is a request at this moment of stream time.
func (st *stage) ask(verb sale.Verb, of, buyer int64, more ...func(*sale.Request)) sale.Entry {
	r := sale.Request{Receipt: sale.NewReceiptID(0), Verb: verb, Sale: of, Buyer: buyer}
	if verb.Buys() {
		r.Quantity = 1
	}
	if verb == sale.Bid {
		r.Price = sale.MaxPoints
	}
	for _, change := range more {
		change(&r)
	}
	return sale.Entry{Request: r, ID: sale.EntryID{At: st.clock}}
}

func units(n int64) func(*sale.Request)          { return func(r *sale.Request) { r.Quantity = n } }
func about(target uuid.UUID) func(*sale.Request) { return func(r *sale.Request) { r.Target = target } }
func with(coupon uuid.UUID) func(*sale.Request)  { return func(r *sale.Request) { r.Coupon = coupon } }

// batch is these entries, numbered, with everything there is to see.
func (st *stage) batch(entries ...sale.Entry) *sale.Batch {
	st.t.Helper()
	b := &sale.Batch{Epoch: st.mark.Epoch, Prev: st.mark.Applied, Last: st.mark.Applied, Seq: st.mark.Seq, Entries: entries, State: sale.State{}}
	for i := range entries {
		e := &entries[i]
		if e.ID.At <= b.Last.At {
			e.ID = sale.EntryID{At: b.Last.At, No: b.Last.No + 1}
		}
		b.Seq++
		e.Seq, b.Last = b.Seq, e.ID
		for _, id := range []int64{e.Sale, e.From} {
			if id != 0 && b.State[id] == nil {
				stand, applied, err := st.Stand(st.ctx, id)
				st.must(err)
				if applied != b.Prev {
					st.t.Fatalf("sale %d stands at %s, the batch starts at %s", id, applied, b.Prev)
				}
				b.State[id] = stand
			}
		}
	}
	return b
}

// settle carries entries through Postgres in one batch, and proves the record.
func (st *stage) settle(entries ...sale.Entry) *sale.Batch {
	st.t.Helper()
	b := st.batch(entries...)
	all := st.everything(b.Facts.Generation)
	st.must(st.Settle(st.ctx, b))
	// Whatever else Postgres knows would have changed nothing.
	if d := sale.Decide(b.State, all, b.Entries); !reflect.DeepEqual(d, b.Decision) {
		st.t.Errorf("with all facts decided %+v\nnot %+v", d, b.Decision)
	}
	st.mark.Applied, st.mark.Seq = b.Last, b.Seq
	waited := map[uuid.UUID]bool{}
	for _, m := range b.Effects.Moves {
		waited[m.Receipt.ID] = true
	}
	for _, r := range b.Receipts() {
		if r.Status != sale.Rejected || waited[r.ID] {
			st.receipts[r.ID] = r
		}
	}
	st.notices = append(st.notices, b.Notices()...)
	st.check()
	return b
}

// everything is all that Postgres knows.
func (st *stage) everything(generation int64) sale.Facts {
	st.t.Helper()
	all := sale.Facts{Generation: generation, Balances: map[int64]int64{}, Receipts: map[uuid.UUID]sale.Receipt{}, Coupons: map[uuid.UUID]sale.CouponStand{}}
	for _, r := range collect(st, `select `+receiptColumns+` from receipts`, scanReceipt) {
		all.Receipts[r.ID] = r
	}
	questions := &pgx.Batch{}
	questions.Queue(`select id, balance from wallets`)
	questions.Queue(`select ` + couponColumns + ` from coupons`)
	answers := st.pool.SendBatch(st.ctx, questions)
	st.must(readWallets(answers, all))
	st.must(readCoupons(answers, all))
	st.must(answers.Close())
	return all
}

// outcome is how a receipt stands by now.
func (st *stage) outcome(e sale.Entry) sale.Receipt { return st.receipts[e.Receipt] }

// check proves that the record is what the model says, row by row.
func (st *stage) check() {
	st.t.Helper()
	rows := collect(st, `select `+receiptColumns+` from receipts`, scanReceipt)
	if len(rows) != len(st.receipts) {
		st.t.Errorf("%d receipts are recorded, not %d", len(rows), len(st.receipts))
	}
	for _, r := range rows {
		if want := st.receipts[r.ID]; r != want {
			st.t.Errorf("recorded %+v\nnot      %+v", r, want)
		}
	}
	st.checkCounters()
	st.checkOrders()
	st.checkCoupons()
	st.checkNotices()
	if n := st.count(`select sum(balance)::bigint from wallets`); n != 0 {
		st.t.Errorf("all balances together are %d", n)
	}
}

func (st *stage) checkCounters() {
	st.t.Helper()
	for _, id := range st.sales {
		stand, _, err := st.Stand(st.ctx, id)
		st.must(err)
		var held, sold, waiting, revenue int64
		units := map[int64]int64{}
		var holds, line []sale.Place
		for _, r := range st.receipts {
			if r.Sale != id || !r.Purchase() {
				continue
			}
			switch r.Status {
			case sale.Held:
				held += r.Quantity
				holds = append(holds, r.HoldPlace())
			case sale.Waiting:
				waiting++
				line = append(line, r.LinePlace())
			case sale.Confirmed:
				sold += r.Quantity
				revenue += r.Cost()
			case sale.Refunded:
				sold += r.Quantity
			}
			if r.Status == sale.Held || r.Status == sale.Waiting || r.Status == sale.Confirmed {
				units[r.Buyer] += r.Quantity
			}
		}
		slices.SortFunc(holds, sale.Place.Compare)
		slices.SortFunc(line, sale.Place.Compare)
		recorded := [...]int64{stand.Free, stand.Held, stand.Sold, stand.Waiting, st.count(`select revenue from sales where id = $1`, id)}
		if want := [...]int64{stand.Stock - held - sold, held, sold, waiting, revenue}; recorded != want {
			st.t.Errorf("sale %d: free, held, sold, waiting, revenue are %v, not %v", id, recorded, want)
		}
		if !maps.Equal(stand.Buyers, units) || !slices.Equal(stand.Holds, holds) || !slices.Equal(stand.Line, line) {
			st.t.Errorf("sale %d stands %+v, not with %v, %v, %v", id, stand, units, holds, line)
		}
		if owed := st.count(`select balance from wallets where id = $1`, stand.Escrow); stand.RefundWindow > 0 && !stand.PaidOut && owed != revenue {
			st.t.Errorf("sale %d: escrow has %d, revenue is %d", id, owed, revenue)
		}
	}
}

func (st *stage) checkOrders() {
	st.t.Helper()
	type order struct {
		Receipt               [16]byte
		Buyer, Units, Amount  int64
		Status                string
		PayBy, Remind, Create time.Time
	}
	found := collect(st, `
		select receipt, buyer, quantity, amount, status, pay_by, remind_at, created_at
		from orders`, pgx.RowToStructByPos[order])
	want := 0
	for _, r := range st.receipts {
		if r.PayBy != 0 || r.Purchase() && r.Verb == sale.Pay {
			want++
		}
	}
	if len(found) != want {
		st.t.Errorf("%d orders, not %d", len(found), want)
	}
	words := map[string]sale.Status{"pending": sale.Held, "paid": sale.Confirmed, "expired": sale.Expired, "cancelled": sale.Cancelled}
	for _, o := range found {
		r := st.receipts[o.Receipt]
		due := cmp.Or(r.PayBy, r.At)
		if o.Buyer != r.Buyer || o.Units != r.Quantity || o.Amount != r.Cost() || words[o.Status] != r.Status || sale.At(o.PayBy) != due ||
			o.Remind.After(o.PayBy) || o.Create.After(o.PayBy) {
			st.t.Errorf("order %+v of %+v", o, r)
		}
	}
}

func (st *stage) checkCoupons() {
	st.t.Helper()
	type coupon struct {
		ID, User [16]byte
		Buyer    int64
	}
	found := collect(st, `
		select id, coalesce(used_by, '00000000-0000-0000-0000-000000000000'), buyer
		from coupons`, pgx.RowToStructByPos[coupon])
	used, claims := map[uuid.UUID]uuid.UUID{}, 0
	for _, r := range st.receipts {
		if r.Verb == sale.Claim {
			claims++
		}
	}
	if len(found) != claims {
		st.t.Errorf("%d coupons, not %d", len(found), claims)
	}
	for _, c := range found {
		claim := st.receipts[c.ID]
		if claim.Verb != sale.Claim || claim.Buyer != c.Buyer {
			st.t.Errorf("coupon %+v of %+v", c, claim)
		}
		if c.User != uuid.Nil && st.receipts[c.User].Coupon != c.ID {
			st.t.Errorf("coupon %+v is used by %+v", c, st.receipts[c.User])
		}
		used[c.ID] = c.User
	}
	for _, r := range st.receipts {
		if r.Coupon != uuid.Nil && !r.Status.Final() && used[r.Coupon] != r.ID {
			st.t.Errorf("%+v uses a coupon that is used by %s", r, used[r.Coupon])
		}
	}
}

func (st *stage) checkNotices() {
	st.t.Helper()
	found := collect(st, `
		select word, account, sale, receipt, at, pay_by
		from notices
		order by id`, func(row pgx.CollectableRow) (n sale.Notice, err error) {
		var at time.Time
		var payBy *time.Time
		err = row.Scan(&n.Word, &n.Account, &n.Sale, (*[16]byte)(&n.Receipt), &at, &payBy)
		n.At, n.PayBy = sale.At(at), instant(payBy)
		return n, err
	})
	if !slices.Equal(found, st.notices) {
		st.t.Errorf("told  %v\nnot   %v", found, st.notices)
	}
}

func collect[T any](st *stage, query string, scan pgx.RowToFunc[T]) []T {
	st.t.Helper()
	rows, err := st.pool.Query(st.ctx, query)
	st.must(err)
	all, err := pgx.CollectRows(rows, scan)
	st.must(err)
	return all
}
