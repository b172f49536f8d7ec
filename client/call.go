package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	keyMost      = 255              // characters of an Idempotency-Key
	answerMost   = 8 << 20          // bytes; the longest true answer is 100 sales with their descriptions
	longestPause = 30 * time.Second // that a call is willing to make
	longestTurn  = 2 * time.Minute  // with a turn, which is a place that leaving would lose
	turnMost     = 512              // bytes of a turn

	firstPause = 200 * time.Millisecond // when nobody says how long; it doubles
	mostPause  = 5 * time.Second        // and ends here
	turnLate   = time.Second            // that a turn is used late at most
)

// ifNoneMatch names the state that the caller has; when it is what there is, nothing
// is answered into his hands.
const ifNoneMatch = "If-None-Match"

// call is one request of the API, however many times it is sent.
type call struct {
	method, path string
	query        url.Values
	body         any  // nil: none
	into         any  // nil: nothing is read
	public       bool // sent without a token
	once         bool // carries an Idempotency-Key, like every POST that is not public
	key          string
	keyed        bool // by the caller

	accept string // another form than JSON, which is not read but answered: stream
	stream io.ReadCloser

	header http.Header   // sent besides what every call sends
	hold   time.Duration // that the API may take to answer, beyond what a call may
	single bool          // sent once, whatever the answer
	turn   string        // of an overloaded API, for the next attempt

	// Of the last attempt.
	token  string // that it carried
	status int
	answer http.Header

	// unsure is set by do: an earlier attempt may have been executed, though its
	// answer was lost.
	unsure bool
}

// lost is an attempt whose answer did not arrive.
type lost struct{ err error }

func (l *lost) Error() string { return l.err.Error() }
func (l *lost) Unwrap() error { return l.err }

// do sends k until it is answered for good, or until there is no use in trying.
func (c *Client) do(ctx context.Context, k *call, options ...CallOption) error {
	for _, option := range options {
		option(k)
	}
	if err := c.persist(ctx, k); err != nil {
		return fmt.Errorf("%s %s: %w", k.method, k.path, err)
	}
	return nil
}

func (c *Client) persist(ctx context.Context, k *call) error {
	switch {
	case k.keyed && (k.key == "" || len(k.key) > keyMost || !visible(k.key)):
		return errors.New("an Idempotency-Key has 1 to 255 visible ASCII characters")
	case len(k.turn) > turnMost || !visible(k.turn):
		return errors.New("this is no turn that the API gives")
	case !k.keyed && (k.once || k.method == http.MethodPost && !k.public):
		k.key = rand.Text()
	}
	var body []byte
	if k.body != nil {
		var err error
		if body, err = json.Marshal(k.body); err != nil {
			return err
		}
	}
	for tried := 1; ; tried++ {
		err := c.authorized(ctx, k, body)
		if err == nil || ctx.Err() != nil || !passes(err) || tried >= c.attempts || k.single {
			return err
		}
		k.unsure = k.unsure || mayHaveActed(err)
		most := longestPause
		if turn := turnOf(err); turn != "" {
			k.turn, most = turn, longestTurn
		}
		pause := pauseAfter(err, tried)
		if pause > most {
			return err
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause {
			return fmt.Errorf("%w; trying again in %s would be too late: %w", err, pause.Round(time.Millisecond), context.DeadlineExceeded)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// authorized sends k once, or twice when its token turns out to be stale.
func (c *Client) authorized(ctx context.Context, k *call, body []byte) error {
	if k.public {
		return c.once(ctx, k, body, "")
	}
	token, err := c.token(ctx, "")
	if err != nil {
		return err
	}
	err = c.once(ctx, k, body, token)
	if code := CodeOf(err); code != CodeTokenExpired && code != CodeTokenInvalid {
		return err
	}
	another, renewal := c.token(ctx, token)
	switch {
	case renewal != nil:
		return renewal
	case another == token: // there is no way to a better one
		return err
	}
	return c.once(ctx, k, body, another)
}

// once sends k and reads its answer.
func (c *Client) once(ctx context.Context, k *call, body []byte, token string) error {
	if !visible(token) {
		return errors.New("the access token holds characters that no token has")
	}
	address := c.base + k.path
	if len(k.query) > 0 {
		address += "?" + k.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, k.method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Accept", cmp.Or(k.accept, "application/json"))
	request.Header.Set("User-Agent", "sluice-client")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if k.key != "" {
		request.Header.Set("Idempotency-Key", k.key)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if k.turn != "" {
		request.Header.Set(turnHeader, k.turn)
	}
	maps.Copy(request.Header, k.header)
	sender := *c.http
	switch {
	case k.accept != "":
		sender.Timeout = 0 // it is as long as it is; ctx ends it
	case k.hold > 0 && !c.theirs:
		sender.Timeout += k.hold
	}
	k.token, k.status, k.answer = token, 0, nil
	response, err := sender.Do(request)
	if err != nil {
		return &lost{err}
	}
	k.status, k.answer = response.StatusCode, response.Header
	if k.accept != "" && response.StatusCode < http.StatusMultipleChoices {
		k.stream = response.Body
		return nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, answerMost+1)) // to its end, so that the connection can be used again
	switch {
	case err != nil:
		return &lost{fmt.Errorf("read the answer: %w", err)}
	case response.StatusCode == http.StatusNotModified && k.header.Get(ifNoneMatch) != "":
		return nil // what the caller has is what there is
	case response.StatusCode >= http.StatusMultipleChoices:
		return problemOf(response, text)
	case len(text) > answerMost:
		return fmt.Errorf("the answer is longer than %d bytes", answerMost)
	case k.into == nil:
		return nil
	}
	if err := json.Unmarshal(text, k.into); err != nil {
		return fmt.Errorf("understand the answer: %w", err)
	}
	return nil
}

// passes says whether the same call may well succeed later.
func passes(err error) bool {
	var p *Problem
	var l *lost
	var u *unrenewed
	switch {
	case errors.As(err, &u): // the renewal has tried long enough
		return false
	case errors.As(err, &p):
		return slices.Contains([]int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, p.Status)
	case errors.As(err, &l):
		return !untrusted(err)
	}
	return false
}

// mayHaveActed says whether the attempt that ended with err, which passes, may
// have been executed nevertheless.
func mayHaveActed(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		return p.Status != http.StatusTooManyRequests
	}
	var network *net.OpError
	return !errors.As(err, &network) || network.Op != "dial"
}

// recovers says whether what ended with err may succeed later, given more time than
// one call takes: also a renewal of the session that has not.
func recovers(err error) bool {
	var u *unrenewed
	if errors.As(err, &u) {
		return passes(u.err)
	}
	return passes(err)
}

// pauseAfter is the time to wait after an attempt, the tried'th, ended with err.
// It is spread, so that those who were refused together do not come back together;
// never to less than the API asks for.
func pauseAfter(err error, tried int) time.Duration {
	if told := retryAfterOf(err); told > 0 {
		told = min(told, 2*longestTurn) // which nobody waits for, and which cannot overflow
		if turnOf(err) != "" {
			return told + mathrand.N(min(told/4, turnLate)+1) // the API has spread the turns, which grow old
		}
		return spread(max(told, min(told<<min(tried-1, 10), mostPause))) // what was too early goes on being so
	}
	pause := min(firstPause<<min(tried-1, 10), mostPause)
	return pause/2 + mathrand.N(pause/2+1)
}

// spread is d and up to a quarter more.
func spread(d time.Duration) time.Duration { return d + mathrand.N(d/4+1) }

func retryAfterOf(err error) time.Duration {
	var p *Problem
	if errors.As(err, &p) {
		return p.RetryAfter
	}
	return 0
}
