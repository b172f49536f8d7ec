package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// serve answers requests on a port of its own.
func serve(t *testing.T, handler http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// made makes a load here, and answers what came of it.
func made(t *testing.T, l Load) (told Loaded) {
	t.Helper()
	var out bytes.Buffer
	if err := generate(t.Context(), l, &out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &told); err != nil {
		t.Fatal(err)
	}
	return told
}

// TestKeys: a closed loop asks as often as it is told, each time with a token of the list
// and a key that was never there.
func TestKeys(t *testing.T) {
	var mu sync.Mutex
	seen, tokens := map[string]int{}, map[string]int{}
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != "POST" || r.URL.Path != "/v1/sales/7/bids" || string(body) != "{}" {
			t.Errorf("asked %s %s %s, %v", r.Method, r.URL, body, err)
		}
		mu.Lock()
		defer mu.Unlock()
		seen[r.Header.Get("Idempotency-Key")]++
		tokens[r.Header.Get("Authorization")]++
		w.WriteHeader(202)
	})
	told := made(t, Load{Address: address, Journey: Post, Connections: 3, Path: "/v1/sales/7/bids", Tokens: []string{"a", "b"}, Body: "{}", Key: "k-", Expect: []int{202}, Count: 100})
	if told.N != 100 || told.Statuses[202] != 100 || told.Wrong != "" || told.Seconds <= 0 || told.Latency.Max <= 0 {
		t.Errorf("%+v", told)
	}
	if len(seen) != 100 || seen["k-0"] != 1 || seen["k-99"] != 1 || tokens["Bearer a"] != 50 || tokens["Bearer b"] != 50 {
		t.Errorf("%d keys, tokens %v", len(seen), tokens)
	}
}

// TestUnexpected: an answer that should not be ends the load, and is shown.
func TestUnexpected(t *testing.T) {
	var n atomic.Int64
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 20 {
			http.Error(w, "overloaded", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(202)
	})
	for name, l := range map[string]Load{
		"closed": {Count: 1000},
		"open":   {Length: time.Minute, Rate: 1000},
	} {
		n.Store(0)
		l.Address, l.Journey, l.Connections, l.Path, l.Tokens, l.Expect = address, Post, 2, "/x", []string{"a"}, []int{202}
		if told := made(t, l); !strings.Contains(told.Wrong, "answered 503: overloaded") {
			t.Errorf("%s: %+v", name, told)
		}
	}
	l := Load{Address: address, Journey: Read, Connections: 1, Paths: []string{"/x"}, Expect: []int{202}, Word: "queued", Count: 3}
	if told := made(t, l); !strings.Contains(told.Wrong, "not with queued") {
		t.Errorf("a word that is missing: %+v", told)
	}
	if told := made(t, Load{Address: "127.0.0.1:1", Journey: Read, Connections: 1, Paths: []string{"/x"}, Expect: []int{200}, Count: 3}); told.Wrong == "" {
		t.Errorf("nobody is there: %+v", told)
	}
}

// TestVerdict: it is over when the receipt is no longer queued, and not before.
func TestVerdict(t *testing.T) {
	var polls sync.Map
	var waits atomic.Int64
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.Header().Set("Location", "http://elsewhere/v1/receipts/"+r.Header.Get("Idempotency-Key"))
			w.WriteHeader(202)
			return
		}
		if r.Header.Get("Prefer") == waitFor {
			waits.Add(1)
		}
		n, _ := polls.LoadOrStore(r.URL.Path+r.Header.Get("Authorization"), new(atomic.Int64))
		status := "queued"
		if n.(*atomic.Int64).Add(1) == 3 {
			status = "confirmed"
		}
		fmt.Fprintf(w, `{"status":%q}`, status)
	})
	l := Load{Address: address, Journey: Verdict, Connections: 2, Path: "/x", Tokens: []string{"a", "b", "c"}, Key: "k", Expect: []int{202}, Count: 10}
	if told := made(t, l); told.N != 10 || told.Wrong != "" {
		t.Errorf("%+v", told)
	}
	asked := 0
	polls.Range(func(path, n any) bool {
		asked++
		if n := n.(*atomic.Int64).Load(); n != 3 {
			t.Errorf("%s was read %d times", path, n)
		}
		return true
	})
	if asked != 10 || waits.Load() != 30 {
		t.Errorf("%d receipts were read, %d times with patience", asked, waits.Load())
	}
	// A load that drains reads the last ones alone.
	polls.Clear()
	l.Journey, l.Drain, l.Poll, l.Key = Post, true, true, "again"
	if told := made(t, l); told.N != 10 || told.Wrong != "" || told.Drained <= told.Seconds {
		t.Errorf("%+v", told)
	}
	asked = 0
	polls.Range(func(any, any) bool { asked++; return true })
	if asked < 1 || asked > 2 || waits.Load() != 30 {
		t.Errorf("%d receipts were read, %d times with patience", asked, waits.Load())
	}
}

// TestStall: who comes while a server stands still waits, and an open loop says so. A
// closed loop is the known-bad twin: while nobody is answered nobody asks, so one stall
// per connection is all that it ever sees (coordinated omission).
func TestStall(t *testing.T) {
	const stall, rate = 500 * time.Millisecond, 1000
	var began atomic.Int64
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		since := time.Duration(time.Now().UnixNano() - began.Load())
		if since > stall && since < 2*stall {
			time.Sleep(2*stall - since)
		}
	})
	measure := func(rate float64) Loaded {
		began.Store(time.Now().UnixNano())
		return made(t, Load{Address: address, Journey: Read, Connections: 4, Paths: []string{"/x"}, Expect: []int{200}, Length: 4 * stall, Rate: rate})
	}
	open, closed := measure(rate), measure(0)
	if open.Wrong != "" || closed.Wrong != "" {
		t.Fatal(open.Wrong, closed.Wrong)
	}
	// A quarter of all come in the stall; a tenth of all in its first two fifths, and wait
	// for more than half of it.
	if least := stall.Seconds() * 1000 / 2; open.Latency.P90 < least {
		t.Errorf("of an open loop, p90 is %.1f ms: where are those who came in the stall?", open.Latency.P90)
	}
	if open.N < rate*int(4*stall/time.Millisecond)/1000/2 {
		t.Errorf("of an open loop, only %d came", open.N)
	}
	if most := stall.Seconds() * 1000 / 2; closed.N > 400 && closed.Latency.P90 > most {
		t.Errorf("the twin saw the stall: p90 is %.1f ms, of %d", closed.Latency.P90, closed.N)
	}
}

// TestRate: an open loop comes as often as it is told, whatever the answers take.
func TestRate(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Millisecond) })
	told := made(t, Load{Address: address, Journey: Read, Connections: 64, Paths: []string{"/x"}, Expect: []int{200}, Length: time.Second, Rate: 2000})
	// Of Poisson's 2000 the standard deviation is 45.
	if told.N < 1600 || told.N > 2400 {
		t.Errorf("%d came", told.N)
	}
	if told.Latency.P50 < 1 {
		t.Errorf("they took %+v", told.Latency)
	}
}

func TestLoadCheck(t *testing.T) {
	fine := Load{Address: "a:1", Journey: Read, Connections: 1, Paths: []string{"/"}, Expect: []int{200}, Count: 1}
	if err := fine.check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Load){
		"no address": func(l *Load) { l.Address = "" }, "no connections": func(l *Load) { l.Connections = 0 }, "no end": func(l *Load) { l.Count = 0 },
		"nothing expected": func(l *Load) { l.Expect = nil }, "no length": func(l *Load) { l.Rate = 1 }, "no paths": func(l *Load) { l.Paths = nil },
		"nothing to post to": func(l *Load) { l.Journey = Post }, "nonsense": func(l *Load) { l.Journey = "x" },
	} {
		l := fine
		spoil(&l)
		if l.check() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
