package settlement

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"sluice/internal/audit"
	"sluice/internal/partition"
	"sluice/internal/receipts"
	"sluice/internal/sale"
)

// released is the story of a deployment that is frozen in the middle of its work: of
// what it had asked some is settled, some is committed and not applied yet, the rest is
// queued. Everything in it has one name and one time, far from now, so that it comes
// out the same to the byte, whenever it is told.
type released struct {
	*house
	book
	lines []string // that were asked
}

// releaseAt is when the story begins: stream time goes on from the last entry, so the
// past of these servers is in the year 2100, and nothing of it expires.
const releaseAt sale.Instant = 4102444800000

func newReleased(h *house) *released { return &released{house: h, book: newBook()} }

// tell lives the story up to the frost.
func (r *released) tell() {
	r.t.Helper()
	r.cast()
	r.sql(`update partitions set applied_ms = $1 where id = 0`, int64(releaseAt-1))
	o := r.owner(0)
	r.drain(o)
	r.clock(0)
	r.ask(`
		A: claim a off
		B: claim b off
		C: claim c off
		old.a: bid a old
		old.b: bid b old using B
		lamp.a: bid a lamp 2
		lamp.poor: bid poor lamp
		soon: bid a later
		falls.c: bid c falls 1 price 100
		chair.a: reserve a chair
		chair.b: reserve b chair
		chair.c: reserve c chair
		chair.d: reserve d chair
		stool.a: reserve a stool
		stool.b: reserve b stool
		bench.a: reserve a bench
		bench.d: reserve d bench
		bench.b: reserve b bench 2
		bench.c: reserve c bench
		evening.d: join d evening
		evening.e: join e evening
		seven.a: reserve a seven
		eight.b: reserve b eight`)
	r.tear("torn: bid f lamp")
	r.drain(o)

	// A minute later a sale is over, and a hold has ended. What is settled now Redis
	// does not hear of.
	r.clock(time.Minute)
	r.ask(`
		pay.a: pay a chair.a
		cancel.b: cancel b chair.b
		refund.a: refund a old.a
		lamp.b: bid b lamp using A
		lamp.c: bid c lamp using C
		exact: bid e lamp price 90 exact
		late.a: pay a stool.a
		cancel.d: cancel d evening.d
		shift: cancel d bench.d
		move.a: reserve a eight instead of seven.a
		more: change seller lamp 2
		tick: expire stool
		payout: payout old`)
	kept := r.freezeRedis()
	r.drain(o)
	r.thawRedis(kept)

	// The rest waits.
	r.clock(2 * time.Minute)
	r.ask(`
		lamp.e: bid e lamp 3
		falls.d: bid d falls price 90
		chair.e: reserve e chair
		pay.c: pay c chair.c
		pay.e: pay e evening.e
		none: bid d lamp 3
		cancel.c: cancel c bench.c
		move.b: reserve b seven instead of eight.b
		bench.e: reserve e bench
		again: claim a off
		last: claim d off
		close: close old
		open: open later`)
}

// finish has an owner settle what is left, and answers how everything ended.
func (r *released) finish() (told []string) {
	r.t.Helper()
	r.drain(r.owner(0))
	told = r.told()
	for _, who := range releasePeople {
		told = append(told, fmt.Sprintf("%s has %d points", who.name, r.points(r.people[who.name])))
	}
	report, err := audit.New(r.store, r.ledger).Run(r.ctx)
	r.must(err)
	told = append(told, fmt.Sprintf("audit %s, %d unfinished, %d broken", report.Verdict, report.Unfinished, len(report.Broken)))
	for _, b := range report.Broken {
		r.t.Errorf("the audit finds %+v", b)
	}
	return told
}

// told is what everybody is told of his receipts, as the API would.
func (r *released) told() (told []string) {
	r.t.Helper()
	reader := receipts.New(r.store, r.ledger, prometheus.NewRegistry())
	for _, name := range r.asked {
		asked := r.receipts[name]
		s, err := reader.Get(r.ctx, asked.Buyer, asked.Receipt)
		if err != nil {
			told = append(told, fmt.Sprintf("%s: %v", name, err))
			continue
		}
		words := fmt.Sprintf("%s: %s %s, %s of sale %d, number %d at %d, %d for %d less %d", name, s.Status, s.Reason, s.Verb, s.Sale, s.Seq, s.At-releaseAt, s.Quantity, s.UnitPrice, s.Discount)
		if s.PayBy != 0 {
			words += fmt.Sprintf(", pay by %d", s.PayBy-releaseAt)
		}
		if s.Line != 0 || s.Passed != 0 {
			words += fmt.Sprintf(", place %d, passed %d", s.Line, s.Passed)
		}
		if s.Status == sale.Queued {
			words += fmt.Sprintf(", %d ahead", s.Ahead)
		}
		if s.Target == asked.Target && s.Coupon == asked.Coupon && s.Fingerprint == asked.Sum() {
			words += ", as asked"
		}
		told = append(told, words)
	}
	return told
}

var releasePeople = []struct {
	name   string
	points int64
}{{"a", 1000}, {"b", 1000}, {"c", 1000}, {"d", 1000}, {"e", 1000}, {"f", 1000}, {"poor", 50}}

// cast makes who plays, and what there is, in one order.
func (r *released) cast() {
	r.t.Helper()
	r.know()
	for _, who := range releasePeople {
		if got := r.buyers(1, who.points)[0]; got != r.people[who.name] {
			r.t.Fatalf("%s is account %d", who.name, got)
		}
	}
	r.sql(`
		insert into stores (partition, seller, title, time_zone, tables, unit_price, refund_ms, hold_ms, days_ahead, opens, closes)
		values (0, $1, 'Lamp and table', 'UTC', 2, 10, 3600000, 600000, 14, '{0,0,0,0,0,0,0}', '{1410,1410,1410,1410,1410,1410,1410}')`, r.seller)
	for _, s := range r.offers() {
		made, err := r.ledger.CreateSale(r.ctx, s, 1)
		r.must(err)
		if made.ID != r.sales[s.Title].ID {
			r.t.Fatalf("%s is sale %d", s.Title, made.ID)
		}
	}
}

// know gives everybody and everything the number that it has in a new database. What is
// to be added comes last.
func (r *released) know() {
	r.people["seller"] = r.seller
	for i, who := range releasePeople {
		r.people[who.name] = r.seller + 1 + int64(i)
	}
	for i, s := range r.offers() {
		s.ID = 1 + int64(i)
		r.sales[s.Title] = s
	}
}

func (r *released) offers() (all []sale.Sale) {
	const at, hour = releaseAt, sale.Instant(time.Hour / time.Millisecond)
	offer := func(title string, s sale.Sale) {
		s.Title, s.Description, s.Seller, s.ShowStock, s.OpensAt = title, "of brass, “old”", r.seller, true, at+s.OpensAt
		if s.ClosesAt == 0 {
			s.ClosesAt = s.OpensAt + hour
		}
		all = append(all, s)
	}
	constant := sale.Price{Policy: sale.Constant, Start: 100, Drop: 1, Period: time.Hour}
	fixed := func(price int64) sale.Price { return sale.Price{Policy: sale.Fixed, Start: price} }
	offer("lamp", sale.Sale{Kind: sale.Auction, Stock: 5, Limit: 3, Price: constant, RefundWindow: time.Hour})
	offer("old", sale.Sale{Kind: sale.Auction, Stock: 5, Limit: 3, ClosesAt: at + 60_000, Price: sale.Price{Policy: sale.Constant, Start: 100, Drop: 1, Period: time.Minute}, RefundWindow: time.Hour})
	offer("later", sale.Sale{Kind: sale.Auction, Stock: 5, Limit: 1, OpensAt: 2 * hour, Price: constant, RefundWindow: time.Hour})
	offer("falls", sale.Sale{Kind: sale.Auction, Stock: 5, Limit: 3, Price: sale.Price{Policy: sale.Percentage, Start: 100, Rate: 1000, Period: time.Minute}})
	chair := sale.Sale{Kind: sale.Reservation, Stock: 2, Limit: 1, Price: fixed(100), Hold: 10 * time.Minute, LineMost: 10, RefundWindow: time.Hour}
	stool, bench, evening := chair, chair, chair
	offer("chair", chair)
	stool.Stock, stool.Hold = 1, 5*time.Second
	offer("stool", stool)
	bench.Limit, bench.MaxBypass = 2, 3
	offer("bench", bench)
	evening.Kind, evening.Stock, evening.Price = sale.Event, 1, fixed(50)
	offer("evening", evening)
	offer("off", sale.Sale{Kind: sale.Coupon, Stock: 4, Limit: 1, Price: fixed(0), AmountOff: 30, ValidFrom: at, ValidUntil: at + hour})
	table := sale.Sale{Kind: sale.Event, Store: 1, Stock: 2, Limit: 1, Price: fixed(10), Hold: 10 * time.Minute, LineMost: 100, RefundWindow: time.Hour}
	for i, name := range []string{"seven", "eight"} {
		table.StartsAt = at + sale.Instant(24+i)*hour
		table.ClosesAt = table.StartsAt
		offer(name, table)
	}
	return all
}

// clock is so long after the story began.
func (r *released) clock(since time.Duration) {
	r.must(r.plain.HSet(r.ctx, "{s0}", "clock", int64(releaseAt.Add(since))).Err())
}

// request is a line, in the words of book.read and "instead of", under the receipt
// that it has every time.
func (r *released) request(line string) (name string, q sale.Request) {
	r.t.Helper()
	r.lines = append(r.lines, line)
	line, old, moves := strings.Cut(line, " instead of ")
	name, q, err := r.read(line)
	r.must(err)
	if moves {
		q.Target, q.From = r.receipts[old].Receipt, r.receipts[old].Sale
	}
	q.Receipt = sale.KeyedReceiptID(0, q.Buyer, q.Sale, q.Verb, name)
	if q.Verb.Tick() {
		q.Receipt = sale.TickReceiptID(0, q.Sale, q.Verb, releaseAt)
	} else {
		q.Trace = "trace-" + name
	}
	r.receipts[name] = q
	return name, q
}

func (r *released) ask(text string) {
	r.t.Helper()
	for _, line := range lines(text) {
		name, q := r.request(line)
		_, err := r.store.Admit(r.ctx, 0, q, partition.Anytime, partition.Limits{Backlog: 1 << 30})
		if refused := (*sale.Refusal)(nil); errors.As(err, &refused) {
			r.t.Fatalf("%s is refused: %s", name, refused.Code)
		}
		r.must(err)
	}
}

// tear has a request admitted whose entry is of a version that nobody can read.
func (r *released) tear(line string) {
	r.t.Helper()
	r.ask(line)
	was, err := r.plain.XRevRangeN(r.ctx, "{s0}:log", "+", "-", 1).Result()
	r.must(err)
	r.must(r.plain.XDel(r.ctx, "{s0}:log", was[0].ID).Err())
	name := r.asked[len(r.asked)-1]
	id := r.receipts[name].Receipt
	r.must(r.plain.XAdd(r.ctx, &redis.XAddArgs{Stream: "{s0}:log", Values: []any{
		"q", was[0].Values["q"], "g", was[0].Values["g"], "e", "\x63" + string(id[:]) + "of a version to come",
	}}).Err())
}
