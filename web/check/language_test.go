package check

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
)

// TestKorean is somebody whose browser asks for Korean, and who switches to English and back.
func TestKorean(t *testing.T) {
	seller := shop(t)
	sold := seller.opened(falling("달항아리", 3, 2*time.Second), time.Minute)
	p := newBuyer(t, "edo", 20_000, acceptLanguage("ko-KR,ko;q=0.9,en;q=0.5"))

	p.open("/")
	p.sees("지금 판매 중")
	p.speaks("ko")
	p.check("list-korean")
	p.click(link, "달항아리")
	p.sees("현재 가격")
	p.check("sale-korean")
	p.click(button, "지금 구매")
	p.sees("구매가 확정되었습니다")
	p.speaks("ko")
	p.check("receipt-korean")

	p.click(button, "English")
	p.sees("It is yours")
	p.speaks("en")
	p.open("/")
	p.sees("Open now")
	p.click(button, "한국어")
	p.sees("지금 판매 중")
	p.speaks("ko")
	if counts := seller.counts(sold.ID); counts["confirmed"] != 1 {
		t.Errorf("the sale has %v", counts)
	}
}

func (p *person) speaks(lang string) {
	p.t.Helper()
	if said := ask[string](p, `document.documentElement.lang`); said != lang {
		p.t.Errorf("the page says that it speaks %q", said)
	}
}

// acceptLanguage has the browser ask for languages.
func acceptLanguage(languages string) *emulation.SetUserAgentOverrideParams {
	return emulation.SetUserAgentOverride("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36").WithAcceptLanguage(languages)
}
