// Package httpapi is the face of Sluice to programs: JSON over /v1. It is the
// only package that knows fiber.
//
//	POST   /v1/auth/signup             a buyer or seller comes            → 201, tokens
//	POST   /v1/auth/signin             … comes back                       → 200, tokens
//	POST   /v1/auth/refresh            … stays: each token works once     → 200, tokens
//	POST   /v1/auth/signout            … goes                             → 204
//
//	GET    /v1/me                      who am I                           → 200
//	PATCH  /v1/me                      another password or e-mail, notices or none → 200
//	DELETE /v1/me                      … and nobody any more              → 204
//	GET    /v1/me/wallet               my points, and where they went     → 200, paged
//	POST   /v1/me/wallet/topups        points out of nothing: a sandbox   → 201; closed in production: 403
//	GET    /v1/me/receipts             what came of my requests           → 200, paged
//	GET    /v1/me/orders               what I have to pay, and what I had → 200, paged
//	GET    /v1/me/coupons              what I may use                     → 200, paged
//	GET    /v1/me/notices              what I was told                    → 200, paged
//	POST   /v1/me/notices/read         … and have read                    → 200
//
//	POST   /v1/sales                   a seller offers something          → 201, the sale
//	GET    /v1/sales                   what is offered                    → 200, paged
//	GET    /v1/coupons                 … that I may claim                 → 200, paged
//	GET    /v1/sales/{id}              how a sale stands                  → 200
//	GET    /v1/sales/{id}/prices       its price curve                    → 200
//	PATCH  /v1/sales/{id}              its seller changes it              → 200; once it is open: 202, a receipt
//	DELETE /v1/sales/{id}              … takes it back before it opens    → 204
//	GET    /v1/sales/{id}/receipts     … sees who bought                  → 200, paged, or all as CSV
//	GET    /v1/sales/{id}/summary      … and what it brought              → 200
//	POST   /v1/sales/{id}/bids         a buyer bids in an auction         → 202, a receipt
//	POST   /v1/sales/{id}/reservations … reserves                         → 202, a receipt
//	POST   /v1/sales/{id}/claims       … claims a coupon                  → 202, a receipt
//	POST   /v1/sales/{id}/joins        … takes seats of an event          → 202, a receipt
//	PUT    /v1/sales/{id}/watch        … wants to know when it opens      → 204
//	DELETE /v1/sales/{id}/watch        … or not                           → 204
//
//	GET    /v1/sales/{id}/events       … as it changes                    → 200, an event stream
//
//	GET    /v1/receipts                where many requests stand          → 200
//	GET    /v1/receipts/{id}           where a request stands; with Prefer: wait=20 as soon as that changes → 200, 304
//	GET    /v1/receipts/{id}/events    … as it changes                    → 200, an event stream
//	GET    /v1/me/receipts/events      what comes of all my requests      → 200, an event stream
//	POST   /v1/receipts/{id}/pay       a buyer pays what is held          → 202, a receipt of its own
//	POST   /v1/receipts/{id}/cancel    … gives it back                    → 202, a receipt of its own
//	POST   /v1/receipts/{id}/refund    … wants a bid's points back        → 202, a receipt of its own
//	POST   /v1/receipts/{id}/change    … wants another slot               → 202, a receipt of its own
//	PUT    /v1/receipts/{id}/attendance a store says who came             → 204
//
//	POST   /v1/stores                  a seller opens a place with tables → 201, the store
//	GET    /v1/stores                  what places there are              → 200, paged
//	GET    /v1/stores/{id}             one of them                        → 200
//	PATCH  /v1/stores/{id}             its seller changes it              → 200
//	DELETE /v1/stores/{id}             … closes it                        → 204
//	GET    /v1/stores/{id}/slots       what is free on a day              → 200
//	POST   /v1/stores/{id}/reservations a buyer books a table             → 202, a receipt
//
//	GET    /v1/operations              how it all is, for an admin        → 200
//	GET    /v1/operations/dead-letters what could not be settled          → 200, paged
//	GET    /v1/operations/dead-letters/{id} … one of it, whole            → 200
//	POST   /v1/operations/dead-letters/{id}/replay … asked once more      → 202, a receipt
//	DELETE /v1/operations/dead-letters/{id} … forgotten                   → 204
//	POST   /v1/operations/audits       whether all tell one story         → 200
//	POST   /v1/operations/sales/{id}/suspend it sells nothing more        → 202
//	POST   /v1/operations/sales/{id}/resume  … sells on, when it is sound → 202
//	GET    /v1/operations/receipts/{id} whose a receipt is                → 200
//
//	GET    /v1/openapi.json            all of this, to the letter         → 200
//	GET    /docs                       … as a page                        → 200
//	GET    /docs/errors                what each code means               → 200
//
// routes.go has the one table of them with who may ask. A 202 says that the
// request is queued and will end in exactly one outcome. Location names its
// receipt, Retry-After and poll_after_ms when to ask again; for an admin who stops a
// sale or has it sell on, Location is the sale, whose state tells.
//
// What makes something (a sale, a top-up, a request) takes an Idempotency-Key: the
// same request under the same key gets what the first one made, as it stands by
// then, and Idempotency-Replayed: true. The POSTs of auth take none: a second
// sign-up finds the e-mail taken, a second sign-in is another session. Nor do
// notices: what is read stays read. Nor what an operator asks: an audit changes nothing,
// and a dead letter that is replayed twice asks once.
//
// A list answers limit things (1 to 100, else 20), and next_cursor while there are
// more. Lists go by keyset: what comes or goes while somebody turns the pages
// makes him miss or see twice nothing that stayed.
//
// openapi.json is the contract: the tests of this package hold all that is asked and
// answered against it. The pages are made of it and of the table of codes.
//
// Every error is a problem document (RFC 9457) with a stable code; problem.go
// has the one table of them. After a 503 or 500 it is not known whether the
// request was queued: the same key finds out.
//
// edge.go is what a request meets first: proxies that are believed or not, the rate
// of an address, pages of other origins, and headers that two servers could read in
// two ways. It stands before fiber and before tokens are read.
//
// Strings that fiber hands out live in buffers that the next request overwrites.
// The few that leave a handler (key, trace) are copied where they are read; that
// is cheaper than fiber's Immutable, which copies all of them.
package httpapi

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"sluice/internal/accounts"
	"sluice/internal/admission"
	"sluice/internal/audit"
	"sluice/internal/bookings"
	"sluice/internal/catalog"
	"sluice/internal/coupons"
	"sluice/internal/deadletters"
	"sluice/internal/logs"
	"sluice/internal/news"
	"sluice/internal/notices"
	"sluice/internal/receipts"
	"sluice/internal/survey"
)

// Options are the parts that an API shows, and its bounds. Zero bounds are the
// defaults.
type Options struct {
	Admission *admission.Admission
	Receipts  *receipts.Receipts
	Catalog   *catalog.Catalog
	Bookings  *bookings.Bookings
	Coupons   *coupons.Coupons
	Notices   *notices.Notices
	Accounts  *accounts.Accounts
	News      *news.News // that somebody runs
	Glances   *survey.Glances
	Letters   *deadletters.Letters
	Audit     *audit.Audit
	Version   string // of this program, for its operators
	Log       zerolog.Logger
	Registry  prometheus.Registerer
	Edge      Edge
	NoTopUps  bool // points do not come out of nothing: the sandbox is closed

	// Front makes the pages for people, given its way to the API; nil: there are none.
	Front func(http.RoundTripper) http.Handler

	PollBudget float64 // receipt polls per second that are invited; default 10,000
	Waiters    int     // long polls and event streams at once; default 20,000

	BodyLimit    int           // bytes of a body; default 64 KiB
	HeaderLimit  int           // bytes of request line and headers together; default 8 KiB
	Concurrency  int           // open connections; one more gets a bare 503 and is closed; default 65,536
	ReadTimeout  time.Duration // to send a whole request, so that nobody drips one in for ever; default 5 s
	WriteTimeout time.Duration // to take a whole answer; default 10 s
	IdleTimeout  time.Duration // between two requests of a connection; default 60 s
	WorkTimeout  time.Duration // for all that is done for one request; default 5 s
	AuditTimeout time.Duration // the same of an audit; default 30 s
}

// API answers requests until it is shut down.
type API struct {
	admission *admission.Admission
	receipts  *receipts.Receipts
	catalog   *catalog.Catalog
	bookings  *bookings.Bookings
	coupons   *coupons.Coupons
	notices   *notices.Notices
	accounts  *accounts.Accounts
	news      *news.News
	glances   *survey.Glances
	letters   *deadletters.Letters
	audit     *audit.Audit
	version   string
	log       zerolog.Logger
	glimpses  zerolog.Logger // log, sampled
	shedding  *shedding
	metrics   *metrics
	polls     *polls
	waiters   *waitRoom
	streams   *streams
	rooms     *rooms
	foresight *foresight
	proxies   proxies
	ipLimit   *ipLimit
	cors      *cors
	noTopUps  bool
	fronts    bool // there are pages

	app          *fiber.App
	seen         map[[2]string]*seen // by method and pattern, of all routes
	unseen       *seen               // what is none
	workTimeout  time.Duration
	writeTimeout time.Duration

	auditing  context.Context // of all audits; until Shutdown
	noAudits  context.CancelFunc
	auditTime time.Duration

	mu       sync.Mutex
	listener net.Listener
	lent     *lender // under it
	down     bool
}

// New answers an API that does not listen yet.
func New(o Options) *API {
	o.PollBudget = cmp.Or(o.PollBudget, 10_000)
	a := &API{
		admission: o.Admission, receipts: o.Receipts, catalog: o.Catalog,
		bookings: o.Bookings, coupons: o.Coupons, notices: o.Notices, accounts: o.Accounts,
		news: o.News, log: o.Log, metrics: newMetrics(o.Registry, o.PollBudget),
		glances: o.Glances, letters: o.Letters, audit: o.Audit, version: o.Version, auditTime: cmp.Or(o.AuditTimeout, 30*time.Second),
		polls: newPolls(o.PollBudget), waiters: newWaitRoom(cmp.Or(o.Waiters, 20_000), o.Registry),
		proxies: o.Edge.Proxies, ipLimit: newIPLimit(o.Edge.IPRate, o.Edge.IPBurst), cors: newCORS(o.Edge.Origins), noTopUps: o.NoTopUps,
		glimpses: logs.Glimpses(o.Log), shedding: newShedding(o.Log),
		seen: map[[2]string]*seen{}, unseen: &seen{pattern: "none"},
		workTimeout: cmp.Or(o.WorkTimeout, 5*time.Second), writeTimeout: cmp.Or(o.WriteTimeout, 10*time.Second),
	}
	a.auditing, a.noAudits = context.WithCancel(context.Background())
	a.streams = newStreams(a.waiters)
	a.rooms = newRooms(a)
	a.foresight = newForesight(a.news, o.Registry)
	a.app = fiber.New(fiber.Config{
		StrictRouting: true, // one address per thing: /v1/sales/7/ is not /v1/sales/7
		CaseSensitive: true,

		BodyLimit:      cmp.Or(o.BodyLimit, 64<<10),
		ReadBufferSize: cmp.Or(o.HeaderLimit, 8<<10),
		Concurrency:    cmp.Or(o.Concurrency, 1<<16),
		ReadTimeout:    cmp.Or(o.ReadTimeout, 5*time.Second),
		WriteTimeout:   a.writeTimeout,
		IdleTimeout:    cmp.Or(o.IdleTimeout, 60*time.Second),

		DisablePreParseMultipartForm: true, // a form is none of our bodies and must not reach the disk
		DisableStartupMessage:        true,
		ErrorHandler:                 a.broken,
	})
	server := a.app.Server()
	server.CloseOnShutdown = true // clients on a kept connection learn that they must find another
	var front http.Handler
	if o.Front != nil {
		front, a.fronts = o.Front(loop{server.Handler}), true
	}
	server.Handler = a.edge(a.knownMethod(a.fronted(front, server.Handler)))

	a.app.Use(a.around)
	routes := a.routes()
	// Fiber tries one after another, and no two of them fit one address: the busy ones first.
	slices.SortStableFunc(routes, func(r, q route) int { return cmp.Compare(q.busy(), r.busy()) })
	for _, r := range routes {
		a.seen[[2]string{r.method, r.pattern}] = &seen{pattern: r.pattern, hot: r.use == hot || r.use == polled}
		if r.method == fiber.MethodGet {
			a.seen[[2]string{fiber.MethodHead, r.pattern}] = &seen{pattern: r.pattern}
			a.app.Get(r.pattern, a.guarded(r)) // and HEAD
			continue
		}
		a.app.Add(r.method, r.pattern, a.guarded(r))
	}
	return a
}

// Serve answers what comes in on l. It returns nil as soon as Shutdown is called,
// also before it; wait for Shutdown to know that all is answered.
func (a *API) Serve(l net.Listener) error {
	lent := lend(l)
	l = &closedOnce{Listener: lent}
	a.mu.Lock()
	if a.down {
		a.mu.Unlock()
		return l.Close()
	}
	a.listener, a.lent = l, lent
	a.mu.Unlock()
	return a.app.Listener(l)
}

// Shutdown accepts nothing any more and waits until what is in hand is answered,
// or until ctx ends; then there is nothing left but to exit. It does not cut
// requests short. To be called once.
func (a *API) Shutdown(ctx context.Context) error {
	a.mu.Lock()
	a.down = true
	l, lent := a.listener, a.lent
	a.mu.Unlock()
	a.waiters.send()
	a.noAudits()
	var streams sync.WaitGroup // beside what is in hand, which may take all the time there is
	streams.Go(func() { a.streams.end(ctx) })
	defer streams.Wait()
	defer a.shedding.stop()
	if l == nil {
		return nil
	}
	// Close it ourselves: a server that is only about to serve l does not know it yet.
	if err := l.Close(); err != nil {
		return err
	}
	hurry, done := context.WithCancel(ctx)
	defer done()
	go lent.hurry(hurry)
	if err := a.app.ShutdownWithContext(ctx); err != nil {
		return err
	}
	return a.waiters.wait(ctx)
}

// closedOnce is a listener that may be closed again.
type closedOnce struct {
	net.Listener
	once sync.Once
	err  error
}

func (l *closedOnce) Close() error {
	l.once.Do(func() { l.err = l.Listener.Close() })
	return l.err
}

// knownMethod stands before fiber, which answers a method that it does not know
// with a text of its own.
func (a *API) knownMethod(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	known := map[string]bool{}
	for _, method := range fiber.DefaultMethods {
		known[method] = true
	}
	return func(request *fasthttp.RequestCtx) {
		if known[string(request.Method())] {
			next(request)
			return
		}
		a.beside(request, func(*fiber.Ctx) error { return &problem{code: methodUnknown} })
	}
}
