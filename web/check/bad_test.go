package check

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Everything that a browser may complain of, each on a page that has it.
var bad = map[string]struct{ page, trouble string }{
	"an error on the console":   {`<script>console.error('ouch')</script>`, "console: "},
	"a warning on the console":  {`<script>console.warn('mind')</script>`, "console: "},
	"an exception":              {`<script>nothing.at.all</script>`, "exception: "},
	"a promise that nobody has": {`<script>Promise.reject(new Error('no'))</script>`, "exception: "},
	"a missing file":            {`<script src="/missing.js"></script>`, "answer: 404 "},
	"a request that fails":      {`<script>fetch('http://127.0.0.1:1/').catch(() => {})</script>`, "request: "},
	"a script from elsewhere":   {`<script src="http://localhost:1/x.js"></script>`, "issue: ContentSecurityPolicyIssue"},
	"a field without a name":    {`<form><label for="nobody">x</label><input name="y"></form>`, "issue: GenericIssue"},
}

// TestWitness shows the witness each of them, and a page that has none.
func TestWitness(t *testing.T) {
	const head, foot = `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>x</title>`, `</html>`
	page := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'self' 'unsafe-inline' data:; connect-src *")
		fmt.Fprint(w, head, page, foot)
	}))
	defer server.Close()
	p := newPerson(t, "witness")
	for what, b := range bad {
		page = b.page
		p.must(chromedp.Navigate(server.URL))
		var told []string
		for end := time.Now().Add(patience); time.Now().Before(end) && !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, b.trouble) }); {
			time.Sleep(20 * time.Millisecond) // it is told after the page is there
			told = append(told, p.told()...)
		}
		if !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, b.trouble) }) {
			t.Errorf("%s: heard was %v", what, told)
		}
	}
}

// TestAxe shows axe-core a page that few could read or use.
func TestAxe(t *testing.T) {
	p := newPerson(t, "axe")
	p.open("/")
	if told := p.violations(); len(told) > 0 {
		t.Fatal(told)
	}
	ask[bool](p, `(() => {
		const main = document.querySelector('main');
		main.append(document.createElement('img'), document.createElement('button'));
		const pale = main.appendChild(document.createElement('p'));
		pale.textContent = 'pale';
		Object.assign(pale.style, {color: '#eee', background: '#fff', width: '9999px'});
		return true;
	})()`)
	told := strings.Join(p.violations(), "\n")
	for _, rule := range []string{"image-alt", "color-contrast", "button-name", "too-wide"} {
		if !strings.Contains(told, rule+" at ") {
			t.Errorf("%s was not found: %s", rule, told)
		}
	}
	if _, err := unpackAxe([]byte("something else")); err == nil {
		t.Error("another package was taken for axe-core")
	}
}

// TestStreams shows a page that opens a second stream of events.
func TestStreams(t *testing.T) {
	lamp := shop(t).opened(falling("Streaming lamp", 3, 5*time.Second), time.Minute)
	p := newPerson(t, "streams")
	p.open("/sales/" + number(lamp.ID))
	p.await(`document.getElementById('wire').dataset.wire === 'live'`)
	if n := p.streaming(); n != 1 {
		t.Errorf("the page has %d streams of events", n)
	}
	ask[bool](p, `!!(window.second = new EventSource(document.getElementById('live').dataset.events))`)
	for end := time.Now().Add(patience); p.streaming() != 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("with a second one it has %d", p.streaming())
		}
	}
	ask[bool](p, `window.second.close() || true`)
}
