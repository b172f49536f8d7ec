package check

import (
	"testing"
	"time"

	"sluice/client"
)

// TestOperator is an administrator who looks how it all is, finds the busiest sale, audits it
// and everything, and looks up whose a receipt is.
func TestOperator(t *testing.T) {
	seller := shop(t)
	lamp := seller.opened(falling("Audited lamp", 5, time.Minute), time.Hour)
	buyer, _ := seller.customer("asker", 20_000)
	ctx, cancel := within(t)
	defer cancel()
	receipt, err := buyer.Bid(ctx, lamp.ID, client.Bid{Quantity: 2, Price: 10_000})
	if err == nil {
		receipt, err = buyer.Wait(ctx, receipt)
	}
	if err != nil || receipt.Status != client.Confirmed {
		t.Fatal(receipt.Status, err)
	}

	o := newPerson(t, "operator")
	o.open("/sign-in")
	o.types("E-mail", admin)
	o.types("Password", password)
	o.click(button, "Sign in")
	o.at("/operate")
	o.sees("All is well.")
	o.sees("Audited lamp")
	o.check("operate")
	o.click(link, "Audited lamp")
	o.at("/operate/sales/")
	o.await(`document.querySelector('[data-stock=sold]').innerText === '2'`)
	o.check("operate-sale")
	o.click(button, "Audit now")
	o.sees("All is right")
	o.check("operate-audit")

	// She stops the sale; a buyer who looks at it is told, and told again when it goes on.
	b := newBuyer(t, "onlooker", 20_000)
	b.open("/sales/" + number(lamp.ID))
	b.sees("Buy now")
	o.open("/operate/sales/" + number(lamp.ID))
	o.click(summary, "Stop this sale")
	o.click(button, "Stop it now")
	o.sees("it stops as soon as its turn has come")
	o.sees("Have it sell on")
	o.check("operate-stopped")
	b.sees("This sale is stopped")
	o.click(button, "Audit it and sell on")
	o.sees("it sells on as soon as its turn has come")
	o.sees("Stop this sale")
	b.sees("Buy now")

	o.open("/operate/audits")
	o.click(button, "Audit now")
	o.sees("All is right")
	o.open("/operate/sales")
	o.sees("Audited lamp")
	o.check("operate-sales")
	o.open("/operate/dead-letters")
	o.sees("There are none.")
	o.check("operate-letters")
	o.open("/operate/lookup")
	o.types("Number of the receipt", receipt.ID)
	o.enters()
	o.sees("asker-")
	o.check("operate-lookup")

	// Nobody else sees any of it.
	c := newBuyer(t, "curious", 0)
	c.open("/operate")
	c.sees("This page is for somebody else")
	c.forgive("answer: 403", "status of 403")
}
