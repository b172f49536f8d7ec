package check

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"sluice/client"
)

// TestDoubleClick is somebody who clicks twice, and asks once.
func TestDoubleClick(t *testing.T) {
	seller := shop(t)
	cup := seller.opened(reserving("Double cup", 10, 100), time.Hour)
	p := newBuyer(t, "finn", 5000)
	p.open("/")
	p.click(link, "Double cup")
	p.sees("Time to pay")
	at := p.spot(button, "Reserve")
	p.must(chromedp.MouseClickXY(at.X, at.Y), chromedp.MouseClickXY(at.X, at.Y))
	p.sees("It is kept for you")
	p.open("/receipts")
	if counts := seller.counts(cup.ID); counts[client.Held] != 1 || len(counts) != 1 {
		t.Errorf("the sale has %v", counts)
	}
}

// TestAnswerNeverCame is somebody whose request is carried out while the answer is lost on the
// way: he loads the page again, asks again, and has one receipt. The limit is two, so a
// second one would be granted.
func TestAnswerNeverCame(t *testing.T) {
	seller := shop(t)
	jar := seller.opened(falling("Lost jar", 10, 2*time.Second), time.Minute)
	p := newBuyer(t, "gina", 50_000)
	p.open("/")
	p.click(link, "Lost jar")
	p.sees("Price now")

	// The form arrives and is answered; the answer does not.
	lost := make(chan struct{})
	p.onFetch(func(e *fetch.EventRequestPaused) chromedp.Action {
		select {
		case <-lost:
		default:
			close(lost)
		}
		return fetch.FailRequest(e.RequestID, network.ErrorReasonConnectionReset)
	})
	p.must(fetch.Enable().WithPatterns([]*fetch.RequestPattern{{URLPattern: "*/bid", RequestStage: fetch.RequestStageResponse}}))
	p.click(button, "Buy now")
	select {
	case <-lost:
	case <-time.After(patience):
		t.Fatal("no answer came that could be lost")
	}
	p.must(fetch.Disable())
	for end := time.Now().Add(patience); seller.counts(jar.ID)[client.Confirmed] == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the first request was never decided")
		}
	}

	// He comes back, while the price has gone on falling, and asks again.
	p.await(`location.href.startsWith('chrome-error') || location.pathname !== ''`)
	p.open("/sales/" + number(jar.ID))
	p.sees("What you asked for here")
	p.click(button, "Buy now")
	p.sees("It is yours")
	if counts := seller.counts(jar.ID); counts[client.Confirmed] != 1 || len(counts) != 1 {
		t.Errorf("the sale has %v", counts)
	}
	// It was answered: from now on, asking again is another wish.
	p.open("/sales/" + number(jar.ID))
	p.click(button, "Buy now")
	p.sees("It is yours")
	if counts := seller.counts(jar.ID); counts[client.Confirmed] != 2 {
		t.Errorf("the sale has %v after a second wish", counts)
	}
	p.forgive("ERR_CONNECTION_RESET")
}

// TestBack is somebody who goes back from his receipt to the page on which he asked, which
// his browser has kept as it was, and asks again: that is another wish.
func TestBack(t *testing.T) {
	seller := shop(t)
	mug := seller.opened(falling("Second mug", 10, 30*time.Second), time.Minute)
	p := newBuyer(t, "hugo", 50_000)
	p.open("/")
	p.click(link, "Second mug")
	p.click(button, "Buy now")
	p.sees("It is yours")
	p.must(chromedp.NavigateBack())
	p.at("/sales/")
	p.sees("What you asked for here")
	p.click(button, "Buy now")
	p.sees("It is yours")
	if counts := seller.counts(mug.ID); counts[client.Confirmed] != 2 || len(counts) != 1 {
		t.Errorf("the sale has %v", counts)
	}
}
