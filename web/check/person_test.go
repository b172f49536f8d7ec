package check

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var (
	browser      context.Context
	closeBrowser = func() {}
)

// openBrowser starts Chromium, one for all; people share nothing in it.
func openBrowser() error {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.Flag("headless", "new"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root has none
	}
	every, end := chromedp.NewExecAllocator(context.Background(), options...)
	one, cancel := chromedp.NewContext(every)
	browser, closeBrowser = one, func() { cancel(); end() }
	if err := chromedp.Run(browser); err != nil {
		return fmt.Errorf("start Chromium (.ci/setup chromium): %w", err)
	}
	return nil
}

// person is somebody with a browser of his own, on one page of it. What his browser
// complains of, and nobody has forgiven, fails the test at its end.
type person struct {
	*witness
	t      testing.TB
	name   string
	url    string // where Sluice is, to him
	page   context.Context
	clicks int // since he was last at the start page
}

// newPerson opens a browser. Settings are made before it opens any page.
func newPerson(t testing.TB, name string, settings ...chromedp.Action) *person {
	t.Helper()
	page, leave := newPage(t)
	p := &person{witness: newWitness(), t: t, name: name, url: house.url, page: page}
	chromedp.ListenTarget(page, p.hear)
	t.Cleanup(func() {
		if t.Failed() {
			p.say()
		}
		if !p.oneStream() {
			t.Errorf("%s's page has %d streams of events open", name, p.streaming())
		}
		for _, trouble := range p.told() {
			t.Errorf("%s's browser: %s", name, trouble)
		}
		leave()
	})
	if err := chromedp.Run(page); err != nil {
		t.Fatal(err)
	}
	p.must(network.Enable(), runtime.Enable(), log.Enable(), audits.Enable(), emulation.SetFocusEmulationEnabled(true),
		network.SetExtraHTTPHeaders(network.Headers{"X-Forwarded-For": address()}))
	p.desk()
	p.must(settings...)
	return p
}

// oneStream says that the page has one stream of events open, or none. One that was closed is
// told a little later.
func (p *person) oneStream() bool {
	for end := time.Now().Add(patience); p.streaming() > 1; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// newPage opens a window that shares nothing with others: no cookie, and nothing kept.
func newPage(t testing.TB) (page context.Context, leave func()) {
	t.Helper()
	c := cdp.WithExecutor(browser, chromedp.FromContext(browser).Browser)
	kept, err := target.CreateBrowserContext().Do(c)
	if err != nil {
		t.Fatal(err)
	}
	window, err := target.CreateTarget("about:blank").WithBrowserContextID(kept).WithNewWindow(true).Do(c)
	if err != nil {
		t.Fatal(err)
	}
	page, end := chromedp.NewContext(browser, chromedp.WithTargetID(window))
	return page, func() {
		end()
		if err := target.DisposeBrowserContext(kept).Do(c); err != nil {
			t.Error(err)
		}
	}
}

// say tells what the page shows, for whoever has to find out what went wrong.
func (p *person) say() {
	p.t.Helper()
	text, err := attempt[string](p, `location.href + '\n' + document.body.innerText`)
	p.t.Logf("%s sees: %s (%v)", p.name, text, err)
}

// try does something with the page.
func (p *person) try(actions ...chromedp.Action) error {
	ctx, cancel := context.WithTimeout(p.page, patience)
	defer cancel()
	return chromedp.Run(ctx, actions...)
}

func (p *person) must(actions ...chromedp.Action) {
	p.t.Helper()
	if err := p.try(actions...); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// attempt evaluates an expression on the page.
func attempt[T any](p *person, expression string) (answer T, err error) {
	err = p.try(chromedp.Evaluate(expression, &answer, func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }))
	return answer, err
}

func ask[T any](p *person, expression string) T {
	p.t.Helper()
	answer, err := attempt[T](p, expression)
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", p.name, err, expression[:min(len(expression), 400)])
	}
	return answer
}

// await waits until an expression holds on the page, which may be replaced meanwhile.
func (p *person) await(expression string) {
	p.t.Helper()
	var held bool
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if held, err = attempt[bool](p, expression); held {
			return
		}
	}
	p.t.Fatalf("%s: never was: %s (%v)", p.name, expression, err)
}

func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string
	}
	return string(text)
}

// open goes to a page of Sluice by its address, and waits until it is all there.
func (p *person) open(path string) {
	p.t.Helper()
	if path == "/" {
		p.clicks = 0
	}
	p.must(chromedp.Navigate(p.url + path))
}

// sees waits until the page says something.
func (p *person) sees(text string) {
	p.t.Helper()
	p.await(`document.readyState === 'complete' && document.querySelector('main').innerText.includes(` + quote(text) + `)`)
}

// at waits until the page is the one whose address begins so.
func (p *person) at(path string) {
	p.t.Helper()
	p.await(`document.readyState === 'complete' && location.pathname.startsWith(` + quote(path) + `)`)
}

// reads answers what the page says now.
func (p *person) reads() string {
	p.t.Helper()
	return ask[string](p, `document.querySelector('main').innerText`)
}

// find is how a person finds a thing to click: by what it is and says. The whole of what it
// says comes before its beginning, and its beginning before the rest. It answers the middle of
// the thing, if that can be seen and is covered by nothing, and why not otherwise.
const find = `((selector, name) => {
	const clean = s => (s || '').replace(/\s+/g, ' ').trim();
	const told = e => clean(e.getAttribute('aria-label') || e.innerText);
	const rank = s => s === name ? 0 : s.startsWith(name) ? 1 : s.includes(name) ? 2 : 3;
	const all = [...document.querySelectorAll(selector)].filter(e => e.checkVisibility({visibilityProperty: true}) && rank(told(e)) < 3);
	all.sort((a, b) => rank(told(a)) - rank(told(b)));
	const e = all[0];
	if (!e) return {why: 'there is none'};
	if (document.readyState === 'loading') return {why: 'the page is not there yet'};
	if (e.getAttribute('aria-disabled') === 'true' || e.disabled) return {why: 'it is disabled'};
	e.scrollIntoView({block: 'center', behavior: 'instant'});
	const r = e.getClientRects()[0];
	const x = r.left + r.width / 2, y = r.top + r.height / 2;
	const there = document.elementFromPoint(x, y);
	if (!there || !(e.contains(there) || there.contains(e))) return {why: 'it is covered by ' + (there ? there.outerHTML.slice(0, 200) : 'nothing')};
	return {x, y};
})`

type spot struct {
	X, Y float64
	Why  string
}

// spot waits until a thing can be clicked.
func (p *person) spot(selector, name string) spot {
	p.t.Helper()
	var s spot
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if s, err = attempt[spot](p, find+"("+quote(selector)+","+quote(name)+")"); err == nil && s.Why == "" {
			return s
		}
	}
	p.t.Fatalf("%s cannot click on %s %q: %s (%v)", p.name, selector, name, s.Why, err)
	return s
}

// What there is to click.
const (
	link    = "a[href]"
	button  = "button"
	choice  = "label"
	summary = "summary"
)

// click clicks on a thing, once.
func (p *person) click(what, name string, options ...chromedp.MouseOption) {
	p.t.Helper()
	s := p.spot(what, name)
	p.clicks++
	p.must(chromedp.MouseClickXY(s.X, s.Y, options...))
}

// types writes into the field that has a label.
func (p *person) types(label, text string) {
	p.t.Helper()
	p.await(`(() => {
		const l = [...document.querySelectorAll('label')].find(l => l.innerText.replace(/\s+/g, ' ').trim().startsWith(` + quote(label) + `));
		const field = l?.control;
		if (!field) return false;
		field.focus();
		field.select?.();
		return document.activeElement === field;
	})()`)
	if text == "" {
		p.must(chromedp.KeyEvent(kb.Delete))
		return
	}
	p.must(chromedp.KeyEvent(text))
}

// picks chooses from a list, by the keyboard.
func (p *person) picks(label, option string) {
	p.t.Helper()
	p.await(`(() => {
		const l = [...document.querySelectorAll('label')].find(l => l.innerText.trim().startsWith(` + quote(label) + `));
		l?.control?.focus();
		return !!l?.control && document.activeElement === l.control;
	})()`)
	for range 20 {
		if strings.Contains(ask[string](p, `document.activeElement.selectedOptions[0].text`), option) {
			return
		}
		p.must(chromedp.KeyEvent(kb.ArrowDown))
	}
	p.t.Fatalf("%s: there is no %q to choose", p.name, option)
}

// within3 holds what was done to the promise of the start page.
func (p *person) within3(what string) {
	p.t.Helper()
	p.t.Logf("%s: %d clicks from the start page", what, p.clicks)
	if p.clicks > 3 {
		p.t.Errorf("%s takes %d clicks from the start page, more than three", what, p.clicks)
	}
}

// email is an address that nobody has.
func (p *person) email() string {
	return fmt.Sprintf("%s-%d@example.com", p.name, time.Now().UnixNano())
}

// password is everybody's.
const password = "a long enough word"

// signsUp makes an account, by the form.
func (p *person) signsUp(role string) {
	p.t.Helper()
	p.click(link, "Sign up")
	p.at("/sign-up")
	p.click(choice, role)
	p.types("E-mail", p.email())
	p.types("Password", password)
	p.click(button, "Sign up")
	p.await(`!location.pathname.startsWith('/sign-up') && document.readyState === 'complete'`)
}

// newBuyer is somebody who has signed up already and has points.
func newBuyer(t testing.TB, name string, points int64, settings ...chromedp.Action) *person {
	t.Helper()
	p := newPerson(t, name, settings...)
	p.signedIn(shop(t).buyer(name, points))
	return p
}

// signedIn puts a session into his browser, as signing in does.
func (p *person) signedIn(tokens session) {
	p.t.Helper()
	for name, value := range map[string]string{"sluice_access": tokens.Access, "sluice_refresh": tokens.Refresh} {
		p.must(network.SetCookie(name, value).WithURL(house.url).WithHTTPOnly(true).WithSameSite(network.CookieSameSiteLax))
	}
}

// reload loads the page again, whatever it is.
var reload = chromedp.Reload()

// onFetch has requests that are held up (fetch.Enable says which) answered by an action.
func (p *person) onFetch(answer func(*fetch.EventRequestPaused) chromedp.Action) {
	chromedp.ListenTarget(p.page, func(event any) {
		if e, ok := event.(*fetch.EventRequestPaused); ok {
			go func() { _ = p.try(answer(e)) }() // a page that is left needs none
		}
	})
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// tabsTo goes on by Tab until the thing that says so has the focus, and asks that it can be
// seen there.
func (p *person) tabsTo(name string) {
	p.t.Helper()
	for range 200 {
		p.must(chromedp.KeyEvent(kb.Tab))
		said := ask[string](p, `(document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || '').replace(/\s+/g, ' ').trim()`)
		if !strings.HasPrefix(said, name) {
			continue
		}
		if ask[string](p, `getComputedStyle(document.activeElement).outlineStyle`) == "none" {
			p.t.Errorf("nobody sees that %q has the focus", name)
		}
		return
	}
	p.t.Fatalf("%s never comes to %q by Tab", p.name, name)
}

// enters presses Enter.
func (p *person) enters() {
	p.t.Helper()
	p.must(chromedp.KeyEvent(kb.Enter))
}
