package sale_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// TestNotices: what each batch has to tell, to whom, of which receipt, and when.
func TestNotices(t *testing.T) {
	type step struct {
		entries []sale.Entry
		want    []string // "who word receipt at clock", and "by clock" where there is something to pay
	}
	one := func(e sale.Entry, want ...string) step { return step{[]sale.Entry{e}, want} }
	for _, c := range []struct {
		name  string
		scene func() scene
		steps []step
	}{
		{"a chair that is paid, and cancelled", ofSales(chair()), []step{
			one(reserve("0:00", "a", alice, 1), "1 held a at 0:00 by 10:00"),
			one(reserve("0:30", "b", alice, 1)), // a duplicate is told by its receipt
			one(pay("1:00", alice, "a"), "1 confirmed a at 1:00"),
			one(cancel("2:00", alice, "a"), "1 refunded a at 2:00"),
		}},
		{"a chair that goes down the line", ofSales(chair()), []step{
			one(reserve("0:00", "a", alice, 1), "1 held a at 0:00 by 10:00"),
			{[]sale.Entry{reserve("1:00", "b", bob, 1), reserve("1:00", "c", carol, 1)}, nil},
			one(expire("15:00"), "1 expired a at 10:00", "2 promoted b at 10:00 by 20:00"),
			one(cancel("16:00", bob, "b"), "3 promoted c at 16:00 by 26:00"), // nothing was paid, so nothing comes back
		}},
		{"all of it in one batch", ofSales(chair()), []step{{
			[]sale.Entry{reserve("0:00", "a", alice, 1), reserve("0:00", "b", bob, 1), pay("1:00", alice, "a"), cancel("2:00", alice, "a"), expire("12:00")},
			[]string{"1 held a at 0:00 by 10:00", "1 confirmed a at 1:00", "1 refunded a at 2:00", "2 promoted b at 2:00 by 12:00", "2 expired b at 12:00"},
		}}},
		{"the close", ofSales(chair()), []step{
			one(reserve("55:00", "a", alice, 1), "1 held a at 55:00 by 65:00"),
			one(reserve("56:00", "b", bob, 1)),
			one(tick(after("61:00"), "close", sale.Close), "2 closed b at 60:00"),
			one(reserve("62:00", "c", carol, 1)),
		}},
		{"a payment that comes too late", ofSales(chair()), []step{
			one(reserve("0:00", "a", alice, 1), "1 held a at 0:00 by 10:00"),
			one(pay("11:00", alice, "a"), "1 confirmed pay a at 11:00", "1 expired a at 10:00"),
		}},
		{"a seat free of charge", ofSales(evening()), []step{
			one(join("0:00", "a", alice, 1), "1 confirmed a at 0:00"),
			one(join("0:00", "b", bob, 1)),
			one(cancel("1:00", alice, "a"), "2 promoted b at 1:00"),
		}},
		{"a seat at a price", ofSales(evening(price(100))), []step{
			one(join("0:00", "a", alice, 1), "1 confirmed a at 0:00"),
			one(join("0:00", "b", bob, 1)),
			one(cancel("1:00", alice, "a"), "1 refunded a at 1:00", "2 promoted b at 1:00 by 11:00"),
		}},
		{"passed in the line", ofSales(chair(stock(2), limit(2), bypass(1))), []step{
			{[]sale.Entry{reserve("0:00", "a", alice, 1), reserve("0:00", "b", bob, 2)}, []string{"1 held a at 0:00 by 10:00"}},
			one(reserve("0:01", "c", carol, 1), "3 held c at 0:01 by 10:01"), // bob hears nothing of it
		}},
		{"a change of slot", slots(price(100), window(time.Hour)), []step{
			one(reserve("0:00", "a", alice, 1), "1 confirmed a at 0:00"),
			one(move("1:00", "m", alice, "a", 7, 9), "1 confirmed m at 1:00", "1 refunded a at 1:00"),
		}},
		{"a coupon", ofSales(chair(), voucher()), []step{one(claim("0:00", "c", alice), "1 confirmed c at 0:00")}},
		{"an auction", lampSale, []step{
			one(bid(opens, "a", alice, 1, 1000), "1 confirmed a at 0:00"),
			one(bid(opens, "a", alice, 1, 1000)), // said again, told once
			one(bid(opens, "b", bob, 9, 1000)),
			one(grow(opens, "g", seller, 1)),
			one(refund(closes, "r", alice, "a"), "1 refunded a at 10:00"),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			names := map[uuid.UUID]string{}
			for _, word := range []string{"a", "b", "c", "m", "pay a"} {
				names[name(word)] = word
			}
			s, seq := c.scene(), 0
			for i, step := range c.steps {
				b := s.settle(t, numbered(step.entries, seq)...)
				seq += len(step.entries)
				var got []string
				for _, n := range b.Notices() {
					words := fmt.Sprint(n.Account, " ", n.Word, " ", names[n.Receipt], " at ", clock(n.At))
					if n.PayBy != 0 {
						words += " by " + clock(n.PayBy)
					}
					got = append(got, words)
					if of := s.facts.Receipts[n.Receipt]; n.Sale != of.Sale || n.Account != of.Buyer {
						t.Errorf("step %d: %+v of %+v", i, n, of)
					}
				}
				if !slices.Equal(got, step.want) {
					t.Errorf("step %d tells %q, want %q", i, got, step.want)
				}
			}
		})
	}
}
