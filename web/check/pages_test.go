package check

import (
	"testing"
	"time"

	"sluice/client"
)

// TestOtherPages looks at what no journey comes by.
func TestOtherPages(t *testing.T) {
	seller := shop(t)
	seller.opened(client.NewSale{Title: "An evening with lamps", Kind: client.Event, Stock: 20, Limit: 2, Line: 50}, time.Hour)
	seller.opened(falling("Oil lamp", 20, time.Minute), time.Hour)
	ctx, cancel := within(t)
	defer cancel()
	soon := falling("Lamp of tomorrow", 5, time.Minute)
	soon.OpensAt = time.Now().Add(time.Hour)
	soon.ClosesAt = soon.OpensAt.Add(time.Hour)
	later, err := seller.CreateSale(ctx, soon)
	if err != nil {
		t.Fatal(err)
	}

	p := newPerson(t, "stranger")
	p.open("/sign-up")
	p.check("sign-up")
	p.open("/sign-in?next=/receipts")
	p.check("sign-in")
	p.types("E-mail", "nobody@example.com")
	p.types("Password", "not the word at all")
	p.click(button, "Sign in")
	p.sees("The e-mail or the password is wrong.")
	p.forgive("answer: 401", "status of 401")
	p.check("sign-in-wrong")
	p.open("/nothing")
	p.sees("There is no such page")
	p.forgive("answer: 404", "status of 404")
	p.check("nothing")
	p.open("/")
	p.click(link, "Starts soon")
	p.sees("Lamp of tomorrow")
	p.check("list-soon")

	b := newBuyer(t, "jon", 1000)
	b.open("/sales/" + number(later.ID))
	b.sees("Opens in")
	b.check("sale-scheduled")
	b.click(button, "Tell me when it opens")
	b.sees("You will be told when it opens.")
	b.open("/")
	b.check("list")
	b.click(link, "An evening with lamps")
	b.sees("Take seats")
	b.check("sale-event")
	b.click(button, "Take seats")
	b.sees("You are in")

	b.open("/")
	b.click(link, "Oil lamp")
	b.click(button, "Buy now")
	b.sees("Your wallet did not have enough points.")
	b.check("receipt-rejected")
	b.click(link, "Top up")
	b.at("/wallet")
}

// TestKeyboard is somebody without a mouse: he buys with Tab and Enter alone, and sees where
// he is.
func TestKeyboard(t *testing.T) {
	seller := shop(t)
	vase := seller.opened(falling("Keyed vase", 3, time.Minute), time.Hour)
	p := newBuyer(t, "kim", 20_000)
	p.open("/")
	p.tabsTo("To the content")
	p.tabsTo("Keyed vase")
	p.enters()
	p.at("/sales/" + number(vase.ID))
	p.tabsTo("Buy now")
	p.enters()
	p.sees("It is yours")
	if counts := seller.counts(vase.ID); counts[client.Confirmed] != 1 {
		t.Errorf("the sale has %v", counts)
	}
}
