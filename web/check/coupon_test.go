package check

import (
	"testing"
	"time"

	"sluice/client"
)

// TestCoupon is about a coupon: it is claimed, and used for a reservation of its seller.
func TestCoupon(t *testing.T) {
	seller := shop(t)
	coupon := client.NewSale{Title: "Welcome coupon", Kind: client.Coupon, Stock: 3, AmountOff: 500, ValidUntil: time.Now().Add(48 * time.Hour)}
	seller.opened(coupon, time.Hour)
	bag := seller.opened(reserving("Canvas bag", 3, 2000), time.Hour)
	p := newBuyer(t, "cleo", 5000)

	p.open("/")
	p.click(link, "Coupons")
	p.sees("Welcome coupon")
	p.check("coupons")
	p.click(link, "Welcome coupon")
	p.sees("Points off")
	p.check("sale-coupon")
	p.click(button, "Get the coupon")
	p.sees("The coupon is yours")
	p.within3("claiming a coupon")
	p.check("receipt-coupon")
	p.open("/coupons")
	p.sees("Can be used")
	p.check("coupons-mine")

	p.open("/")
	p.click(link, "Canvas bag")
	p.sees("Per person")
	p.picks("Coupon", "500")
	p.await(`document.querySelector('[data-total]').innerText === '1,500'`)
	p.click(button, "Reserve")
	p.sees("It is kept for you")
	p.within3("reserving with a coupon")
	p.click(button, "Pay · 1,500 P")
	p.sees("It is yours")
	p.sees("−500 P")
	p.open("/coupons")
	p.sees("Used")
	p.open("/wallet")
	p.sees("3,500")
	if counts := seller.counts(bag.ID); counts[client.Confirmed] != 1 || len(counts) != 1 {
		t.Errorf("the sale has %v", counts)
	}
}
