// Package client speaks to Sluice, which sells limited stock to a crowd that comes
// all at once. It needs nothing but the standard library.
//
// A [Client] acts for one account. It signs in once and stays signed in:
//
//	c, err := client.New("http://localhost:8080")
//	…
//	_, err = c.SignIn(ctx, "ada@example.com", "correct horse battery")
//	…
//	receipt, err := c.Bid(ctx, 7, client.Bid{Quantity: 1, Price: 9800})
//	…
//	receipt, err = c.Wait(ctx, receipt)
//	…
//	fmt.Println(receipt.Status) // confirmed, or rejected and the Reason
//
// # Receipts
//
// A request of a sale (a bid, a reservation, a payment, a growth of its stock) is
// answered at once with a [Receipt], which is queued. [Client.Wait] waits until it is
// decided. It will be, in exactly one way, also if this program ends: keep the
// receipt's ID, and Wait(ctx, Receipt{ID: id}) goes on.
//
// What is decided may go on: who waits in a line is promoted, what is held is paid or
// expires. [Client.WaitUntil] follows it there:
//
//	receipt, err := c.Reserve(ctx, 8, client.Reserve{Quantity: 1})
//	…
//	receipt, err = c.WaitUntil(ctx, receipt, func(r client.Receipt) bool {
//		return r.Decided() && r.Status != client.Waiting
//	})
//	…
//	if receipt.Status == client.Held { // until receipt.PayBy
//		payment, err := c.Pay(ctx, receipt.ID)
//		…
//	}
//
// # Waiting
//
// There are four ways to learn what becomes of a request. All of them last as long as
// ctx does and through every fault that passes, and ask no more often than the API
// wants to be asked.
//
//   - [Client.Wait] and [Client.WaitUntil], for the verdict on one request: the API
//     holds its answer for up to 20 seconds and gives it as soon as there is news.
//     Where it does not, being an older one or having too many who wait, or where the
//     caller's [WithHTTPClient] leaves no time, or [WithPolling] says so, they ask again
//     after the pause that the API names.
//   - [Client.WaitAll], for a program that has many requests under way: one question
//     for every 100 of them. [Client.Poll] is one such question.
//   - [Client.Follow], for a page that shows its place in the queue or in the line as
//     it moves, and what becomes of a hold: a stream of events.
//   - [Client.FollowMine], for a program that lasts as long as its session does and
//     wants to hear of every change: one stream for all receipts, however many.
//
// [Client.FollowSale] shows a sale as it sells: price, stock and state. A stream
// connects again by itself, takes up where it was, and knows a dead connection by its
// silence. Each takes up one connection while it lasts, as does each answer that is
// held.
//
// # Problems
//
// What the API refuses is a [*Problem] with a stable [Code]; errors.As finds it,
// [CodeOf] asks for its code alone:
//
//	switch client.CodeOf(err) {
//	case client.CodeSoldOut: …
//	case client.CodeNotOpen: …
//	}
//
// A rejected receipt is no error: the request was decided, though not as hoped.
//
// # Trying again
//
// A lost connection and the answers 408, 429, 502, 503 and 504 pass. A call is sent
// again then, at most [WithAttempts] times in all, after the pause that the API
// asks for, or else after 0.2 seconds; the next ones double, up to 5 seconds, and all
// have jitter. Nothing is done twice:
// whatever makes something (a sale, a top-up, a request) carries an Idempotency-Key,
// the same each time. It is made for the call; give one of your own by [WithKey]
// when the call itself may be repeated, say after a crash of your program. All other
// answers are final, with one doubt: a refusal that follows a lost answer is that of
// the last sending, and the one before may still be on its way. Whoever must know asks
// again later, under the same key. ctx ends every wait, and a pause that would outlast its
// deadline, or 30 seconds, is not begun: the call ends with the last problem, whose
// RetryAfter tells how long. [CodeOverloaded] comes with a turn, which is a place
// among those who were refused: the client sends it back when it tries again, and
// makes a pause of up to two minutes for it. Whoever comes later than that may do so with
// [WithTurn].
//
// # Tokens
//
// An access token lasts minutes. When the API finds it expired, the client renews
// it once for all calls under way and sends them again. Each renewal also replaces
// the refresh token, and an old one used again ends the session: a program that
// keeps [Tokens] must keep the newest, which [WithSaver] hands it. Once a session
// has ended, every call is answered [CodeSessionEnded], until somebody signs in.
//
// # Units
//
// Amounts, prices and balances are whole points, at most 2^53 − 1. Rates are basis
// points (1/100 %). Times are the API's own, in UTC.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client speaks to one Sluice for one account, or for nobody until it signs in.
// Its methods may be called concurrently.
type Client struct {
	base     string
	http     *http.Client
	session  *session
	saver    func(Tokens)
	attempts int
	pageSize int
	theirs   bool // http is the caller's, and so is its time limit
	polling  bool
}

// Option changes a client that is being made.
type Option func(*Client)

// WithHTTPClient has all requests sent by h. Without it a client has connections of
// its own, goes where no redirect leads, and gives up on an answer after 15 seconds,
// or so long after the API has held it for as long as it was asked to. The Timeout
// of h holds for all calls but streams, and answers are held for less where it leaves
// less. They are not held where the Transport of h bounds its connections.
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) { c.http, c.theirs = h, true }
}

// WithToken is a client for whom this access token speaks, as long as it does.
func WithToken(access string) Option { return WithTokens(Tokens{Access: access}) }

// WithTokens goes on with a session that was kept.
func WithTokens(t Tokens) Option { return func(c *Client) { c.session = &session{tokens: t} } }

// WithTokenSource asks for an access token before each request; "" sends it
// without one. source is called concurrently, and its errors end the call.
func WithTokenSource(source func(context.Context) (access string, err error)) Option {
	return func(c *Client) { c.session = &session{source: source} }
}

// WithSaver calls save with every new pair of tokens, so that it can be kept, and
// with none when the session is signed out: one call at a time, before the tokens
// are used. save must not sign in or out.
func WithSaver(save func(Tokens)) Option { return func(c *Client) { c.saver = save } }

// WithAttempts bounds how many times one call is sent: 1 is never again, and
// math.MaxInt leaves it to ctx. The default is 6.
func WithAttempts(n int) Option { return func(c *Client) { c.attempts = max(n, 1) } }

// WithPolling has Wait and WaitUntil never ask the API to hold an answer: they ask as
// often as it wants them to. For where nothing in between lets a request last.
func WithPolling() Option { return func(c *Client) { c.polling = true } }

// WithPageSize says how many items of a list are fetched at once, 1 to 100. The
// default is 100.
func WithPageSize(n int) Option { return func(c *Client) { c.pageSize = n } }

// New answers a client of the Sluice at baseURL, such as https://sluice.example.
// It asks nothing yet.
func New(baseURL string, options ...Option) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the base URL must look like https://host:port") // it may hold a secret: not repeated
	}
	c := &Client{
		base: strings.TrimSuffix(u.String(), "/"), session: &session{}, attempts: 6, pageSize: 100,
		http: &http.Client{
			Timeout: 15 * time.Second,
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
				MaxIdleConnsPerHost: 100, IdleConnTimeout: 90 * time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	for _, option := range options {
		option(c)
	}
	return c, nil
}

// With answers a client that shares c's connections and differs by options. It
// shares c's session too, unless one of them gives it another.
func (c *Client) With(options ...Option) *Client {
	other := *c
	for _, option := range options {
		option(&other)
	}
	return &other
}

// Close waits until a renewal under way has ended, and closes the connections that
// nobody uses at the moment.
func (c *Client) Close() {
	_, _ = c.session.settle(context.Background()) // a renewal ends by itself
	c.http.CloseIdleConnections()
}

// CallOption changes one call.
type CallOption func(*call)

// WithKey is the Idempotency-Key of a call, 1 to 255 visible ASCII characters: two
// calls under one key are one request, and are answered alike. The same key with
// other content is refused with [CodeMismatch].
func WithKey(key string) CallOption { return func(k *call) { k.key, k.keyed = key, true } }

// WithTurn sends back the [Problem.Turn] of an earlier call that was the same and was
// refused as overloaded, so that this one goes before newcomers. Within one call the
// client does that by itself.
func WithTurn(turn string) CallOption { return func(k *call) { k.turn = turn } }

// visible says whether s can stand in a header as one word.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// untrusted says that the other end is not who it should be, which trying again
// does not change.
func untrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}

// sleep waits for d, or until ctx ends, which is an error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait: %w", ctx.Err())
	}
}
