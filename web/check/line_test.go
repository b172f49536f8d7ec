package check

import (
	"testing"
	"time"

	"sluice/client"
)

// reserving is a sale of things that are held first and paid then, with a waiting line.
func reserving(title string, stock, price int64) client.NewSale {
	return client.NewSale{
		Title: title, Description: "Numbered, and no second edition.", Kind: client.Reservation,
		Stock: stock, Limit: 1, UnitPrice: price, Line: 10,
	}
}

// TestLine is about one thing that two people want: the second waits in line and, on a page
// that he does not touch, gets what the first gives back.
func TestLine(t *testing.T) {
	seller := shop(t)
	print := seller.opened(reserving("Numbered print", 1, 3000), time.Hour)
	ada, ben := newBuyer(t, "ada", 5000), newBuyer(t, "ben", 5000)

	ada.open("/")
	ada.click(link, "Numbered print")
	ada.sees("Time to pay")
	ada.check("sale-reservation")
	ada.click(button, "Reserve")
	ada.sees("It is kept for you")
	ada.within3("reserving")
	ada.check("receipt-held")

	ben.open("/")
	ben.click(link, "Numbered print")
	ben.sees("Everything is taken")
	ben.check("sale-line")
	ben.click(button, "Join the waiting line")
	ben.sees("You are in line")
	ben.within3("joining the line")
	if place := ask[string](ben, `document.getElementById('place').innerText`); place != "1" {
		t.Errorf("ben's place in the line is %q", place)
	}
	ben.check("receipt-waiting")
	ben.await(`document.getElementById('wire').dataset.wire === 'live'`)
	ask[bool](ben, `window.untouched = true`)

	ada.click(button, "Cancel it")
	ada.sees("Given back")
	ada.check("receipt-cancelled")

	ben.sees("It is kept for you")
	if !ask[bool](ben, `window.untouched === true`) {
		t.Error("ben's page was loaded anew")
	}
	ben.click(button, "Pay")
	ben.sees("It is yours")
	ben.open("/notices")
	ben.sees("It was your turn in the line")
	ben.check("notices")
	ben.click(button, "I have read them")
	ben.await(`!document.querySelector('main').innerText.includes('I have read them')`)

	if counts := seller.counts(print.ID); counts[client.Confirmed] != 1 || counts[client.Cancelled] != 1 {
		t.Errorf("the sale has %v", counts)
	}
}
