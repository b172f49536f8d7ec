package httpapi

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/valyala/fasthttp"
)

var caller = netip.MustParseAddr("198.51.100.7")

// TestIPLimitKeepsItsRate: over random histories what is let through is what a bucket
// of tokens lets through, and who waits as long as he was told is let through then.
func TestIPLimitKeepsItsRate(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		burst := 1 + random.IntN(20)
		gap := time.Duration(1+random.IntN(50)) * time.Millisecond
		l := newIPLimit(float64(time.Second)/float64(gap), burst)
		tokens, last := time.Duration(burst)*gap, l.began // in time that a token takes to come back
		now := l.began
		for range 300 {
			now = now.Add(time.Duration(random.Int64N(int64(2 * gap))))
			tokens = min(time.Duration(burst)*gap, tokens+now.Sub(last))
			last = now
			wait := l.wait(caller, now)
			if (wait == 0) != (tokens >= gap) {
				t.Fatalf("seed %d: waits %s with %s of %d × %s", seed, wait, tokens, burst, gap)
			}
			if wait == 0 {
				tokens -= gap
				continue
			}
			if early := l.wait(caller, now.Add(wait-1)); early != 1 {
				t.Fatalf("seed %d: a nanosecond too early it is told %s", seed, early)
			}
			if again := l.wait(caller, now.Add(wait)); again != 0 {
				t.Fatalf("seed %d: told to wait %s, and then %s", seed, wait, again)
			}
			now = now.Add(wait)
			tokens, last = min(time.Duration(burst)*gap, tokens+wait)-gap, now
		}
	}
}

func TestIPLimitCountsNetworks(t *testing.T) {
	t.Parallel()
	l := newIPLimit(1, 1)
	for _, c := range []struct {
		address string
		free    bool
	}{
		{"198.51.100.7", true}, {"198.51.100.7", false}, {"198.51.100.8", true},
		{"2001:db8:0:1::1", true}, {"2001:db8:0:1:ffff::2", false}, {"2001:db8:0:2::1", true},
		{"::c633:6407", true}, {"::", false}, {"::2", false}, // look like the first one, and are one network of their own
		{"0.0.0.0", true}, {"0.0.0.1", true},
	} {
		if got := l.wait(netip.MustParseAddr(c.address), l.began) == 0; got != c.free {
			t.Errorf("%s: %t", c.address, got)
		}
	}
	if newIPLimit(0, 0) != nil {
		t.Error("a rate of 0 is a limit")
	}
}

// TestIPLimitForgets: a crowd of addresses takes no more memory than a few, and drives
// out nobody who has asked lately while there are others who have not.
func TestIPLimitForgets(t *testing.T) {
	t.Parallel()
	l := newIPLimit(1, 10)
	now := l.began
	for range 10 {
		l.wait(caller, now)
	}
	address := func(i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 1, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
	}
	for i := range 20_000 { // 2.4 for each bucket, of 8
		if wait := l.wait(address(i), now); wait != 0 {
			t.Fatalf("address %d waits %s", i, wait)
		}
	}
	if l.wait(caller, now) == 0 {
		t.Error("whoever has used up his burst was forgotten first")
	}
	for i := range 1_000_000 {
		l.wait(address(i), now.Add(time.Minute))
	}
	if size := len(l.buckets) * int(unsafe.Sizeof(bucket{})); size > 2<<20 {
		t.Errorf("it takes %d bytes", size)
	}
}

// TestIPLimit: whoever asks too often is refused before anything is done for him, is
// told the truth about when to come back, and nobody else notices.
func TestIPLimit(t *testing.T) {
	t.Parallel()
	api, log := bare(t, func(o *Options) {
		o.Edge = Edge{Proxies: proxies{netip.MustParsePrefix("127.0.0.1/32")}, IPRate: 0.01, IPBurst: 3}
	}, nil)
	addr := serve(t, api)
	ask := func(from, request string) reply {
		t.Helper()
		all := raw(t, addr, request+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: "+from+"\r\nAuthorization: Bearer x.y.z\r\n\r\n")
		if len(all) != 1 {
			t.Fatalf("%d answers", len(all))
		}
		return all[0]
	}
	for _, request := range []string{"GET /v1/me", "GET /nowhere", "BREW /v1/me"} { // whatever is asked counts
		if r := ask("198.51.100.7", request); r.status == 429 {
			t.Fatalf("%s: %d", request, r.status)
		}
	}
	for _, request := range []string{"GET /v1/me", "POST /v1/auth/signin", "GET /nowhere", "BREW /v1/me", "OPTIONS /v1/me"} {
		r := ask("1.1.1.1, 198.51.100.7", request)
		if r.status != 429 || !strings.Contains(r.raw, `"code":"ip_limited"`) || r.header.Get("Content-Type") != problemType {
			t.Errorf("%s: %d %s", request, r.status, r.raw)
		}
		if r.header.Get("RateLimit-Policy") != `"ip";q=3;w=300` || r.header.Get("RateLimit") != `"ip";r=0;t=`+r.header.Get("Retry-After") {
			t.Errorf("%s: %v", request, r.header)
		}
		if after := r.header.Get("Retry-After"); after != "100" && after != "99" { // seconds to the next token, less what the test took
			t.Errorf("%s: Retry-After %q", request, after)
		}
		if r.header.Get("X-Request-Id") == "" || r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", request, r.header)
		}
	}
	if r := ask("198.51.100.8", "GET /v1/me"); r.status != 401 {
		t.Errorf("another address: %d", r.status)
	}
	if n := testutil.ToFloat64(api.metrics.ipLimited); n != 5 {
		t.Errorf("%v are counted", n)
	}
	if strings.Contains(log.String(), "198.51") {
		t.Errorf("an address is in the log: %s", log)
	}
}

// TestOwnToolsAreNotLimited: from this machine, unless somebody speaks for another.
func TestOwnToolsAreNotLimited(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, func(o *Options) { o.Edge = Edge{IPRate: 0.01, IPBurst: 1} }, nil)
	addr := serve(t, api)
	for i := range 10 {
		if r, err := get(addr, "/v1/me"); err != nil || r.status != 401 {
			t.Fatalf("request %d: %d, %v", i, r.status, err)
		}
	}
	proxied := "GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"
	if first, second := raw(t, addr, proxied)[0].status, raw(t, addr, proxied)[0].status; first != 401 || second != 429 {
		t.Errorf("a proxy that is not believed: %d, then %d", first, second)
	}
}

// TestFloodIsNoFloodOfLines: a flood of refusals is no flood of log lines.
func TestFloodIsNoFloodOfLines(t *testing.T) {
	t.Parallel()
	api, log := bare(t, func(o *Options) { o.Edge = Edge{IPRate: 0.01, IPBurst: 1} }, nil)
	addr := serve(t, api)
	one := "GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"
	all := raw(t, addr, strings.Repeat(one, 500)+strings.Replace(one, "Host: x", "Host: x\r\nConnection: close", 1))
	if len(all) != 501 {
		t.Fatalf("%d answers", len(all))
	}
	if lines := strings.Count(log.String(), "ip_limited"); lines == 0 || lines > 200 {
		t.Errorf("%d lines", lines)
	}
}

// BenchmarkIPLimit is what an address that may ask costs: alone, behind a proxy, and
// one of a crowd that does not fit.
func BenchmarkIPLimit(b *testing.B) {
	api := &API{ipLimit: newIPLimit(1e6, 1e6), proxies: proxies{netip.MustParsePrefix("10.0.0.0/8")}}
	for name, headers := range map[string]string{"direct": "", "proxied": "X-Forwarded-For: 198.51.100.7, 10.0.0.9\r\n"} {
		b.Run(name, func(b *testing.B) {
			request := requestFrom(b, "10.0.0.1:4711", headers)
			b.ReportAllocs()
			for b.Loop() {
				api.early(request, time.Now())
			}
		})
	}
	b.Run("crowd", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			api.ipLimit.wait(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), time.Now())
		}
	})
}

// requestFrom is a request as fasthttp hands it out.
func requestFrom(t testing.TB, peer, headers string) *fasthttp.RequestCtx {
	t.Helper()
	request := &fasthttp.RequestCtx{}
	from, err := netip.ParseAddrPort(peer)
	if err != nil {
		t.Fatal(err)
	}
	request.Init(&fasthttp.Request{}, net.TCPAddrFromAddrPort(from), nil)
	request.Request.Header.Set("Host", "x")
	for line := range strings.SplitSeq(strings.TrimSuffix(headers, "\r\n"), "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			request.Request.Header.Add(name, value)
		}
	}
	return request
}

func TestEarlyAllocatesLittle(t *testing.T) {
	api := &API{ipLimit: newIPLimit(1e6, 1e6), proxies: proxies{netip.MustParsePrefix("10.0.0.0/8")}}
	for peer, most := range map[string]float64{"203.0.113.9:4711": 0, "10.0.0.1:4711": 1} {
		request := requestFrom(t, peer, "X-Forwarded-For: 198.51.100.7\r\n")
		if got := testing.AllocsPerRun(1000, func() { api.early(request, time.Now()) }); got > most {
			t.Errorf("%s: %v allocations", peer, got)
		}
	}
	if _, direct := api.from(requestFrom(t, "10.0.0.1:4711", "X-Forwarded-For: 198.51.100.7\r\n")); direct {
		t.Error("the header is not seen")
	}
}
