package torture

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/client"
)

// base is when the sales of these tests open, in ms of stream time. All other times
// are ms since then.
const base = 1_800_000_000_000

// scene is a history of one sale that is written by hand.
type scene struct {
	History
	price int64 // of what is seen next
}

// opened is a scene with a sale that sells for a minute.
func opened(s client.Sale) *scene {
	s.ID, s.Seller, s.Stock = 1, 1, &client.Stock{Total: s.Stock.Total}
	s.OpensAt, s.ClosesAt = time.UnixMilli(base), time.UnixMilli(base+60_000)
	s.RefundWindow = time.Hour
	return &scene{History: History{Sales: []client.Sale{s}}, price: s.UnitPrice + s.StartPrice}
}

// asked has somebody ask something: heard at ms, and sent and answered 1 ms about it.
func (s *scene) asked(ms int64, key string, account int64, verb client.Verb, what Asked) *Request {
	r := &Request{
		Key: key, Account: account, Kind: s.Sales[0].Kind, Verb: verb, Sale: 1, Asked: what, Answers: []string{key},
		SentUS: (ms - 1) * 1000, AnsweredUS: (ms + 1) * 1000, StreamMS: base + ms,
	}
	s.Requests = append(s.Requests, r)
	return r
}

// of finds the request of a key.
func (s *scene) of(key string) *Request {
	return s.Requests[slices.IndexFunc(s.Requests, func(r *Request) bool { return r.Key == key })]
}

// drop leaves a request out.
func (s *scene) drop(key string) {
	s.Requests = slices.DeleteFunc(s.Requests, func(r *Request) bool { return r.Key == key })
}

// saw has somebody see his receipt, at ms. What is held is to be paid by that time.
func (s *scene) saw(ms int64, key string, is client.Status, by ...int64) {
	r := s.of(key)
	now := Sighting{AtUS: ms * 1000, Receipt: key, Status: is}
	switch r.Verb {
	case client.VerbBid, client.VerbClaim, client.VerbReserve, client.VerbJoin:
		now.Quantity, now.UnitPrice, now.Amount = r.Asked.Quantity, s.price, r.Asked.Quantity*s.price
	case client.VerbPay, client.VerbRefund:
		now.UnitPrice = s.price
	}
	if len(by) > 0 {
		now.PayByMS = base + by[0]
	}
	r.Seen = append(r.Seen, now)
}

// turned has somebody see, 2 ms after it was heard, that his request was rejected.
func (s *scene) turned(key string, why client.Reason) {
	r := s.of(key)
	r.Seen = append(r.Seen, Sighting{AtUS: (r.StreamMS - base + 2) * 1000, Receipt: key, Status: client.Rejected, Reason: why})
}

// again replaces all that was seen of a key.
func (s *scene) again(key string) *scene {
	s.of(key).Seen = nil
	return s
}

var one = Asked{Quantity: 1}

func about(key string) Asked { return Asked{Target: key} }

// chair is a reservation of one unit: a pays and cancels, so that b is next, who lets
// his hold end, so that c is next, who pays; e waits in vain.
func chair() *scene {
	s := opened(client.Sale{Kind: client.Reservation, Stock: &client.Stock{Total: 1}, Limit: 1, UnitPrice: 100, Hold: 10 * time.Second, Line: 2})
	s.asked(10, "a", 11, client.VerbReserve, one)
	s.saw(12, "a", client.Held, 10_010)
	s.asked(20, "b", 12, client.VerbReserve, one)
	s.saw(22, "b", client.Waiting)
	s.asked(30, "c", 13, client.VerbReserve, one)
	s.saw(32, "c", client.Waiting)
	s.asked(40, "d", 14, client.VerbReserve, one)
	s.turned("d", client.ReasonLineFull)
	s.asked(45, "a2", 11, client.VerbReserve, one)
	s.turned("a2", client.ReasonDuplicate)
	s.asked(50, "a-pay", 11, client.VerbPay, about("a"))
	s.saw(52, "a-pay", client.Confirmed)
	s.saw(53, "a", client.Confirmed)
	s.asked(60, "a-off", 11, client.VerbCancel, about("a"))
	s.saw(62, "a-off", client.Confirmed)
	s.of("a-off").Seen[0].UnitPrice = 100 // which came back
	s.saw(63, "a", client.Cancelled)
	s.saw(65, "b", client.Held, 10_060)
	s.asked(70, "e", 15, client.VerbReserve, one)
	s.saw(72, "e", client.Waiting)
	s.asked(15_000, "c-pay", 13, client.VerbPay, about("c"))
	s.saw(15_002, "c-pay", client.Confirmed)
	s.saw(15_003, "c", client.Confirmed)
	s.saw(15_500, "b", client.Expired)
	s.asked(16_000, "b-pay", 12, client.VerbPay, about("b"))
	s.turned("b-pay", client.ReasonExpired)
	s.saw(60_500, "e", client.Rejected)
	e := s.of("e")
	e.Seen[len(e.Seen)-1] = Sighting{AtUS: 60_500_000, Receipt: "e", Status: client.Rejected, Reason: client.ReasonClosed}
	return s
}

// lamp is an auction of two units and a third: its price falls by 10 a second.
func lamp() *scene {
	s := opened(client.Sale{Kind: client.Auction, Stock: &client.Stock{Total: 2}, Limit: 2, StartPrice: 1000, Policy: client.Constant, Drop: 10, Period: time.Second})
	bid := func(ms int64, key string, account, price int64, exact bool) {
		s.asked(ms, key, account, client.VerbBid, Asked{Quantity: 1, Price: price, Exact: exact})
	}
	bid(-100, "early", 11, 1000, false)
	s.turned("early", client.ReasonNotOpen)
	bid(100, "a", 11, 1000, false)
	s.saw(102, "a", client.Confirmed)
	bid(1500, "b", 12, 1000, false)
	s.price = 990
	s.saw(1502, "b", client.Confirmed)
	bid(1600, "c", 13, 1000, false)
	s.turned("c", client.ReasonSoldOut)
	s.asked(2000, "grow", 1, client.VerbChange, one)
	s.saw(2002, "grow", client.Confirmed)
	bid(3000, "wrong", 14, 980, true)
	s.turned("wrong", client.ReasonPriceChanged)
	bid(3100, "poor", 15, 1000, false)
	s.turned("poor", client.ReasonShortPoints)
	bid(3200, "right", 14, 970, true)
	s.price = 970
	s.saw(3202, "right", client.Confirmed)
	s.price = 1000
	s.asked(61_000, "back", 11, client.VerbRefund, about("a"))
	s.saw(61_002, "back", client.Confirmed)
	s.saw(61_003, "a", client.Refunded)
	s.asked(62_000, "back2", 11, client.VerbRefund, about("a"))
	s.turned("back2", client.ReasonAlreadyFinal)
	return s
}

// off is a sale of two coupons.
func off() *scene {
	s := opened(client.Sale{Kind: client.Coupon, Stock: &client.Stock{Total: 2}, Limit: 1, AmountOff: 5,
		ValidFrom: time.UnixMilli(base + 1000), ValidUntil: time.UnixMilli(base + 90_000)})
	s.asked(500, "early", 11, client.VerbClaim, one)
	s.turned("early", client.ReasonCouponUnusable)
	for i, key := range []string{"a", "b"} {
		s.asked(2000+100*int64(i), key, 11+int64(i), client.VerbClaim, one)
		s.saw(2002+100*int64(i), key, client.Confirmed)
	}
	s.asked(3000, "a2", 11, client.VerbClaim, one)
	s.turned("a2", client.ReasonDuplicate)
	s.asked(4000, "c", 13, client.VerbClaim, one)
	s.turned("c", client.ReasonSoldOut)
	return s
}

// evening is a free event of three seats. b, who wants two, may be passed once: c does.
func evening() *scene {
	s := opened(client.Sale{Kind: client.Event, Stock: &client.Stock{Total: 3}, Limit: 2, Hold: time.Second, Line: 3, MaxBypass: 1})
	two := Asked{Quantity: 2}
	s.asked(10, "a", 11, client.VerbJoin, two)
	s.saw(12, "a", client.Confirmed)
	s.asked(20, "b", 12, client.VerbJoin, two)
	s.saw(22, "b", client.Waiting)
	s.asked(30, "c", 13, client.VerbJoin, one)
	s.saw(32, "c", client.Confirmed)
	s.asked(40, "d", 14, client.VerbJoin, one)
	s.saw(42, "d", client.Waiting)
	s.asked(50, "c-off", 13, client.VerbCancel, about("c"))
	s.saw(52, "c-off", client.Confirmed)
	s.saw(53, "c", client.Cancelled)
	s.asked(55, "f", 15, client.VerbJoin, one)
	s.saw(57, "f", client.Waiting)
	s.asked(60, "a-off", 11, client.VerbCancel, about("a"))
	s.saw(62, "a-off", client.Confirmed)
	s.saw(63, "a", client.Cancelled)
	s.saw(64, "b", client.Confirmed)
	s.saw(65, "d", client.Confirmed)
	s.saw(66, "f", client.Waiting)
	s.of("f").Seen = append(s.of("f").Seen, Sighting{AtUS: 60_500_000, Receipt: "f", Status: client.Rejected, Reason: client.ReasonClosed})
	return s
}

// tables are two slots of a store with one table: b waits for the table of a, who
// changes to the other one, which c wants, too.
func tables() *scene {
	s := opened(client.Sale{Kind: client.Event, Store: 7, Stock: &client.Stock{Total: 1}, Limit: 1, UnitPrice: 100, Hold: time.Second, Line: 100})
	other := s.Sales[0]
	other.ID, other.UnitPrice = 2, 150
	s.Sales = append(s.Sales, other)
	s.asked(10, "a", 11, client.VerbReserve, one)
	s.saw(12, "a", client.Confirmed)
	s.asked(20, "b", 12, client.VerbReserve, one)
	s.saw(22, "b", client.Waiting)
	s.price = 150
	s.asked(30, "a2", 11, client.VerbReserve, Asked{Quantity: 1, Target: "a"}).Sale = 2
	s.saw(32, "a2", client.Confirmed)
	s.asked(40, "c", 13, client.VerbReserve, one).Sale = 2
	s.saw(42, "c", client.Waiting)
	s.price = 100
	s.saw(33, "a", client.Cancelled)
	s.saw(34, "b", client.Held, 1030)
	s.saw(1100, "b", client.Expired)
	s.asked(1200, "a3", 11, client.VerbReserve, Asked{Quantity: 1, Target: "a"}).Sale = 2 // which he has not any more
	s.turned("a3", client.ReasonAlreadyFinal)
	s.of("c").Seen = append(s.of("c").Seen, Sighting{AtUS: 60_500_000, Receipt: "c", Status: client.Rejected, Reason: client.ReasonClosed})
	return s
}

// refuse refuses somebody at the door, who was there from one ms to another.
func (s *scene) refuse(from, to int64, key string, code client.Code) {
	s.Requests = append(s.Requests, &Request{
		Key: key, Account: 16, Kind: s.Sales[0].Kind, Verb: client.VerbBid, Sale: 1, Refused: string(code), SentUS: from * 1000, AnsweredUS: to * 1000,
	})
}

// TestLinearizableAccepts: what the rules allow is allowed.
func TestLinearizableAccepts(t *testing.T) {
	swap := func(s *scene, a, b string) { // in the stream, while both are on their way
		x, y := s.of(a), s.of(b)
		x.StreamMS, y.StreamMS = y.StreamMS, x.StreamMS
		x.SentUS, y.SentUS = min(x.SentUS, y.SentUS), min(x.SentUS, y.SentUS)
		x.AnsweredUS, y.AnsweredUS = max(x.AnsweredUS, y.AnsweredUS), max(x.AnsweredUS, y.AnsweredUS)
	}
	for name, test := range map[string]struct {
		scene *scene
		plant func(s *scene)
	}{
		"a line":     {chair(), nil},
		"an auction": {lamp(), nil},
		"coupons":    {off(), nil},
		"an event":   {evening(), nil},
		"tables":     {tables(), nil},
		"overlapping, the other way round": {off(), func(s *scene) {
			swap(s, "b", "c") // c was turned away later than b was heard, and b sent later
			s.again("b").saw(4002, "b", client.Confirmed)
			s.of("b").SentUS, s.of("c").SentUS = 1_000_000, 1_000_000
			s.of("b").Seen, s.of("c").Seen = nil, nil
			s.turned("b", client.ReasonSoldOut)
			s.saw(4003, "c", client.Confirmed)
		}},
		"in the same millisecond": {off(), func(s *scene) { // b comes before c, though c was sent first
			for _, key := range []string{"b", "c"} {
				s.of(key).SentUS, s.of(key).AnsweredUS, s.of(key).StreamMS = 2_099_000, 4_003_000, base+2100
			}
			s.of("c").SentUS -= 1000
		}},
		"seen late": {chair(), func(s *scene) { // the whole way of b but the end
			s.again("b").saw(59_000, "b", client.Expired)
		}},
		"an old state shown late": {chair(), func(s *scene) {
			s.of("b").Seen[1].AtUS = 15_400_000
		}},
		"lost": {off(), func(s *scene) {
			s.of("a").Seen[0] = Sighting{AtUS: 1, Receipt: "a", Status: client.Rejected, Reason: client.ReasonLost}
			s.drop("a2")
			s.asked(3500, "d", 14, client.VerbClaim, one)
			s.saw(3502, "d", client.Confirmed)
		}},
		"lost, and asked again": {off(), func(s *scene) {
			a := s.of("a")
			a.StreamMS, a.AnsweredUS = base+3500, 3_501_000
			a.Seen = []Sighting{{AtUS: 2_002_000, Receipt: "a", Status: client.Rejected, Reason: client.ReasonSoldOut}, {AtUS: 3_501_000, Receipt: "a", Status: client.Queued}}
			s.saw(3502, "a", client.Confirmed)
			s.drop("a2")
		}},
		"vanished, and was done": {off(), func(s *scene) {
			s.again("a").of("a").Vanished = "404"
		}},
		"vanished, and was not done": {off(), func(s *scene) {
			s.again("a").of("a").Vanished = "404"
			s.drop("a2")
			s.asked(3500, "d", 14, client.VerbClaim, one)
			s.saw(3502, "d", client.Confirmed)
		}},
		"unanswered, and was done": {off(), func(s *scene) {
			*s.of("a") = Request{Key: "a", Account: 11, Verb: client.VerbClaim, Sale: 1, Asked: one, SentUS: 1_000_000, Unanswered: "reset"}
		}},
		"unanswered, and was not done": {off(), func(s *scene) {
			*s.of("a") = Request{Key: "a", Account: 11, Verb: client.VerbClaim, Sale: 1, Asked: one, SentUS: 1_000_000, Unanswered: "reset"}
			s.drop("a2")
			s.asked(3500, "d", 14, client.VerbClaim, one)
			s.saw(3502, "d", client.Confirmed)
		}},
		"closing later": {evening(), func(s *scene) {
			s.asked(59_000, "extend", 1, client.VerbChange, Asked{ClosesAtMS: base + 70_000})
			s.saw(59_002, "extend", client.Confirmed)
			s.asked(65_000, "b-off", 12, client.VerbCancel, about("b"))
			s.saw(65_002, "b-off", client.Confirmed)
			s.saw(65_003, "b", client.Cancelled)
			s.of("f").Seen = s.of("f").Seen[:2]
			s.saw(65_004, "f", client.Confirmed)
		}},
		"a late payment that finds a free unit": {chair(), func(s *scene) {
			s.drop("c-pay")
			s.again("c").saw(20_500, "c", client.Expired)
			s.drop("e")
			s.drop("b-pay")
			s.asked(30_000, "b-pay", 12, client.VerbPay, about("b"))
			s.saw(30_002, "b-pay", client.Confirmed)
			s.of("b-pay").Seen[0].Quantity, s.of("b-pay").Seen[0].Amount = 1, 100
			s.asked(31_000, "b-pay2", 12, client.VerbPay, about("b"))
			s.turned("b-pay2", client.ReasonAlreadyFinal)
			s.asked(32_000, "b-pay-off", 12, client.VerbCancel, about("b-pay"))
			s.saw(32_002, "b-pay-off", client.Confirmed)
			s.of("b-pay-off").Seen[0].UnitPrice = 100
			s.of("b-pay").Seen = append(s.of("b-pay").Seen, Sighting{AtUS: 32_003_000, Receipt: "b-pay", Status: client.Cancelled, Quantity: 1, UnitPrice: 100, Amount: 100})
		}},
		"refused at the door, since all is sold": {lamp(), func(s *scene) {
			s.refuse(1502, 1503, "r1", client.CodeSoldOut)
			s.refuse(1200, 1600, "r2", client.CodeSoldOut) // the last was sold while he was there
			s.refuse(2001, 3000, "r3", client.CodeSoldOut) // the growth was not seen yet
			s.refuse(3203, 3204, "r4", client.CodeSoldOut) // all is sold again
			s.refuse(60_100, 60_200, "r5", client.CodeClosed)
		}},
		"refused at the door, since the extension was not seen": {evening(), func(s *scene) {
			s.asked(59_999, "extend", 1, client.VerbChange, Asked{ClosesAtMS: base + 70_000})
			s.saw(60_100, "extend", client.Confirmed)
			s.refuse(60_050, 60_090, "r", client.CodeClosed)
			s.asked(65_000, "b-off", 12, client.VerbCancel, about("b"))
			s.saw(65_002, "b-off", client.Confirmed)
			s.saw(65_003, "b", client.Cancelled)
			s.of("f").Seen = s.of("f").Seen[:2]
			s.saw(65_004, "f", client.Confirmed)
		}},
		"nothing of it": {off(), func(s *scene) { s.Requests = nil }},
	} {
		if test.plant != nil {
			test.plant(test.scene)
		}
		l, found := linearize(test.scene.History)
		sales := map[int64]bool{}
		for _, r := range test.scene.Requests {
			sales[r.Sale] = true
		}
		if len(found) != 0 || l.Undecided+l.LeftOut != 0 || l.Sales != len(sales) {
			t.Errorf("%s: %v %+v", name, l, found)
		}
	}
}

// TestLinearizableCatches plants each wrong in a sound scene: the known-bad twins.
func TestLinearizableCatches(t *testing.T) {
	for name, twin := range map[string]struct {
		key   string // of the request at which it is noticed
		scene *scene
		plant func(s *scene)
	}{
		"sold out while units are free": {"c", off(), func(s *scene) {
			s.of("c").StreamMS, s.of("c").SentUS, s.of("c").AnsweredUS = base+2050, 2_049_000, 2_051_000
		}},
		"line full while there is a place": {"d", chair(), func(s *scene) { s.of("d").StreamMS, s.of("d").SentUS, s.of("d").AnsweredUS = base+25, 24_000, 26_000 }},
		"oversold by one":                  {"c", off(), func(s *scene) { s.again("c").saw(4002, "c", client.Confirmed) }},
		"oversold by a hold":               {"d", chair(), func(s *scene) { s.again("d").saw(42, "d", client.Held, 10_040); s.saw(10_100, "d", client.Expired) }},
		"promoted out of order": {"b", chair(), func(s *scene) {
			s.again("c").saw(65, "c", client.Held, 10_060)
			s.saw(15_000, "c", client.Expired)
			s.again("b").saw(22, "b", client.Waiting)
			s.saw(15_000, "b", client.Held, 20_060)
			s.saw(20_100, "b", client.Expired)
			s.drop("c-pay")
			s.drop("b-pay")
			s.again("e").saw(20_100, "e", client.Held, 30_060)
			s.saw(31_000, "e", client.Expired)
		}},
		"promoted with the old pay_by": {"b", chair(), func(s *scene) { s.of("b").Seen[1].PayByMS = base + 10_020 }},
		"two promoted for one cancel": {"c", chair(), func(s *scene) {
			s.again("c").saw(66, "c", client.Held, 10_060)
			s.saw(15_500, "c", client.Expired)
			s.drop("c-pay")
		}},
		"nobody promoted": {"b", chair(), func(s *scene) { // the unit is lost on the cancel
			for _, key := range []string{"b", "c"} {
				s.drop(key + "-pay")
				s.again(key).saw(72, key, client.Waiting)
				r := s.of(key)
				r.Seen = append(r.Seen, Sighting{AtUS: 60_500_000, Receipt: key, Status: client.Rejected, Reason: client.ReasonClosed})
			}
		}},
		"promoted before the cancel was sent":  {"b", chair(), func(s *scene) { s.of("b").Seen[1].AtUS = 55_000 }},
		"cancelled before the cancel was sent": {"a", chair(), func(s *scene) { a := s.of("a"); a.Seen[len(a.Seen)-1].AtUS = 58_000 }},
		"sold out before the last was sold": {"c", off(), func(s *scene) {
			s.of("c").SentUS, s.of("c").AnsweredUS, s.of("c").StreamMS = 1_500_000, 4_000_000, base+2200 // on its way the whole time
			s.of("c").Seen[0].AtUS = 2_050_000                                                           // b was sent at 2099 ms
		}},
		"passed too often": {"d", evening(), func(s *scene) {
			s.again("d").saw(42, "d", client.Waiting)
			s.saw(54, "d", client.Confirmed) // by the seat of c, past b again
		}},
		"passed by who may not":        {"c", evening(), func(s *scene) { s.Sales[0].MaxBypass = 0 }},
		"over the limit":               {"a2", off(), func(s *scene) { s.drop("c"); s.drop("b"); s.again("a2").saw(3002, "a2", client.Confirmed) }},
		"over the limit, by two":       {"f", evening(), func(s *scene) { s.of("f").Account = 12 }},
		"refused at the limit":         {"f", evening(), func(s *scene) { s.again("f").turned("f", client.ReasonOverLimit) }},
		"confirmed before the opening": {"early", lamp(), func(s *scene) { s.again("early").saw(-98, "early", client.Confirmed) }},
		"refused after the opening":    {"early", lamp(), func(s *scene) { e := s.of("early"); e.StreamMS, e.SentUS, e.AnsweredUS = base, -1000, 1000 }},
		"confirmed after the close": {"f", evening(), func(s *scene) {
			s.of("f").Seen = nil
			s.saw(60_500, "f", client.Confirmed)
			s.asked(60_100, "b-off", 12, client.VerbCancel, about("b"))
			s.saw(60_102, "b-off", client.Confirmed)
			s.saw(60_102, "b", client.Cancelled)
		}},
		"closed before the close":  {"c", evening(), func(s *scene) { s.again("c").turned("c", client.ReasonClosed); s.drop("c-off") }},
		"an old price":             {"b", lamp(), func(s *scene) { s.of("b").Seen[0].UnitPrice, s.of("b").Seen[0].Amount = 1000, 1000 }},
		"a wrong amount":           {"b", lamp(), func(s *scene) { s.of("b").Seen[0].Amount-- }},
		"more than the bid":        {"b", lamp(), func(s *scene) { s.of("b").Asked.Price = 989 }},
		"the exact price refused":  {"right", lamp(), func(s *scene) { s.again("right").turned("right", client.ReasonPriceChanged) }},
		"no points for nothing":    {"c", evening(), func(s *scene) { s.again("c").turned("c", client.ReasonShortPoints); s.drop("c-off") }},
		"growth without effect":    {"right", lamp(), func(s *scene) { s.again("right").turned("right", client.ReasonSoldOut) }},
		"growth that was rejected": {"grow", lamp(), func(s *scene) { s.again("grow").turned("grow", client.ReasonClosed) }},
		"refunded twice":           {"back2", lamp(), func(s *scene) { s.again("back2").saw(62_002, "back2", client.Confirmed) }},
		"refunded before the close": {"back", lamp(), func(s *scene) {
			s.of("back").StreamMS, s.of("back").SentUS = base+59_000, 58_000_000
		}},
		"refunded after the window": {"back", lamp(), func(s *scene) { s.Sales[0].RefundWindow = time.Second }},
		"refund refused": {"back", lamp(), func(s *scene) {
			s.again("back").turned("back", client.ReasonNotRefundable)
			s.drop("back2")
			a := s.of("a")
			a.Seen = a.Seen[:1]
		}},
		"refunded, and still confirmed in the end": {"a", lamp(), func(s *scene) { a := s.of("a"); a.Seen = a.Seen[:1] }},
		"refunded by another":                      {"back", lamp(), func(s *scene) { s.of("back").Account = 12 }},
		"a hold that does not end": {"b", chair(), func(s *scene) {
			s.again("b-pay").saw(16_002, "b-pay", client.Confirmed)
			b := s.of("b")
			b.Seen = b.Seen[:2]
			s.saw(16_003, "b", client.Confirmed)
		}},
		"a late payment kept for nothing": {"b-pay", chair(), func(s *scene) {
			s.again("b-pay").saw(16_002, "b-pay", client.Confirmed)
		}},
		"a late payment that oversells": {"b-pay", chair(), func(s *scene) {
			s.again("b-pay").saw(16_002, "b-pay", client.Confirmed)
			s.of("b-pay").Seen[0].Quantity, s.of("b-pay").Seen[0].Amount = 1, 100
		}},
		"a payment in time refused":   {"c-pay", chair(), func(s *scene) { s.again("c-pay").turned("c-pay", client.ReasonExpired) }},
		"paid, and expired":           {"c", chair(), func(s *scene) { c := s.of("c"); c.Seen = c.Seen[:1]; s.saw(21_000, "c", client.Expired) }},
		"cancelled by another":        {"a-off", chair(), func(s *scene) { s.of("a-off").Account = 12 }},
		"a coupon before it is valid": {"early", off(), func(s *scene) { s.again("early").saw(502, "early", client.Confirmed); s.drop("c"); s.drop("a2") }},
		"decided before an earlier one": {"c", off(), func(s *scene) { // c was told before b was sent
			s.of("b").Seen, s.of("c").Seen = nil, nil
			b, c := s.of("b"), s.of("c")
			b.SentUS, b.AnsweredUS, b.StreamMS = 2_099_000, 2_101_000, base+2100
			c.SentUS, c.AnsweredUS, c.StreamMS = 2_049_000, 2_051_000, base+2101 // after b, by the stream
			s.saw(2102, "b", client.Confirmed)
			s.turned("c", client.ReasonSoldOut)
		}},
		"vanished, too late to explain it": {"c", off(), func(s *scene) {
			a := s.of("a")
			a.Seen, a.Vanished, a.StreamMS, a.AnsweredUS = nil, "404", base+5000, 5_000_000
			s.drop("a2")
		}},
		"unextended": {"b-off", evening(), func(s *scene) {
			s.asked(65_000, "b-off", 12, client.VerbCancel, about("b"))
			s.saw(65_002, "b-off", client.Confirmed)
			s.saw(65_003, "b", client.Cancelled)
		}},
		"sold out at the door while units are free": {"r", lamp(), func(s *scene) { s.refuse(1300, 1400, "r", client.CodeSoldOut) }},
		"sold out at the door after the growth":     {"r", lamp(), func(s *scene) { s.refuse(2500, 2600, "r", client.CodeSoldOut) }},
		"sold out at the door before the last was sold": {"r", off(), func(s *scene) {
			s.refuse(2003, 2004, "r", client.CodeSoldOut)
		}},
		"sold out at the door, though units return": {"r", chair(), func(s *scene) { s.refuse(35, 36, "r", client.CodeSoldOut) }},
		"closed at the door before the close":       {"r", evening(), func(s *scene) { s.refuse(54, 54, "r", client.CodeClosed) }},
		"closed at the door after the extension": {"r", evening(), func(s *scene) {
			s.asked(59_000, "extend", 1, client.VerbChange, Asked{ClosesAtMS: base + 70_000})
			s.saw(59_002, "extend", client.Confirmed)
			s.refuse(60_050, 60_090, "r", client.CodeClosed)
			s.asked(65_000, "b-off", 12, client.VerbCancel, about("b"))
			s.saw(65_002, "b-off", client.Confirmed)
			s.saw(65_003, "b", client.Cancelled)
			s.of("f").Seen = s.of("f").Seen[:2]
			s.saw(65_004, "f", client.Confirmed)
		}},
		"another table, and the old one kept": {"a", tables(), func(s *scene) { a := s.of("a"); a.Seen = a.Seen[:1] }},
		"another table, and the old one not free": {"b", tables(), func(s *scene) {
			s.again("b").saw(22, "b", client.Waiting)
			s.of("b").Seen = append(s.of("b").Seen, Sighting{AtUS: 60_500_000, Receipt: "b", Status: client.Rejected, Reason: client.ReasonClosed})
		}},
		"another table for the old price": {"a2", tables(), func(s *scene) { s.of("a2").Seen[0].UnitPrice, s.of("a2").Seen[0].Amount = 100, 100 }},
		"another's table changed":         {"a2", tables(), func(s *scene) { s.of("a2").Account = 14 }},
		"a table that is taken": {"b3", tables(), func(s *scene) {
			s.asked(1300, "b2", 12, client.VerbReserve, one)
			s.saw(1302, "b2", client.Confirmed)
			s.price = 150
			s.asked(1400, "b3", 12, client.VerbReserve, Asked{Quantity: 1, Target: "b2"}).Sale = 2
			s.saw(1402, "b3", client.Confirmed)
		}},
		"a coupon for more than it is worth": {"a", chair(), func(s *scene) {
			s.Sales = append(s.Sales, client.Sale{ID: 2, Kind: client.Coupon, Seller: 1, Stock: &client.Stock{Total: 1}, Limit: 1, AmountOff: 30,
				OpensAt: time.UnixMilli(base), ClosesAt: time.UnixMilli(base + 60_000), ValidUntil: time.UnixMilli(base + 90_000)})
			s.asked(1, "claim", 11, client.VerbClaim, one)
			s.price = 0
			s.saw(3, "claim", client.Confirmed)
			s.of("claim").Sale = 2
			a := s.of("a")
			a.Asked.Coupon = "claim"
			for i := range a.Seen {
				a.Seen[i].Amount = 60
			}
		}},
	} {
		twin.plant(twin.scene)
		l, found := linearize(twin.scene.History)
		if len(found) != 1 || found[0].Rule != Linearizable || found[0].Sale == 0 || found[0].Key != twin.key || l.Undecided+l.LeftOut != 0 {
			t.Errorf("%s: %v %+v", name, l, found)
			continue
		}
		t.Logf("%s: %s: %s", name, found[0].Key, found[0].Detail)
	}
}

// TestLinearizableLeavesOut: what the model does not know is neither right nor wrong,
// and counted.
func TestLinearizableLeavesOut(t *testing.T) {
	for name, test := range map[string]struct {
		scene *scene
		plant func(s *scene)
		want  Linear
	}{
		"a sale of which nothing is known":             {off(), func(s *scene) { s.Sales = nil }, Linear{LeftOut: 1, Ignored: 5}},
		"a change to a slot of which nothing is known": {tables(), func(s *scene) { s.Sales = s.Sales[:1] }, Linear{LeftOut: 2, Ignored: 5}},
		"a verb":                            {off(), func(s *scene) { s.of("c").Verb = "auctioneer" }, Linear{LeftOut: 1, Ignored: 5}},
		"units of which nobody took a note": {off(), func(s *scene) { s.of("c").Asked = Asked{} }, Linear{LeftOut: 1, Ignored: 5}},
		"unanswered, and nothing explains it": {off(), func(s *scene) { // it is not proven, since not each time is tried
			s.asked(5000, "odd", 15, client.VerbClaim, one).Answers = nil
			s.of("odd").Unanswered = "reset"
			s.again("c").saw(4002, "c", client.Confirmed)
		}, Linear{Undecided: 1}},
	} {
		test.plant(test.scene)
		l, found := linearize(test.scene.History)
		l.TookMS = 0
		if len(found) != 0 || l != test.want {
			t.Errorf("%s: %+v %+v", name, l, found)
		}
	}
}

// TestLinearizableIsARule: it is one that Check knows, and it can be drawn.
func TestLinearizableIsARule(t *testing.T) {
	s := off()
	s.again("c").saw(4002, "c", client.Confirmed)
	if !slices.ContainsFunc(Check(s.History), func(v Violation) bool { return v.Rule == Linearizable }) {
		t.Error("Check does not know")
	}
	folder := t.TempDir()
	if err := Picture(s.History, folder); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "sale-1.html"))
	if err != nil || !strings.Contains(string(text), "c claim by 13 of 1") {
		t.Errorf("%v, %d bytes", err, len(text))
	}
}
