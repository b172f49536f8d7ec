package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"sluice/internal/sale"
)

const (
	connections = 128              // to the API, for all buyers together
	answerBy    = 10 * time.Second // for one HTTP request
)

// client speaks to the API as any stranger's program would.
type client struct {
	base string
	http *http.Client
}

func newClient(base string) *client {
	return &client{base: base, http: &http.Client{
		Timeout: answerBy,
		Transport: &http.Transport{
			MaxConnsPerHost: connections, MaxIdleConns: connections, MaxIdleConnsPerHost: connections,
			IdleConnTimeout: time.Minute,
		},
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// bid is the body of a POST.
type bid struct {
	Quantity int64 `json:"quantity"`
	Price    int64 `json:"price"`
}

// answer is what both a POST and a poll say of a receipt.
type answer struct {
	Receipt     string `json:"receipt"`
	Status      string `json:"status"`
	Reason      string `json:"reason"`
	UnitPrice   int64  `json:"unit_price"`
	PollAfterMS int64  `json:"poll_after_ms"`
}

// unsettled says that there is something to wait for.
func (a answer) unsettled() bool { return a.Status == sale.Queued.String() }

func (a answer) pollAfter() time.Duration {
	return max(time.Duration(a.PollAfterMS)*time.Millisecond, 10*time.Millisecond)
}

// refusal is a problem document: the request was not accepted. An error.
type refusal struct {
	Status       int    `json:"status"`
	Code         string `json:"code"`
	RetryAfterMS int64  `json:"retry_after_ms"`
	after        time.Duration
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s", r.Status, r.Code) }

// temporary says that the same request may be accepted later: the door was
// crowded, or the buyer's clock is a little ahead of the sale's.
func (r *refusal) temporary() bool {
	return r.Status == http.StatusTooManyRequests || r.Status >= 500 || r.Code == string(sale.RefusedNotOpen)
}

func (c *client) bid(ctx context.Context, token, key string, lot int64, b bid) (answer, error) {
	body, err := json.Marshal(b)
	if err != nil {
		return answer{}, err
	}
	return c.do(ctx, http.MethodPost, fmt.Sprintf("/v1/sales/%d/bids", lot), token, key, body)
}

func (c *client) receipt(ctx context.Context, token, id string) (answer, error) {
	return c.do(ctx, http.MethodGet, "/v1/receipts/"+id, token, "", nil)
}

func (c *client) do(ctx context.Context, method, path, token, key string, body []byte) (a answer, err error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20)) // to its end, so that the connection can be used again
	if err != nil {
		return a, err
	}
	if response.StatusCode >= 300 {
		no := &refusal{}
		if json.Unmarshal(text, no) != nil || no.Code == "" {
			no.Code = "http_" + strconv.Itoa(response.StatusCode)
		}
		no.Status, no.after = response.StatusCode, time.Duration(no.RetryAfterMS)*time.Millisecond
		if no.after == 0 {
			no.after = retryAfter(response.Header)
		}
		return a, no
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return a, nil
}

// retryAfter reads the header's seconds; without one, a second.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		seconds = 1
	}
	return time.Duration(seconds) * time.Second
}
