package web

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"sluice/client"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed static
var staticFiles embed.FS

// pages are all templates, in each language.
type pages struct {
	all   map[string]map[string]*template.Template // by language and name
	asset func(name string) string
}

// readPages parses every page together with the layout, once for each language.
func readPages() *pages {
	p := &pages{all: map[string]map[string]*template.Template{}, asset: func(string) string { return "" }}
	files, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		panic(err) // the pattern is ours
	}
	for _, lang := range languages {
		p.all[lang] = map[string]*template.Template{}
		for _, file := range files {
			name := strings.TrimSuffix(path.Base(file), ".html")
			if strings.HasPrefix(name, "_") {
				continue
			}
			p.all[lang][name] = template.Must(template.New("_layout.html").Funcs(p.functions(lang)).ParseFS(pageFiles, "pages/_*.html", file))
		}
	}
	return p
}

// stamp has the pages name assets by their content.
func (p *pages) stamp(a *assets) { p.asset = a.address }

// functions are what templates can call.
func (p *pages) functions(lang string) template.FuncMap {
	say := func(key string, arguments ...any) string { return sayIn(lang, key, arguments...) }
	return template.FuncMap{
		"t":      say,
		"asset":  func(name string) string { return p.asset(name) },
		"number": number,
		"size":   size,
		"newkey": rand.Text,
		"utcInput": func(text string) string {
			t, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return text
			}
			return t.UTC().Format("2006-01-02T15:04:05")
		},
		"hoursFrom": func(hours string) string { from, _, _ := strings.Cut(hours, "-"); return from },
		"hoursTo":   func(hours string) string { _, to, _ := strings.Cut(hours, "-"); return to },
		"spans":     func() any { return spans },
		"lang":      func() string { return lang },
		"iso":       func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") },
		"moment":    func(t time.Time) string { return momentIn(lang, t) },
		"length":    func(d time.Duration) string { return lengthIn(lang, d) },
		"percent": func(basisPoints int64) string {
			return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%02d", basisPoints/100, basisPoints%100), "0"), ".") + " %"
		},
		"plus":     func(a, b int64) int64 { return a + b },
		"since":    func(a, b time.Time) time.Duration { return b.Sub(a) },
		"query":    url.QueryEscape,
		"word":     func(w any) string { return fmt.Sprint(w) },
		"hue":      func(id int64) int64 { return id % hues },
		"known":    func(key string) bool { _, ok := words[key]; return ok },
		"outlooks": func() []string { return []string{"likely", "unlikely", "sold_out"} },
		"weekday":  func(t time.Time) string { return strings.ToLower(t.Weekday().String()[:3]) },
		"dayOf":    func(t time.Time) string { return t.Format("1/2") },
		"nav": func(v view, to, page, key string) link {
			return link{to, key, v.Page == page || strings.HasPrefix(v.Page, page+"-")}
		},
		"short": func(id string) string { return strings.ToUpper(id[:min(8, len(id))]) },
	}
}

// hues are the colours that stand in for pictures.
const hues = 8

// link is one of the navigation.
type link struct {
	To, Key string
	Here    bool
}

// view is what a template is given.
type view struct {
	*visit
	Title string
	Page  string // its name
	Body  any

	Balance int64 // of whoever is signed in
	News    int   // notices not read; 10 stands for more
}

// Lang, Role, Path and Now are for the layout.
func (v *visit) Lang() string      { return v.lang }
func (v *visit) Role() client.Role { return v.tokens.Role }
func (v *visit) Path() string      { return v.r.URL.RequestURI() }
func (v *visit) Now() time.Time    { return time.Now() }

// Say is a sentence in the visitor's language.
func (v *visit) say(key string, arguments ...any) string { return sayIn(v.lang, key, arguments...) }

// render writes a page. Every page is a fact of its moment, so nobody keeps one.
func (v *visit) render(status int, name, title string, body any) {
	all := view{visit: v, Title: title, Page: name, Body: body}
	if v.tokens.Access != "" {
		// What cannot be read is not shown: the page is about something else.
		if v.tokens.Role != client.Admin {
			all.Balance, _ = v.api.Balance(v.ctx)
		}
		for range firstOf(v.api.Notices(v.ctx, true), manyNews) {
			all.News++
		}
	}
	var page bytes.Buffer
	if err := v.front.pages.all[v.lang][name].ExecuteTemplate(&page, "_layout.html", all); err != nil {
		v.front.log.Error().Err(err).Str("page", name).Msg("a page is broken")
		http.Error(v.w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.lang)
	h.Add("Vary", "Accept-Encoding, Accept-Language, Cookie")
	text := page.Bytes()
	if strings.Contains(v.r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		text = zipped(text, gzip.BestSpeed)
	}
	v.w.WriteHeader(status)
	_, _ = v.w.Write(text) // a browser that has left needs none
}

// renderPart writes one piece of a page, for a page that is there already.
func (v *visit) renderPart(name, part string, body any) {
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := v.front.pages.all[v.lang][name].ExecuteTemplate(v.w, part, body); err != nil {
		v.front.log.Error().Err(err).Str("page", name).Msg("a piece of a page could not be made")
	}
}

// manyNews is where counting ends.
const manyNews = 10

func zipped(text []byte, level int) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, level) // a level that there is
	_, _ = z.Write(text)                   // to memory: it cannot fail
	_ = z.Close()
	return b.Bytes()
}

// assets are the files that pages load. Each is named by what is in it, so a browser
// keeps it for ever, and a new release is a new address.
type assets struct{ all map[string]asset }

type asset struct {
	stamp, kind  string
	plain, small []byte
}

func readAssets() *assets {
	a := &assets{all: map[string]asset{}}
	entries, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		panic(err) // they are built in
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		text, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(text)
		a.all[e.Name()] = asset{hex.EncodeToString(sum[:6]), mime.TypeByExtension(path.Ext(e.Name())), text, zipped(text, gzip.BestCompression)}
	}
	return a
}

func (a *assets) address(name string) string { return "/static/" + a.all[name].stamp + "/" + name }

func (f *Front) asset(w http.ResponseWriter, r *http.Request) {
	found, ok := f.assets.all[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", found.kind)
	h.Add("Vary", "Accept-Encoding")
	if r.PathValue("stamp") == found.stamp { // that of another release is answered, and not kept
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	text := found.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		text = found.small
	}
	_, _ = w.Write(text)
}

func (f *Front) favicon(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, f.assets.address("icon.svg"), http.StatusFound)
}

// number groups digits: 1,234,567.
func number(n any) string {
	var value int64
	switch n := n.(type) {
	case int64:
		value = n
	case int:
		value = int64(n)
	}
	digits, sign := strconv.FormatInt(value, 10), ""
	if digits[0] == '-' {
		digits, sign = digits[1:], "−"
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// seconds is a duration as Retry-After says it: whole, and not too early.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

func escape(s string) string { return url.QueryEscape(s) }
