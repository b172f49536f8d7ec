package httpapi

import (
	"net/netip"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// Edge is how an API meets the network. The zero Edge believes no proxy, refuses no
// address and lets no page of another origin in.
type Edge struct {
	Proxies []netip.Prefix // whose X-Forwarded-For and X-Forwarded-Proto are believed
	IPRate  float64        // requests per second of one address; 0: any number
	IPBurst int            // requests of one address at once, 1 or more where there is a rate
	Origins []string       // whose pages may read answers, as ParseOrigins makes them
}

// edge stands before everything else: it refuses what two servers could read in two
// ways, and an address that asks too often, before a token is read or a route looked
// for; and it answers browsers that ask whether they may ask.
func (a *API) edge(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(request *fasthttp.RequestCtx) {
		if resumes(request) { // it has been here, and was let in
			next(request)
			return
		}
		switch framingOf(&request.Request.Header) {
		case unclear:
			request.SetConnectionClose()
			linger(request)
			a.beside(request, func(*fiber.Ctx) error { return &problem{code: badRequest} })
			return
		case doubled:
			// fasthttp goes by the chunks, which RFC 9112 (6.1) allows, but would keep the
			// connection, which it forbids: whoever went by the length would take the answer to
			// what follows for another request's.
			request.SetConnectionClose()
			linger(request)
		}
		switch wait := a.early(request, time.Now()); {
		case wait > 0:
			a.metrics.ipLimited.Inc()
			a.beside(request, func(c *fiber.Ctx) error {
				c.Set(ratePolicyHeader, a.ipLimit.policy)
				c.Set(rateLimitHeader, `"ip";r=0;t=`+wholeSeconds(wait))
				return &problem{code: ipLimited, retryAfter: wait}
			})
		case a.cors.isPreflight(request):
			a.beside(request, preflight)
		default:
			next(request)
		}
	}
}

// early answers how long a request should have waited. One from this machine itself
// never has to: own tools, load tests and probes come so. Behind a proxy on this
// machine that names no client, everybody would.
func (a *API) early(request *fasthttp.RequestCtx, now time.Time) time.Duration {
	if a.ipLimit == nil {
		return 0
	}
	client, direct := a.from(request)
	if direct && client.IsLoopback() {
		return 0
	}
	return a.ipLimit.wait(client, now)
}

// beside answers a request that fiber does not get.
func (a *API) beside(request *fasthttp.RequestCtx, answer fiber.Handler) {
	c := a.app.AcquireCtx(request)
	defer a.app.ReleaseCtx(c)
	_ = a.unread(c, answer(c)) // it never fails
}

// secure says to browsers what they may do with an answer. Nothing of ours is a page
// (a route whose answer is one says so itself), nothing is embedded, nobody is told
// whence one came. Pages that may read us do so by CORS, which does not ask for
// Cross-Origin-Resource-Policy; all others are to get nothing.
var secure = [][2][]byte{
	{[]byte(fiber.HeaderXContentTypeOptions), []byte("nosniff")},
	{[]byte(fiber.HeaderContentSecurityPolicy), []byte("default-src 'none'; frame-ancestors 'none'")},
	{[]byte(fiber.HeaderReferrerPolicy), []byte("no-referrer")},
	{[]byte("Cross-Origin-Resource-Policy"), []byte("same-origin")},
}

// onlyTLS is for a year. Whether it goes for hosts beside ours is not ours to say.
var onlyTLS = [2][]byte{[]byte(fiber.HeaderStrictTransportSecurity), []byte("max-age=31536000")}

// fence sets the headers that keep an answer from whom it is not for. Their names are
// in their canonical form already, which saves most of what they cost.
func (a *API) fence(request *fasthttp.RequestCtx) {
	header := &request.Response.Header
	for _, h := range secure {
		header.SetCanonical(h[0], h[1])
	}
	if a.overTLS(request) {
		header.SetCanonical(onlyTLS[0], onlyTLS[1])
	}
	a.cors.share(request)
}
