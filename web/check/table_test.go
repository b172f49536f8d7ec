package check

import (
	"strings"
	"testing"
	"time"

	"sluice/client"
)

// TestTable is about a table: booked for tomorrow, moved to another time, given back.
func TestTable(t *testing.T) {
	seller := shop(t)
	ctx, cancel := within(t)
	defer cancel()
	hours := client.Hours{}
	for _, day := range []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} {
		hours[day] = "11:00-21:00"
	}
	if _, err := seller.CreateStore(ctx, client.NewStore{Title: "Trattoria", Description: "Nine tables, one oven.", TimeZone: "Asia/Seoul", Tables: 2, Hours: hours, UnitPrice: 1000}); err != nil {
		t.Fatal(err)
	}
	p := newBuyer(t, "dora", 5000)

	p.open("/")
	p.click(link, "Tables")
	p.sees("Trattoria")
	p.check("stores")
	p.click(link, "Trattoria")
	p.sees("Choose a time")
	p.check("store")
	// The first time that can be booked, today or tomorrow.
	times := ask[[]string](p, `[...document.querySelectorAll('button[name=slot] b')].map(b => b.innerText)`)
	if len(times) < 2 {
		t.Fatalf("only %v can be booked", times)
	}
	p.click(button, times[0])
	p.sees("It is yours")
	p.within3("booking a table")
	p.check("receipt-table")
	begins := `document.querySelector('dt:last-of-type + dd time').dateTime`
	before := ask[time.Time](p, begins)

	p.click(link, "Choose another time")
	p.sees("Choose another time instead of your booking")
	p.check("store-change")
	p.click(button, times[1])
	p.sees("It is yours")
	if after := ask[time.Time](p, begins); !after.After(before) {
		t.Errorf("it was at %s, and is at %s", before, after)
	}
	p.click(button, "Cancel it")
	p.sees("Given back")
	p.open("/wallet")
	p.sees("5,000")
	p.open("/receipts")
	p.sees("Cancelled")
	if text := p.reads(); strings.Count(text, "Trattoria") < 2 {
		t.Errorf("the receipts are: %s", text)
	}
}
