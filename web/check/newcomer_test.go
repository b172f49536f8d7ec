package check

import (
	"testing"
	"time"
)

// TestNewcomer is somebody who has never been here: he signs up, gets points, buys while
// the price falls, sees the verdict, and after the close has his points back. With -short he
// does not wait for the close.
func TestNewcomer(t *testing.T) {
	seller := shop(t)
	lamp := seller.opened(falling("Brass lamp", 5, 2*time.Second), time.Minute)

	p := newPerson(t, "newcomer")
	p.open("/")
	p.sees("Brass lamp")
	p.check("list-stranger")
	p.signsUp("buy")
	p.within3("signing up")

	p.open("/")
	p.click(link, "Wallet")
	p.at("/wallet")
	p.click(button, "Top up")
	p.sees("+10,000")
	p.within3("topping up")
	p.check("wallet")

	p.open("/")
	p.click(link, "Brass lamp")
	p.sees("Price now")
	first := ask[string](p, `document.querySelector('[data-price]').innerText`)
	p.await(`document.querySelector('[data-price]').innerText !== ` + quote(first)) // it falls, by itself
	p.check("sale-auction")
	p.click(button, "Buy now")
	p.sees("It is yours")
	p.within3("buying at a falling price")
	p.sees("You can have your points back after")
	p.check("receipt-confirmed")
	if counts := seller.counts(lamp.ID); counts["confirmed"] != 1 || len(counts) != 1 {
		t.Errorf("the sale has %v", counts)
	}

	p.open("/receipts")
	p.sees("Brass lamp")
	p.check("receipts")
	if testing.Short() {
		return
	}
	for end := lamp.ClosesAt.Add(patience); seller.sale(lamp.ID).State != "closed" && time.Now().Before(end); {
		time.Sleep(200 * time.Millisecond)
	}
	p.open("/")
	p.click(link, "My receipts")
	p.click(link, "Brass lamp")
	p.click(button, "Refund it")
	p.sees("Your points are back")
	p.within3("the refund")
	p.check("receipt-refunded")
	p.open("/wallet")
	p.sees("10,000")
	p.sees("Refund")
}
