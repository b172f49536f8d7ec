package check

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/debugger"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// What a browser says of a network that is broken on purpose.
var broken = []string{"ERR_INTERNET_DISCONNECTED", "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE", "ERR_NETWORK_CHANGED", "ERR_FAILED", "status of 503", "answer: 503"}

// watches opens the page of a sale, and touches it no more.
func (p *person) watches(id int64) {
	p.t.Helper()
	p.open("/sales/" + number(id))
	p.await(live)
	ask[bool](p, `window.untouched = true`)
}

// unmoved asks that the page was not loaded anew since.
func (p *person) unmoved() {
	p.t.Helper()
	if !ask[bool](p, `window.untouched === true`) {
		p.t.Error("the page was loaded anew")
	}
}

const (
	live = `document.getElementById('wire').dataset.wire === 'live'`
	off  = `document.getElementById('wire').dataset.wire === 'off'`
)

// agrees says whether the page shows the price and the stock that the API tells in the same
// moment.
func (p *person) agrees(seller *counter, id int64) bool {
	p.t.Helper()
	before := seller.sale(id)
	said := ask[[]string](p, `[document.querySelector('[data-price]').innerText.replaceAll(',', ''), document.querySelector('[data-stock=free]').innerText]`)
	after := seller.sale(id)
	return before.Price == after.Price && number(after.Price) == said[0] && number(after.Stock.Free) == said[1]
}

// comesTo waits until the page agrees, and says so if it never does.
func (p *person) comesTo(seller *counter, id int64) bool {
	p.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if p.agrees(seller, id) {
			return true
		}
	}
	return false
}

// TestLostConnection: a page that was cut off shows what is true as soon as it is not.
func TestLostConnection(t *testing.T) {
	seller := shop(t)
	lamp := seller.opened(falling("Offline lamp", 10, 5*time.Second), 5*time.Minute)
	wire := newWire(t)
	p := newBuyer(t, "watcher", 50_000)
	p.url = wire.url
	p.watches(lamp.ID)
	offline := func(is bool) { p.must(network.EmulateNetworkConditions(is, 0, -1, -1)) }
	offline(true)
	wire.cut()
	p.await(off)
	seller.sells(lamp.ID)
	if p.agrees(seller, lamp.ID) {
		t.Fatal("it was not cut off")
	}
	offline(false)
	if !p.comesTo(seller, lamp.ID) {
		t.Error("the page never showed what was true")
	}
	p.await(live)
	seller.sells(lamp.ID)
	p.await(`document.querySelector('[data-stock=free]').innerText === '8'`)
	p.unmoved()
	p.forgive(broken...)
}

// TestRestart: Sluice is killed with its servers and comes back; a page that was open lives
// on, and whoever was signed in still is.
func TestRestart(t *testing.T) {
	seller := shop(t)
	lamp := seller.opened(falling("Restarted lamp", 10, 5*time.Second), 5*time.Minute)
	print := seller.opened(reserving("Restarted print", 1, 100), time.Hour)
	p := newBuyer(t, "watcher", 50_000)
	p.watches(lamp.ID)
	waiting := newBuyer(t, "waiting", 1000)
	holder := newBuyer(t, "holder", 1000)
	for _, one := range []*person{holder, waiting} {
		one.open("/sales/" + number(print.ID))
		one.click(button, map[bool]string{true: "Reserve", false: "Join the waiting line"}[one == holder])
		one.sees(map[bool]string{true: "It is kept for you", false: "You are in line"}[one == holder])
	}

	house.end(syscall.SIGKILL)
	p.await(off)
	if err := house.start(); err != nil {
		t.Fatal(err)
	}
	if !p.comesTo(seller, lamp.ID) {
		t.Error("the page never showed what was true")
	}
	p.await(live)
	p.unmoved()
	for _, one := range []*person{p, waiting, holder} {
		one.forgive(broken...)
	}
	p.click(button, "Buy now")
	p.sees("It is yours")

	holder.await(live)
	holder.click(button, "Cancel it")
	holder.sees("Given back")
	waiting.sees("It is kept for you")
	for _, one := range []*person{p, waiting, holder} {
		one.forgive(broken...)
	}
}

// wrongClock has a browser believe that it is another time, in every way in which a page can ask.
func wrongClock(by time.Duration) chromedp.Action {
	return always(strings.ReplaceAll(`{
		const wrong = WRONG, Real = Date, origin = performance.timeOrigin;
		window.Date = class extends Real {
			constructor(...all) { if (all.length) super(...all); else super(Real.now() + wrong); }
			static now() { return Real.now() + wrong; }
		};
		Object.defineProperty(performance, 'timeOrigin', {get: () => origin + wrong});
		window.wrong = wrong;
	}`, "WRONG", number(by.Milliseconds())))
}

// TestWrongClock: what a page says of prices does not come from the browser's clock.
func TestWrongClock(t *testing.T) {
	for name, by := range map[string]time.Duration{"an hour fast": time.Hour, "an hour slow": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			seller := shop(t)
			lamp := seller.opened(falling("Clocked lamp", 10, 3*time.Second), 3*time.Minute)
			p := newBuyer(t, "watcher", 50_000, wrongClock(by))
			p.watches(lamp.ID)
			if off := ask[int64](p, `Math.round(Date.now() / 1000)`) - time.Now().Unix(); off < 3000 && off > -3000 {
				t.Fatalf("its clock is wrong by %d seconds only", off)
			}
			for range 3 { // prices
				if !p.comesTo(seller, lamp.ID) {
					t.Fatal("the page never showed the price of the moment")
				}
				price := seller.sale(lamp.ID).Price
				for end := time.Now().Add(patience); seller.sale(lamp.ID).Price == price && time.Now().Before(end); {
					time.Sleep(100 * time.Millisecond)
				}
			}
			if by < 0 {
				return // what is behind is set right by the next word of the server
			}
			// A page that took the browser's word would be found out.
			p.open("/sales/" + number(lamp.ID))
			p.await(live)
			ask[bool](p, strings.ReplaceAll(`!!(performance.now = (now => () => now() + WRONG)(performance.now.bind(performance)))`, "WRONG", number(by.Milliseconds())))
			p.await(`document.querySelector('[data-price]').innerText === String(JSON.parse(document.getElementById('curve').textContent).prices.at(-1))`)
			if p.agrees(seller, lamp.ID) {
				t.Error("a page that is an hour wrong agrees with the API")
			}
		})
	}
}

// enable lets a page be stopped where it stands.
var enable = chromedp.ActionFunc(func(ctx context.Context) error {
	_, err := debugger.Enable().Do(ctx)
	return err
})

// TestSleep: a laptop sleeps; meanwhile time goes on, and the network forgets its connections
// without a word. When it wakes, the page shows what is true.
func TestSleep(t *testing.T) {
	seller := shop(t)
	lamp := seller.opened(falling("Sleepy lamp", 10, 5*time.Second), 5*time.Minute)
	wire := newWire(t)
	p := newBuyer(t, "sleeper", 50_000)
	p.url = wire.url
	p.watches(lamp.ID)

	p.must(enable, debugger.Pause())
	wire.forget()
	seller.sells(lamp.ID)
	time.Sleep(15 * time.Second) // it is about time that passes without the page
	p.must(debugger.Resume(), debugger.Disable())
	if !p.comesTo(seller, lamp.ID) {
		t.Error("the page never showed what was true")
	}
	seller.sells(lamp.ID)
	p.await(`document.querySelector('[data-stock=free]').innerText === '8'`)
	p.unmoved()
	p.forgive(broken...)
}
