package check

import (
	"strings"
	"testing"
	"time"

	"sluice/client"
)

// TestSeller is somebody who opens a sale that sells: the form explains its rules and draws
// the curve, a buyer buys, and the seller sees it without touching his page.
func TestSeller(t *testing.T) {
	s := newPerson(t, "seller")
	s.open("/")
	s.signsUp("sell")
	s.at("/sell")
	s.sees("You do not sell anything yet.")
	s.check("sell-none")

	s.open("/")
	s.click(link, "My sales")
	s.sees("New sale")
	s.click(link, "New sale")
	s.at("/sell/new")
	s.types("Title", "Blue vase")
	s.types("Units", "10")
	s.types("Units per person", "2")
	s.types("First price", "5000")
	s.await(`document.getElementById('preview').innerText.includes('5,000')`)
	s.check("sell-new")
	s.types("Every", "7") // minutes, of thirty
	s.await(`document.getElementById('preview').innerText.includes('Every')`)
	s.click(button, "Open the sale")
	s.sees("Some entries break a rule")
	s.forgive("answer: 422", "status of 422", "answer: 400", "status of 400") // that it was refused
	s.clicks--                                                                // the one that was wrong on purpose
	s.check("sell-wrong")
	if said := ask[string](s, `document.querySelector('[name=title]').value`); said != "Blue vase" {
		t.Errorf("the title is %q now", said)
	}
	s.types("Every", "1")
	s.opensIn(4 * time.Second)
	s.click(button, "Open the sale")
	s.await(`/^\/sell\/\d+$/.test(location.pathname) && document.readyState === 'complete'`)
	s.sees("Blue vase")
	s.within3("opening a sale")

	b := newBuyer(t, "patron", 10_000)
	b.open(strings.Replace(ask[string](s, `location.pathname`), "/sell/", "/sales/", 1))
	b.click(button, "Buy now") // it opens by itself
	b.sees("It is yours")

	s.await(`document.querySelector('[data-stock=sold]').innerText === '1'`)
	s.sees("5,000") // revenue
	s.check("sell-one")
	s.types("More units", "5")
	s.click(button, "Add them")
	s.sees("The units are being added.")
	s.await(`document.querySelector('[data-stock=free]').innerText === '14'`)
	if csv := ask[string](s, `fetch([...document.querySelectorAll('a')].find(a => a.innerText === 'CSV').href).then(a => a.text())`); strings.Count(csv, "confirmed") != 1 {
		t.Errorf("the CSV is %s", csv)
	}
	s.open("/sell")
	s.sees("Blue vase")
	s.check("sell")
}

// opensIn has the sale of the form open soon.
func (p *person) opensIn(d time.Duration) {
	p.t.Helper()
	ask[bool](p, `(() => {
		const at = new Date(Date.now() + `+number(d.Milliseconds())+`), field = document.querySelector('input[type=datetime-local]');
		field.value = new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
		field.dispatchEvent(new Event('input', {bubbles: true}));
		return true;
	})()`)
}

// TestPlaceOfTables is a seller who opens a place with tables, and sees that one is booked.
func TestPlaceOfTables(t *testing.T) {
	s := newPerson(t, "host")
	s.open("/")
	s.signsUp("sell")
	s.at("/sell")
	s.click(link, "New place with tables")
	s.at("/tables/new")
	s.types("Title", "Osteria")
	s.check("tables-new")
	s.click(button, "Open the place")
	s.await(`/^\/tables\/\d+$/.test(location.pathname) && document.readyState === 'complete'`)
	s.sees("Bookings")
	s.check("tables")
	b := newBuyer(t, "guest", 50_000)
	b.open(strings.Replace(ask[string](s, `location.pathname`), "/tables/", "/stores/", 1))
	b.sees("Choose a time")
	b.click(".days a:nth-child(3)", "")
	b.await(`document.querySelector('.days a:nth-child(3)').ariaCurrent === 'date'`)
	b.click(".slots button", "")
	b.sees("It is yours")
}

// TestForms is a seller with every other kind of sale, which he makes and then changes.
func TestForms(t *testing.T) {
	s := newPerson(t, "forms")
	s.signedIn(shop(t).tokens)
	for _, kind := range []client.Kind{client.Reservation, client.Coupon, client.Event} {
		s.open("/sell/new?kind=" + string(kind))
		s.sees("Open the sale")
		s.check("sell-new-" + string(kind))
		s.types("Title", "One "+string(kind))
		s.opensIn(time.Minute)
		s.click(button, "Open the sale")
		s.await(`/^\/sell\/\d+$/.test(location.pathname) && document.readyState === 'complete'`)
		s.sees("Starts soon")
		s.click(link, "Change the sale")
		s.sees("Save")
		s.types("Title", "Another "+string(kind))
		s.click(button, "Save")
		s.sees("Another " + string(kind))
	}
}
