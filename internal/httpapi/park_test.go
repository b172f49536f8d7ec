package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/accounts"
)

// parkedClient is a bare connection on which long polls are sent.
type parkedClient struct {
	h       *house
	conn    net.Conn
	answers *bufio.Reader
}

func (h *house) parkedClient() *parkedClient {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		h.t.Fatal(err)
	}
	return &parkedClient{h, conn, bufio.NewReader(conn)}
}

func (c *parkedClient) send(text string) {
	c.h.t.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		c.h.t.Fatal(err)
	}
}

// hears reads an answer: its status, whether a wait was applied, and the receipt's status.
func (c *parkedClient) hears() (status int, applied, body string, closes bool) {
	c.h.t.Helper()
	answer, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		c.h.t.Fatal(err)
	}
	defer answer.Body.Close()
	text := new(strings.Builder)
	if _, err := bufio.NewReader(answer.Body).WriteTo(text); err != nil {
		c.h.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get(preferenceApplied), text.String(), answer.Close
}

// parks waits until so many long polls are parked.
func (h *house) parks(n int64) {
	h.t.Helper()
	h.until(fmt.Sprint(n, " wait"), func() bool { return h.api.waiters.all.Load() == n })
}

func longPollOf(location, token string, seconds int) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer %s\r\nPrefer: wait=%d\r\n\r\n", location, token, seconds)
}

// TestParked: a long poll is answered once, when its receipt has changed, and its
// connection goes on: with what the client had sent behind it, and with another wait.
func TestParked(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, token := h.account(accounts.Buyer, 10_000)
	s := h.sale(-time.Minute, time.Hour)
	location := h.bid(s, token, 1, 1000).header.Get("Location")

	c := h.parkedClient()
	c.send(longPollOf(location, token, 20) + "GET /v1/me HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer " + token + "\r\n\r\n")
	h.parks(1)
	h.work()
	if status, applied, body, closes := c.hears(); status != http.StatusOK || applied != "wait=20" || !strings.Contains(body, `"status":"confirmed"`) || closes {
		t.Errorf("answered %d, %q, closes %t, %s", status, applied, closes, body)
	}
	if status, applied, body, _ := c.hears(); status != http.StatusOK || applied != "" || !strings.Contains(body, `"role":"buyer"`) {
		t.Errorf("the request behind it is answered %d, %q, %s", status, applied, body)
	}
	h.parks(0)
	if n := testutil.ToFloat64(h.api.metrics.requests.WithLabelValues("/v1/receipts/:id", "GET", "200")); n != 1 {
		t.Errorf("it was counted %v times", n)
	}

	h.rest()
	location = h.bid(s, token, 1, 1000).header.Get("Location")
	for range 2 {
		began := time.Now()
		c.send(longPollOf(location, token, 1))
		h.parks(1)
		if status, applied, body, _ := c.hears(); status != http.StatusOK || applied != "wait=1" || !strings.Contains(body, `"status":"queued"`) {
			t.Errorf("when time is up: %d, %q, %s", status, applied, body)
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("answered after %s", took)
		}
	}
}

// TestParkedAtShutdown: who waits is answered at once, and told to go elsewhere.
func TestParkedAtShutdown(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, token := h.account(accounts.Buyer, 10_000)
	location := h.bid(h.sale(-time.Minute, time.Hour), token, 1, 1000).header.Get("Location")
	clients := make([]*parkedClient, 10)
	for i := range clients {
		clients[i] = h.parkedClient()
		clients[i].send(longPollOf(location, token, 60))
	}
	h.parks(int64(len(clients)))
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := h.api.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	for _, c := range clients {
		if status, applied, body, closes := c.hears(); status != http.StatusOK || applied != "wait=60" || !strings.Contains(body, `"status":"queued"`) || !closes {
			t.Errorf("answered %d, %q, closes %t, %s", status, applied, closes, body)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}
