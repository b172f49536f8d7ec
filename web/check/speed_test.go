package check

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// observe has every page add up how far its parts were shifted, from its first moment.
const observe = `window.shifted = 0; window.shifts = [];
new PerformanceObserver(list => { for (const e of list.getEntries()) {
	window.shifted += e.value;
	for (const s of e.sources) window.shifts.push((s.node?.outerHTML || s.node?.textContent || '?').slice(0, 120));
} }).observe({type: 'layout-shift', buffered: true});`

// always has the browser run a script before any of a page's own.
func always(script string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(script).Do(ctx)
		return err
	})
}

const (
	mostBytes = 150_000 // that a sale page may weigh, with all that it loads
	mostMoved = 0.002   // while it lives: a price that loses a digit draws its unit near, and that is all
)

// TestSpeed measures the page of a sale for somebody who has never been here: what it
// weighs, whether it moves about while it comes and while it is alive, and how many streams it
// opens decide the test. When it is painted is told, and decides nothing.
func TestSpeed(t *testing.T) {
	for _, screen := range screens {
		t.Run(screen.name, func(t *testing.T) {
			seller := shop(t)
			lamp := seller.opened(falling("Speedy lamp", 10, 2*time.Second), time.Minute)
			p := newBuyer(t, "ivan", 50_000, always(observe),
				emulation.SetDeviceMetricsOverride(screen.width, screen.height, 1, screen.phone))
			p.open("/sales/" + number(lamp.ID))
			p.await(`document.getElementById('wire').dataset.wire === 'live'`)
			weight := p.weight()
			if shifted := ask[float64](p, `window.shifted`); shifted != 0 {
				t.Errorf("while it came its parts were shifted by %v: %q", shifted, ask[[]string](p, `window.shifts`))
			}

			// It lives: the price falls twice, and somebody buys.
			price := ask[string](p, `document.querySelector('[data-price]').innerText`)
			p.await(`document.querySelector('[data-price]').innerText !== ` + quote(price))
			other := newBuyer(t, "other", 50_000)
			other.open("/sales/" + number(lamp.ID))
			other.click(button, "Buy now")
			other.sees("It is yours")
			p.await(`document.querySelector('[data-stock=free]').innerText === '9'`)
			price = ask[string](p, `document.querySelector('[data-price]').innerText`)
			p.await(`document.querySelector('[data-price]').innerText !== ` + quote(price))

			paint := ask[float64](p, `performance.getEntriesByName('first-contentful-paint')[0].startTime`)
			loaded := ask[float64](p, `performance.getEntriesByType('navigation')[0].loadEventEnd`)
			t.Logf("%s, cold: first paint %.0f ms, loaded %.0f ms, %d bytes", screen.name, paint, loaded, weight)
			if weight > mostBytes {
				t.Errorf("the page weighs %d bytes, more than %d", weight, mostBytes)
			}
			if weight < 5_000 {
				t.Errorf("the page weighs %d bytes: was it weighed?", weight)
			}
			if n := p.streaming(); n != 1 {
				t.Errorf("it has %d streams of events", n)
			}
			if moved := ask[float64](p, `window.shifted`); moved > mostMoved {
				t.Errorf("while it lived its parts were shifted by %v: %q", moved, ask[[]string](p, `window.shifts`))
			}

			// The observer sees what it has to see.
			ask[bool](p, `!!document.querySelector('main').prepend(Object.assign(document.createElement('h2'), {textContent: 'An advertisement'})) || true`)
			p.await(`window.shifted > ` + strconv.FormatFloat(mostMoved, 'f', -1, 64))
		})
	}
}
