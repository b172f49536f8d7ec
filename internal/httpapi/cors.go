package httpapi

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// cors lets the pages of some origins read our answers. There is no mode with
// credentials: who asks shows a bearer token, which no browser adds by itself. nil
// lets nobody, and says nothing of it.
type cors struct{ origins map[string][]byte }

// What pages may send beyond what they may always, and what they may read.
var (
	corsMethods = []byte("GET, HEAD, POST, PUT, PATCH, DELETE")
	corsHeaders = []byte("Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, X-Request-ID, Sluice-Turn")
	corsExpose  = []byte("Location, Retry-After, ETag, RateLimit, RateLimit-Policy, Idempotency-Replayed, Preference-Applied, X-Request-ID, Sluice-Turn")
	corsMaxAge  = []byte("600") // seconds: as long as a list that was changed may still be believed
)

var (
	allowOrigin   = []byte(fiber.HeaderAccessControlAllowOrigin)
	exposeHeaders = []byte(fiber.HeaderAccessControlExposeHeaders)
	allowMethods  = []byte(fiber.HeaderAccessControlAllowMethods)
	allowHeaders  = []byte(fiber.HeaderAccessControlAllowHeaders)
	maxAge        = []byte(fiber.HeaderAccessControlMaxAge)
	vary          = []byte(fiber.HeaderVary)
	byOrigin      = []byte(fiber.HeaderOrigin)
)

// ParseOrigins reads a comma-separated list of origins, each in the one way in which
// browsers write it.
func ParseOrigins(text string) (all []string, err error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		u, err := url.Parse(word)
		switch {
		case word == "*" || word == "null":
			return nil, fmt.Errorf("%s would let everybody in: name the origins", word)
		case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Scheme+"://"+u.Host != word || strings.ContainsFunc(word, oddInOrigin):
			return nil, fmt.Errorf("%q is no origin like https://shop.example.com or http://localhost:3000, in small letters and without a path", word)
		case strings.HasSuffix(u.Host, ":"), u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
			return nil, fmt.Errorf("%q is never sent: browsers leave the usual port out", word)
		}
		all = append(all, word)
	}
	return all, nil
}

// oddInOrigin: browsers write hosts in small ASCII letters.
func oddInOrigin(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(":/.-_[]", r)
}

func newCORS(origins []string) *cors {
	if len(origins) == 0 {
		return nil
	}
	o := &cors{origins: map[string][]byte{}}
	for _, origin := range origins {
		o.origins[origin] = []byte(origin)
	}
	return o
}

// known answers the origin that a request comes from as it stands in the list, nil
// when it does not. What is answered is never what was sent.
func (o *cors) known(request *fasthttp.RequestCtx) []byte {
	if o == nil {
		return nil
	}
	if sent := request.Request.Header.PeekAll(fiber.HeaderOrigin); len(sent) == 1 {
		return o.origins[string(sent[0])]
	}
	return nil
}

// isPreflight says whether a browser asks for a page of the list whether it may ask.
func (o *cors) isPreflight(request *fasthttp.RequestCtx) bool {
	return o != nil && request.IsOptions() && len(request.Request.Header.Peek(fiber.HeaderAccessControlRequestMethod)) > 0 && o.known(request) != nil
}

// preflight answers one. Who may do what is found out by doing it.
func preflight(c *fiber.Ctx) error {
	header := &c.Response().Header
	header.SetCanonical(allowMethods, corsMethods)
	header.SetCanonical(allowHeaders, corsHeaders)
	header.SetCanonical(maxAge, corsMaxAge)
	return nothing(c)
}

// share sets what lets a page of the list read the answer. Caches are told that the
// answer to another page is another one, whoever asks now.
func (o *cors) share(request *fasthttp.RequestCtx) {
	if o == nil {
		return
	}
	header := &request.Response.Header
	header.SetCanonical(vary, byOrigin)
	if origin := o.known(request); origin != nil {
		header.SetCanonical(allowOrigin, origin)
		header.SetCanonical(exposeHeaders, corsExpose)
	}
}
