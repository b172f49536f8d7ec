package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSheets: the document and the pages may be kept for five minutes, are not sent
// again to who has them, and load nothing.
func TestSheets(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	h := &house{t: t, addr: serve(t, api), client: http.DefaultClient}
	for path, media := range map[string]string{openAPIPath: "application/json", docsPath: "text/html; charset=utf-8", errorsPath: "text/html; charset=utf-8"} {
		r := h.ask("GET", path, "", "")
		tag := r.header.Get("ETag")
		if r.status != 200 || r.header.Get("Content-Type") != media || r.header.Get("Cache-Control") != "public, max-age=300" || tag == "" || r.raw == "" {
			t.Errorf("%s: %d %v", path, r.status, r.header)
		}
		for named, want := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200, strings.Trim(tag, `"`): 200} {
			again := h.ask("GET", path, "", "", "If-None-Match: "+named)
			if again.status != want || (again.raw == "") != (want == 304) || again.header.Get("ETag") != tag || again.header.Get("Cache-Control") != "public, max-age=300" {
				t.Errorf("%s if not %q: %d %v", path, named, again.status, again.header)
			}
		}
		if head := h.ask("HEAD", path, "", ""); head.status != 200 || head.raw != "" || head.header.Get("ETag") != tag {
			t.Errorf("HEAD %s: %d %v", path, head.status, head.header)
		}
	}
	if r := h.ask("GET", openAPIPath, "", ""); r.raw != string(openAPI) {
		t.Error("the document is another one")
	}
}

// TestPagesAreWhole: each page is one well-formed document with its style in it and
// nothing from elsewhere, shows every operation, every schema that is linked and every
// code, and leads nowhere that is not there.
func TestPagesAreWhole(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	h := &house{t: t, addr: serve(t, api), client: http.DefaultClient}
	pages, anchors := map[string]sight{}, map[string]map[string]bool{}
	for _, path := range []string{docsPath, errorsPath} {
		r := h.ask("GET", path, "", "")
		p, err := readSight(r.raw)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, wrong := range p.unsafe(r.header.Get("Content-Security-Policy")) {
			t.Errorf("%s: %s", path, wrong)
		}
		pages[path], anchors[path] = p, p.ids
	}
	for path, p := range pages {
		for _, to := range p.links {
			at, anchor, _ := strings.Cut(to, "#")
			if at == "" {
				at = path
			}
			if at != openAPIPath && (anchors[at] == nil || anchor != "" && !anchors[at][anchor]) {
				t.Errorf("%s leads to %s, where nothing is", path, to)
			}
		}
	}
	for word := range answers {
		if !anchors[errorsPath][string(word)] {
			t.Errorf("%s is not explained", word)
		}
	}
	for _, item := range lawOf(t).doc.Paths.Map() {
		for _, o := range item.Operations() {
			if !anchors[docsPath][o.OperationID] {
				t.Errorf("%s is not shown", o.OperationID)
			}
		}
	}
	// Known-bad twins: what must not stand in a page is found.
	for _, bad := range []string{
		`<html><script>x()</script></html>`, `<html><style>p{}</style></html>`, `<html><p style="color:red">x</p></html>`, `<html><img src="/x"/></html>`,
		`<html><a href="https://example.org">x</a></html>`, `<html><p onclick="x()">x</p></html>`, `<html><link rel="stylesheet" href="/x"/></html>`, `<html><p id="a">x</p><p id="a">y</p></html>`,
	} {
		p, err := readSight(bad)
		if err == nil && len(p.unsafe("default-src 'none'")) == 0 {
			t.Errorf("%s: nobody complains", bad)
		}
	}
	if _, err := readSight(`<html><p>x</html>`); err == nil {
		t.Error("a page that is not well-formed is taken")
	}
}

// sight is what stands in a page.
type sight struct {
	ids    map[string]bool
	links  []string
	styles []string
	wrong  []string
}

// readSight reads a page, in which every element must be closed, as XML has it.
func readSight(text string) (p sight, err error) {
	p.ids = map[string]bool{}
	decoder := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(text, "<!doctype html>")))
	decoder.Entity = xml.HTMLEntity
	in := ""
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return p, nil
		}
		if err != nil {
			return p, err
		}
		switch is := token.(type) {
		case xml.StartElement:
			in = is.Name.Local
			if slices.Contains([]string{"script", "img", "link", "iframe", "object", "embed", "form", "base", "svg"}, in) {
				p.wrong = append(p.wrong, "it has a "+in)
			}
			for _, a := range is.Attr {
				switch name := a.Name.Local; {
				case name == "id" && p.ids[a.Value]:
					p.wrong = append(p.wrong, "two of "+a.Value)
				case name == "id":
					p.ids[a.Value] = true
				case name == "href":
					p.links = append(p.links, a.Value)
					if strings.Contains(a.Value, ":") || strings.HasPrefix(a.Value, "//") {
						p.wrong = append(p.wrong, "it leads to "+a.Value)
					}
				case name == "style" || name == "src" || strings.HasPrefix(name, "on"):
					p.wrong = append(p.wrong, "it has "+name)
				}
			}
		case xml.EndElement:
			in = ""
		case xml.CharData:
			if in == "style" {
				p.styles = append(p.styles, string(is))
			}
		}
	}
}

// unsafe says what a browser that obeys policy would have to load, or would not show.
func (p sight) unsafe(policy string) []string {
	wrong := slices.Clone(p.wrong)
	for _, rule := range []string{"default-src 'none'"} {
		if !strings.Contains(policy, rule) {
			wrong = append(wrong, "its policy lacks "+rule)
		}
	}
	for _, style := range p.styles {
		sum := sha256.Sum256([]byte(style))
		if !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			wrong = append(wrong, "its policy forbids its style")
		}
		if regexp.MustCompile(`(?i)url\(|@import`).MatchString(style) {
			wrong = append(wrong, "its style loads something")
		}
	}
	return wrong
}

// TestWalks pastes the walks of /docs into a shell. Those that nobody serves yet
// must fail.
func TestWalks(t *testing.T) {
	t.Parallel()
	text, err := docsFiles.ReadFile("docs/walks.md")
	if err != nil {
		t.Fatal(err)
	}
	walks := walksOf(string(text))
	want := map[string]string{
		"Sign up":              `"sandbox":true`,
		"Offer a sale":         `"kind":"auction"`,
		"Bid":                  `[0-9a-f]{8}-[0-9a-f]{4}-`,
		"Poll":                 `"status":"confirmed"`,
		"Poll less":            `"status":"confirmed"`,
		"Repeat without fear":  `(?is)idempotency-replayed: true.*"code":"idempotency_mismatch"`,
		"Ask for many at once": `(?s)"receipts":\[\{.*"problems":\[\{`,
		"Follow a receipt":     `(?s)event: receipt\n.*"status":"confirmed"`,
		"Follow a sale":        `(?s)event: sale\n.*"kind":"auction"`,
	}
	if len(walks) != len(want) || strings.Count(string(text), "curl -") < len(want) {
		t.Fatalf("there are %d walks, want %d", len(walks), len(want))
	}
	h := open(t)
	h.work()
	const here = "http://localhost:8080"
	var script strings.Builder
	for i, w := range walks {
		if i == 0 && !strings.Contains(w.Shell, here) {
			t.Fatal("the walk does not say where it goes")
		}
		fmt.Fprintf(&script, "echo '── %s'\n%s", w.Title, strings.ReplaceAll(w.Shell, here, "http://"+h.addr))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-s")
	shell.Stdin = strings.NewReader(script.String())
	var said bytes.Buffer
	shell.Stdout, shell.Stderr = &said, &said
	_ = shell.Run() // the last walk ends when its time is over
	for _, part := range strings.Split(said.String(), "── ")[1:] {
		title, shown, _ := strings.Cut(part, "\n")
		if shows, known := want[title]; !known || !regexp.MustCompile(shows).MatchString(shown) {
			t.Errorf("%s shows\n%s", title, shown)
		}
		delete(want, title)
	}
	if len(want) > 0 {
		t.Errorf("the shell did not come to %v:\n%s", want, &said)
	}
}
