//go:build knownbad

package k6

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// lie is what an API in between makes of a good answer.
type lie struct {
	name     string
	scenario string // default: flash_sale
	tell     func(a *answer)
	broken   []string // the promises that must be seen broken; others may be
}

// answer is one on its way to the client.
type answer struct {
	*http.Request
	status int
	header http.Header
	body   string
	times  int  // that this was asked before
	shown  bool // to be confirmed, before
}

var (
	oneReceipt = regexp.MustCompile(`^/v1/receipts/[0-9a-f-]{36}$`)
	status     = regexp.MustCompile(`"status":"[a-z]+"`)
	position   = regexp.MustCompile(`"position":\d+`)
	pollAfter  = regexp.MustCompile(`"poll_after_ms":\d+`)
	resident   = regexp.MustCompile(`(?m)^process_resident_memory_bytes .*$`)
	depth      = regexp.MustCompile(`(?m)^sluice_partition_depth\{partition="0"\} .*$`)
)

// isRead and isAsked say whether it is about a receipt, or the request of a buyer.
func (a *answer) isRead() bool {
	return a.Method == http.MethodGet && oneReceipt.MatchString(a.URL.Path)
}

func (a *answer) isAsked() bool {
	return a.Method == http.MethodPost && strings.HasPrefix(a.URL.Path, "/v1/sales/")
}

func (a *answer) problem(status int, code string) {
	a.status = status
	a.header.Set("Content-Type", "application/problem+json")
	a.body = fmt.Sprintf(`{"type":"/docs/errors#%[1]s","title":"A lie","status":%[2]d,"code":"%[1]s","instance":"%[3]s","request_id":"lie"}`, code, status, a.URL.Path)
}

var lies = []lie{
	{name: "none"},
	{
		name: "a fault on every bid", broken: []string{"surprises"},
		tell: func(a *answer) {
			if a.isAsked() && strings.HasSuffix(a.URL.Path, "/bids") {
				a.problem(500, "internal")
			}
		},
	},
	{
		name: "nothing is sold", broken: []string{"verdicts", "units"},
		tell: func(a *answer) {
			if a.isAsked() {
				a.problem(409, "sold_out")
			}
		},
	},
	{
		name: "a refusal without a code", broken: []string{"surprises"},
		tell: func(a *answer) {
			if a.isAsked() && a.status == 409 {
				a.body = `{}`
			}
		},
	},
	{
		name: "a 202 that leads nowhere", broken: []string{"checks"},
		tell: func(a *answer) {
			if a.status == http.StatusAccepted {
				a.header.Del("Location")
			}
		},
	},
	{
		name: "everybody wins", broken: []string{"units_apart", "prints_apart"},
		tell: func(a *answer) {
			if a.isRead() && a.status == http.StatusOK {
				a.body = strings.Replace(a.body, `"status":"rejected"`, `"status":"confirmed"`, 1)
			}
		},
	},
	{
		name: "a win is taken back", broken: []string{"changed_minds"},
		tell: func(a *answer) {
			if a.isRead() && strings.Contains(a.body, `"verb":"claim"`) && a.shown {
				a.body = strings.Replace(a.body, `"status":"confirmed"`, `"status":"rejected"`, 1)
			}
		},
	},
	{
		name: "another price the second time", broken: []string{"changed_minds"},
		tell: func(a *answer) {
			if a.isRead() && strings.Contains(a.body, `"verb":"bid"`) && a.shown {
				a.body = strings.Replace(a.body, `"unit_price":`, `"unit_price":1`, 1)
			}
		},
	},
	{
		name: "no verdict ever", broken: []string{"unfinished", "units"},
		tell: func(a *answer) {
			if a.isRead() && a.status == http.StatusOK {
				a.body = status.ReplaceAllString(a.body, `"poll_after_ms":200,"status":"queued"`)
			}
		},
	},
	{
		name: "a receipt is forgotten", broken: []string{"surprises"},
		tell: func(a *answer) {
			if a.isRead() {
				a.problem(404, "unknown_receipt")
			}
		},
	},
	{
		name: "it takes its time", broken: []string{"verdict_ms", "http_req_duration{phase:poll}"},
		tell: func(a *answer) {
			if a.isRead() {
				time.Sleep(1200 * time.Millisecond)
			}
		},
	},
	{
		name: "come back later", broken: []string{"http_req_failed"},
		tell: func(a *answer) {
			if a.isAsked() && a.times == 0 {
				a.problem(503, "overloaded")
			}
		},
	},
	{
		name: "a bad audit", broken: []string{"audits_passed"},
		tell: func(a *answer) {
			if a.URL.Path == "/audit" {
				a.body = strings.Replace(a.body, `"verdict":"ok"`, `"verdict":"broken"`, 1)
			}
		},
	},
	{
		name: "a place gets worse", scenario: waitingRoom, broken: []string{"places_lost"},
		tell: func(a *answer) {
			if a.isRead() {
				a.body = position.ReplaceAllString(a.body, fmt.Sprintf(`"position":%d`, 100+a.times))
			}
		},
	},
	{
		name: "it is his turn, and he is told late", scenario: waitingRoom, broken: []string{"told_ms"},
		tell: func(a *answer) {
			if a.isRead() && strings.Contains(a.body, `"status":"held"`) {
				time.Sleep(1500 * time.Millisecond)
			}
		},
	},
	{
		name: "ask again at once", scenario: pollingStorm, broken: []string{"appointment_ms"},
		tell: func(a *answer) {
			if a.isRead() && strings.Contains(a.body, `"status":"waiting"`) {
				a.body = pollAfter.ReplaceAllString(a.body, `"poll_after_ms":1`)
			}
		},
	},
	{
		name: "come back when you like", scenario: pollingStorm, broken: []string{"checks"},
		tell: func(a *answer) {
			if a.Method == http.MethodGet {
				a.body = pollAfter.ReplaceAllString(a.body, `"seldom":1`)
			}
		},
	},
	{
		name: "it grows, and leaves work undone", scenario: soak, broken: []string{"memory_growth", "depth_at_end", "depth"},
		tell: func(a *answer) {
			if a.URL.Path == "/metrics" {
				a.body = resident.ReplaceAllString(a.body, fmt.Sprintf("process_resident_memory_bytes %d", 1<<20*(a.times+1)))
				a.body = depth.ReplaceAllString(a.body, `sluice_partition_depth{partition="0"} 5000`)
			}
		},
	},
}

// The scenarios, and what keeps them short.
const (
	flashSale    = "flash_sale"
	waitingRoom  = "waiting_room"
	pollingStorm = "polling_storm"
	soak         = "soak"
)

var short = map[string][]string{
	flashSale:    {"RATE=20", "DURATION=5", "VUS=150", "GIVE_UP=4"},
	waitingRoom:  {"RATE=10", "DURATION=5", "VUS=100", "WAIT=1"},
	pollingStorm: {"VUS=5", "RECEIPTS=10", "DURATION=8"},
	soak:         {"RATE=5", "DURATION=30"},
}

// TestLiars: a good deployment, and between it and its clients an API that lies in one
// way. Each lie is one that a careless load test believes.
func TestLiars(t *testing.T) {
	h := newHouse(t)
	h.start("consumer", nil, "SLUICE_OPS_LISTEN=127.0.0.1:0")
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			within := *h
			within.T = t
			api, ops, scenario := l.between(t, h.api), l.between(t, h.ops), cmp.Or(l.scenario, flashSale)
			settings := append([]string{"ACCOUNTS=40", "QUIET_WITHIN=3", "OPS_URLS=http://" + l.between(t, h.schedulerOps)}, short[scenario]...)
			if l.tell == nil {
				within.passes(within.begin(scenario, api, ops, append(settings, "GIVE_UP=60", "QUIET_WITHIN=60")...).end())
				return
			}
			within.fails(within.begin(scenario, api, ops, settings...).end(), l.broken...)
		})
	}
}

// TestNoAudit: a run that cannot ask for the audit has not passed.
func TestNoAudit(t *testing.T) {
	h := newHouse(t)
	h.start("consumer", nil, "SLUICE_OPS_LISTEN=127.0.0.1:0")
	v := h.begin(flashSale, h.api, freeAddress(t), "RATE=20", "DURATION=5", "ACCOUNTS=20", "QUIET_WITHIN=1").end()
	if v.status != exitScript || !strings.Contains(v.output, "no audit at") {
		t.Errorf("status %d\n%s", v.status, v.output)
	}
}

// between is an address that passes everything on to another, and lies.
func (l lie) between(t *testing.T, to string) string {
	t.Helper()
	target, err := url.Parse("http://" + to)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	asked, won := map[string]int{}, map[string]bool{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		what := r.Request.Method + r.Request.URL.Path + r.Request.Header.Get("Idempotency-Key")
		mu.Lock()
		a := &answer{Request: r.Request, status: r.StatusCode, header: r.Header, body: string(body), times: asked[what], shown: won[what]}
		asked[what]++
		won[what] = won[what] || strings.Contains(a.body, `"status":"confirmed"`)
		mu.Unlock()
		if l.tell != nil {
			l.tell(a)
		}
		r.StatusCode, r.Status, r.ContentLength = a.status, "", int64(len(a.body))
		r.Header.Set("Content-Length", fmt.Sprint(len(a.body)))
		r.Body = io.NopCloser(bytes.NewBufferString(a.body))
		return nil
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}
