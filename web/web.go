// Package web is the face of Sluice to people: a storefront, a seller's desk and an
// operator's desk, as pages that a browser shows.
//
//	browser ──GET──▶ page, whole and readable ──▶ after load: one stream of events (app.js)
//	        ──POST─▶ form with a key ──▶ API ──▶ 303 to the receipt
//
// The server renders every page first, in English or Korean; nothing on it needs a
// script to be read or used. What moves (prices, stock, places in a line, verdicts) is
// kept moving by one small module, static/app.js, which reckons with the server's clock,
// listens to one stream of events, and fetches the part of the page called "live" anew when
// something has changed: so there is one way to say a thing, the templates.
//
// It is a user of the API like any other: it knows package client, and of our own only
// the words of package sale. So it can be copied as the start of a shop.
//
//	web.go      pages and who may see them        session.go  who is signed in, in cookies
//	render.go   templates, languages, assets      words*.go   everything it says
//	shop.go     lists, a sale, asking of it       mine.go     receipts, wallet, coupons, notices
//	tables.go   stores and their slots            door.go     signing up, in and out
//	desk.go     the seller's desk                 sell.go     forms for what he sells
//	operate.go  how it all is, for operators      letters.go  dead letters
//	inspect.go  audits, whose a receipt is        curve.go    a price curve as a picture
//
// Every form carries a key that the page was made with, so whoever clicks twice or sends
// a page again asks once. Forms are taken from our own pages only (Sec-Fetch-Site or
// Origin says so), and cookies are HttpOnly.
package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"sluice/client"
)

// Options are what the pages need.
type Options struct {
	API     http.RoundTripper // the way to the API
	Log     zerolog.Logger    // of what could not be shown
	Grafana string            // address of the dashboards, for operators; "": there are none
}

// Front serves the pages.
type Front struct {
	api     *client.Client
	log     zerolog.Logger
	grafana string
	pages   *pages
	assets  *assets
	renewed *renewals
	mux     *http.ServeMux
}

// New answers the pages, as a handler of everything that is not the API's own.
func New(o Options) *Front {
	f := &Front{log: o.Log, grafana: o.Grafana, pages: readPages(), assets: readAssets(), renewed: newRenewals(), mux: http.NewServeMux()}
	var err error
	// A page is not kept waiting: it says that all are busy, and the browser comes back.
	f.api, err = client.New("http://sluice", client.WithHTTPClient(&http.Client{Transport: o.API}), client.WithAttempts(1), client.WithPageSize(pageSize))
	if err != nil {
		panic(err) // the address is ours
	}
	f.pages.stamp(f.assets)
	f.routes()
	return f
}

// Who may see a page. Whoever is not signed in is sent to the door first.
var (
	anybody   []client.Role
	signedIn  = []client.Role{client.Buyer, client.Seller, client.Admin}
	buyers    = []client.Role{client.Buyer}
	sellers   = []client.Role{client.Seller}
	operators = []client.Role{client.Admin}
)

func (f *Front) routes() {
	f.show("GET /{$}", anybody, f.list)
	f.show("GET /sales/{id}", anybody, f.sale)
	f.show("POST /sales/{id}/{verb}", buyers, f.ask)
	f.show("GET /stores", anybody, f.stores)
	f.show("GET /stores/{id}", anybody, f.store)
	f.show("POST /stores/{id}/book", buyers, f.book)

	f.show("GET /receipts", buyers, f.receipts)
	f.show("GET /receipts/{id}", signedIn, f.receipt)
	f.show("POST /receipts/{id}/{verb}", buyers, f.about)
	f.show("GET /wallet", signedIn, f.wallet)
	f.show("POST /wallet", signedIn, f.topUp)
	f.show("GET /coupons", buyers, f.coupons)
	f.show("GET /notices", signedIn, f.notices)
	f.show("POST /notices", signedIn, f.readNotices)

	f.show("GET /sell", sellers, f.sell)
	f.show("GET /sell/new", sellers, f.sellNew)
	f.show("GET /sell/preview", sellers, f.sellPreview)
	f.show("POST /sell", sellers, f.sellCreate)
	f.show("GET /sell/{id}", sellers, f.sellOne)
	f.show("GET /sell/{id}/edit", sellers, f.sellEdit)
	f.show("GET /sell/{id}/receipts.csv", sellers, f.sellCSV)
	f.show("POST /sell/{id}/attendance", sellers, f.attend)
	f.show("POST /sell/{id}/change/{verb}", sellers, f.sellChange)
	f.show("GET /tables/new", sellers, f.storeNew)
	f.show("POST /tables", sellers, f.storeOpen)
	f.show("GET /tables/{id}", sellers, f.storeShow)
	f.show("POST /tables/{id}/{verb}", sellers, f.storeChange)

	f.show("GET /operate", operators, f.operate)
	f.show("GET /operate/sales", operators, f.operateSales)
	f.show("GET /operate/sales/{id}", operators, f.operateSale)
	f.show("POST /operate/sales/{id}/{verb}", operators, f.operateAsk)
	f.show("GET /operate/dead-letters", operators, f.letters)
	f.show("GET /operate/dead-letters/{id}", operators, f.letter)
	f.show("POST /operate/dead-letters/{id}/{verb}", operators, f.letterAsk)
	f.show("GET /operate/audits", operators, f.auditForm)
	f.show("POST /operate/audits", operators, f.audit)
	f.show("GET /operate/lookup", operators, f.lookup)

	f.show("GET /sign-in", anybody, f.signInForm)
	f.show("POST /sign-in", anybody, f.signIn)
	f.show("GET /sign-up", anybody, f.signUpForm)
	f.show("POST /sign-up", anybody, f.signUp)
	f.show("POST /sign-out", anybody, f.signOut)
	f.show("POST /language", anybody, f.language)

	f.mux.HandleFunc("GET /static/{stamp}/{name}", f.asset)
	f.mux.HandleFunc("GET /favicon.ico", f.favicon)
	f.show("/", anybody, func(*visit) error { return &client.Problem{Status: http.StatusNotFound, Code: client.CodeNotFound} })
}

// page answers one visit: it writes the page, or says why there is none.
type page func(*visit) error

func (f *Front) show(pattern string, roles []client.Role, answer page) {
	f.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		v := f.visit(w, r)
		err := v.enter(roles)
		if err == nil {
			err = answer(v)
		}
		if err != nil {
			v.refuse(err)
		}
	})
}

// policy says what a page may do: what comes from here, and nothing else. No script or
// style stands in a page itself.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"

// ServeHTTP answers a page, or a part of one.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "same-origin") // so that the browser says whose form it sends
	h.Set("Cache-Control", "no-store")
	if err := sameOrigin.Check(r); err != nil {
		http.Error(w, "This form was sent from another site.", http.StatusForbidden)
		return
	}
	f.mux.ServeHTTP(w, r)
}

var sameOrigin = http.NewCrossOriginProtection()

// visit is one request of a browser.
type visit struct {
	front  *Front
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context
	lang   string
	tokens client.Tokens // none: nobody is signed in
	api    *client.Client
}

func (f *Front) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{front: f, w: w, r: r, ctx: r.Context(), lang: languageOf(r)}
	v.tokens = v.session()
	v.api = f.api
	if v.tokens.Access != "" {
		v.api = f.api.With(client.WithToken(v.tokens.Access))
	}
	return v
}

// enter refuses whoever may not see a page.
func (v *visit) enter(roles []client.Role) error {
	switch {
	case len(roles) == 0:
		return nil
	case v.tokens.Access == "":
		return &client.Problem{Status: http.StatusUnauthorized, Code: client.CodeUnauthorized}
	case !slices.Contains(roles, v.tokens.Role):
		return &client.Problem{Status: http.StatusForbidden, Code: client.CodeForbidden}
	}
	return nil
}

// go303 sends the browser to another page.
func (v *visit) go303(to string) error {
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// refuse says why there is no page.
func (v *visit) refuse(err error) {
	switch client.CodeOf(err) {
	case client.CodeUnauthorized, client.CodeTokenExpired, client.CodeTokenInvalid, client.CodeSessionEnded:
		v.forget()
		_ = v.go303("/sign-in?next=" + escape(v.here()))
		return
	}
	p := problemOf(err)
	if p == nil {
		v.front.log.Error().Err(err).Str("page", v.r.Pattern).Msg("a page could not be made")
		p = &client.Problem{Status: http.StatusInternalServerError, Code: client.CodeInternal}
	}
	v.showProblem(p)
}

// problemOf is what the API said, nil when it said nothing.
func problemOf(err error) *client.Problem {
	var p *client.Problem
	errors.As(err, &p)
	return p
}

// here is the page to come back to: this one, or for a form the page that has it.
func (v *visit) here() string {
	if v.r.Method == http.MethodGet {
		return v.r.URL.RequestURI()
	}
	path := strings.Split(v.r.URL.Path, "/")
	if len(path) > 3 { // /sales/7/bid
		return strings.Join(path[:3], "/")
	}
	return v.r.URL.Path
}

// problem is the page of what went wrong.
type problem struct {
	*client.Problem
	After time.Duration // when the browser may try again by itself
	Again []field       // the form that it sends then
	To    string
}

type field struct{ Name, Value string }

// showProblem says what went wrong, and offers to send a form again whose turn may come.
func (v *visit) showProblem(p *client.Problem) {
	body := problem{Problem: p, To: v.r.URL.Path}
	if v.r.Method == http.MethodPost && p.RetryAfter > 0 && v.r.PostForm != nil {
		body.After = p.RetryAfter
		for name, values := range v.r.PostForm {
			for _, value := range values {
				if name != "turn" && name != "password" {
					body.Again = append(body.Again, field{name, value})
				}
			}
		}
		slices.SortFunc(body.Again, func(a, b field) int { return strings.Compare(a.Name, b.Name) })
		if p.Turn != "" {
			body.Again = append(body.Again, field{"turn", p.Turn})
		}
	}
	if p.RetryAfter > 0 {
		v.w.Header().Set("Retry-After", seconds(p.RetryAfter))
	}
	v.render(p.Status, "problem", v.say("problem.title"), body)
}
