package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

// A front is pages for people. It stands at every address that is none of ours, and
// is a client like any other, whose way to us is a function call:
//
//	GET /sales/7 ──edge──▶ front ──RoundTrip──▶ GET /v1/sales/7
//	GET /v1/sales/7 ─────▶ fiber ◀──────────────┘
//
// Whoever has signed in there carries his access token in a cookie, which browsers send
// by themselves. So it counts for what changes nothing, and for nothing else: it is
// there for streams of events, to which no page can add a header.

// AccessCookie holds the access token of who has signed in on a page.
const AccessCookie = "sluice_access"

// frontPattern is how a page is called in logs and metrics.
const frontPattern = "page"

// guest is whom a front asks for: he is the client of what it asks.
type guest struct {
	request string // ID of the request for the page: all that it asks goes under it
	address net.Addr
	headers [][2]string // that proxies wrote about him
}

type guestKey struct{}

// forwarded are what proxies write about whom they speak for; overTLS and from read them.
var forwarded = []string{fiber.HeaderXForwardedFor, fiber.HeaderXForwardedProto}

// fronted hands what is none of ours to the front, if there is one.
func (a *API) fronted(front http.Handler, next fasthttp.RequestHandler) fasthttp.RequestHandler {
	if front == nil {
		return next
	}
	a.seen[[2]string{"", frontPattern}] = &seen{pattern: frontPattern, hot: true}
	page := fasthttpadaptor.NewFastHTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Not the context of the server: what is in hand when that stops is finished.
		who, _ := r.Context().Value(guestKey{}).(guest)
		// A page is some questions to ourselves, each of which is bounded by itself; none
		// takes longer than an audit.
		ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), guestKey{}, who), a.auditTime+a.workTimeout)
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				a.log.Error().Str("request_id", who.request).Str("route", frontPattern).Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("a page broke")
				http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			}
		}()
		front.ServeHTTP(w, r.WithContext(ctx))
	}))
	return func(request *fasthttp.RequestCtx) {
		if ours(string(request.Path())) {
			next(request)
			return
		}
		c := a.app.AcquireCtx(request)
		defer a.app.ReleaseCtx(c)
		started := time.Now()
		a.greet(c)
		for _, name := range [][]byte{cacheControlName, secure[1][0], secure[2][0]} { // a page says it for itself
			request.Response.Header.DelBytes(name)
		}
		who := guest{request: requestID(c), address: request.RemoteAddr()}
		for _, name := range forwarded {
			for _, value := range request.Request.Header.PeekAll(name) {
				who.headers = append(who.headers, [2]string{name, string(value)})
			}
		}
		request.SetUserValue(guestKey{}, who)
		if a.overTLS(request) {
			request.Request.Header.Set(fiber.HeaderXForwardedProto, "https")
		} else {
			request.Request.Header.Del(fiber.HeaderXForwardedProto)
		}
		page(request)
		a.finish(c, started, &fiber.Route{Path: frontPattern}, nil)
	}
}

// ours says whether a path is the API's own.
func ours(path string) bool {
	for _, own := range []string{"/v1", docsPath} {
		if rest, ok := strings.CutPrefix(path, own); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// loop is the way of a front to the API: no network, and no edge, which the guest has
// passed.
type loop struct{ answer fasthttp.RequestHandler }

// RoundTrip answers a request as if its guest had sent it.
func (l loop) RoundTrip(r *http.Request) (*http.Response, error) {
	who, _ := r.Context().Value(guestKey{}).(guest)
	request := &fasthttp.RequestCtx{}
	request.Init2(noConn{peer: who.address}, nil, true)
	in := &request.Request
	in.Header.SetMethod(r.Method)
	in.SetRequestURI(r.URL.RequestURI())
	in.Header.SetHost(r.URL.Host)
	for name, values := range r.Header {
		for _, value := range values {
			in.Header.Add(name, value)
		}
	}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		in.SetBodyRaw(body)
	}
	in.Header.Set(fiber.HeaderXRequestID, who.request)
	for _, h := range who.headers {
		in.Header.Add(h[0], h[1])
	}
	l.answer(request)
	out := &request.Response
	response := &http.Response{
		StatusCode: out.StatusCode(), Status: http.StatusText(out.StatusCode()), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Request: r, ContentLength: -1,
	}
	for name, value := range out.Header.All() {
		response.Header.Add(string(name), string(value))
	}
	if out.IsBodyStream() {
		response.Body = streamed{out}
	} else {
		response.Body = io.NopCloser(bytes.NewReader(out.Body()))
	}
	return response, nil
}

// noConn is the connection of a request that came by none.
type noConn struct {
	net.Conn // nil: nothing is read or written here
	peer     net.Addr
}

func (c noConn) RemoteAddr() net.Addr           { return c.peer }
func (c noConn) LocalAddr() net.Addr            { return c.peer }
func (noConn) SetDeadline(time.Time) error      { return nil }
func (noConn) SetReadDeadline(time.Time) error  { return nil }
func (noConn) SetWriteDeadline(time.Time) error { return nil }

// streamed is an answer that is read while it is written.
type streamed struct{ out *fasthttp.Response }

func (s streamed) Read(p []byte) (int, error) { return s.out.BodyStream().Read(p) }
func (s streamed) Close() error               { return s.out.CloseBodyStream() }

// cookie answers the access token that a browser sends by itself, "" when there is none,
// or when the request would change something.
func (a *API) cookie(c *fiber.Ctx) string {
	if method := c.Method(); !a.fronts || method != fiber.MethodGet && method != fiber.MethodHead {
		return ""
	}
	return string(c.Request().Header.Cookie(AccessCookie))
}
