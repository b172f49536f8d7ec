package check

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
)

// TestWithoutScripts is somebody whose browser runs none: he reads and does the same.
func TestWithoutScripts(t *testing.T) {
	seller := shop(t)
	seller.opened(falling("Plain teapot", 3, 30*time.Second), time.Minute)

	p := newPerson(t, "plain", emulation.SetScriptExecutionDisabled(true))
	p.open("/")
	if ask[bool](p, `matchMedia('(scripting: enabled)').matches`) {
		t.Fatal("scripts run")
	}
	p.sees("Plain teapot")
	p.click(link, "Sign up")
	p.at("/sign-up")
	p.types("E-mail", p.email())
	p.types("Password", password)
	p.click(button, "Sign up")
	p.sees("On sale")
	p.click(link, "Wallet")
	p.click(button, "Top up")
	p.sees("+10,000")

	p.open("/")
	p.click(link, "Plain teapot")
	p.sees("10,000")
	p.sees("9,000") // what comes next
	p.click(button, "Buy now")
	p.at("/receipts/")
	// Nothing moves by itself: he looks again.
	for end := time.Now().Add(patience); ; {
		p.must(reload)
		if text := p.reads(); strings.Contains(text, "It is yours") && strings.Contains(text, "10,000 P") {
			break
		} else if time.Now().After(end) {
			t.Fatalf("the receipt says: %s", text)
		}
	}
	if n := p.streaming(); n > 0 {
		t.Errorf("it listens to %d streams of events", n)
	}
}
