package process_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"sluice/internal/embedded"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/partition"
	"sluice/internal/process"
	"sluice/internal/sale"
)

const (
	patience  = 3 * time.Minute // with anything that has to happen
	crowdKeys = "crowd:kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
)

// deployment is real servers and the programs over them, each in a process of its own,
// so that what the API takes can be told from what the crowd takes that asks it.
type deployment struct {
	testing.TB
	ctx             context.Context
	redis, postgres string           // URLs
	ours            *process.Process // makes accounts, sales and tokens
	store           *partition.Store // watches
	tokens          []string         // of buyers
	settings        []string         // of all programs
}

// deploy builds one over these servers, with so many buyers.
func deploy(t testing.TB, redisURL, postgresURL string, buyers int, settings ...string) *deployment {
	t.Helper()
	d := &deployment{TB: t, ctx: context.WithoutCancel(t.Context()), redis: redisURL, postgres: postgresURL, settings: settings}
	var err error
	d.ours, err = process.Open(d.ctx, process.Config{
		RedisURL: redisURL, PostgresURL: postgresURL, JWTKeys: crowdKeys,
		Partitions: 16, PostgresConns: 4, Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", ShutdownGrace: 10 * time.Second,
		BuyerBurst: 1, Backlog: 1, PollBudget: 1000, Waiters: 1, BatchesKeep: 24 * time.Hour, LogLevel: "warn", LogFormat: "json", Name: "bench",
	}, zerolog.Nop())
	d.must(err)
	t.Cleanup(func() {
		if err := d.ours.Close(); err != nil {
			t.Error(err)
		}
	})
	d.store, err = partition.Open(d.ctx, partition.Options{URL: redisURL, Partitions: 16})
	d.must(err)
	t.Cleanup(func() { d.store.Close() })
	accounts, err := d.ours.Accounts.Create(d.ctx, "buyer", buyers, 1_000_000)
	d.must(err)
	for _, account := range accounts {
		token, err := d.ours.Token(account, "buyer", time.Hour)
		d.must(err)
		d.tokens = append(d.tokens, token)
	}
	// The first owner of a partition opens it; then nobody is needed to queue requests.
	consumer := d.run("consumer")
	d.until("all partitions are open", func() bool {
		pulses, _, err := d.store.Pulses(d.ctx)
		shut := slices.ContainsFunc(slices.Collect(maps.Values(pulses)), func(p partition.Pulse) bool { return strings.HasPrefix(p.Data, " ") })
		return err == nil && len(pulses) == d.store.Partitions() && !shut
	})
	consumer.stop()
	return d
}

// lasting starts servers as they would be deployed: what they write reaches the disk.
func lasting(b *testing.B) (redisURL, postgresURL string) {
	b.Helper()
	dir, err := os.MkdirTemp("", "sluice-bench-*") // not b.TempDir: Postgres' own user must enter it
	if err == nil {
		b.Cleanup(func() { os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		b.Fatal(err)
	}
	servers, err := embedded.Start(context.WithoutCancel(b.Context()), embedded.Options{Dir: dir, Durable: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := servers.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := process.Migrate(b.Context(), servers.PostgresURL); err != nil {
		b.Fatal(err)
	}
	return servers.RedisURL, servers.PostgresURL
}

func (d *deployment) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *deployment) until(what string, met func() bool) {
	d.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.Fatalf("in vain: %s", what)
		}
	}
}

// auction offers more lamps than anybody can buy, from now on.
func (d *deployment) auction() int64 {
	d.Helper()
	sellers, err := d.ours.Accounts.Create(d.ctx, "seller", 1, 0)
	d.must(err)
	now := sale.At(time.Now()) + 100
	s, _, err := d.ours.Catalog.Create(d.ctx, sale.Sale{
		Kind: sale.Auction, Seller: sellers[0], Title: "lamp", Stock: sale.MaxStock, Limit: 1_000_000, RefundWindow: time.Hour, ShowStock: true,
		Price:   sale.Price{Policy: sale.Constant, Start: 10, Drop: 1, Period: time.Hour},
		OpensAt: now, ClosesAt: now.Add(time.Hour),
	}, "")
	d.must(err)
	d.until("the sale opens", func() bool { return sale.At(time.Now()) > s.OpensAt+10 })
	return s.ID
}

// throttled is the URL of Postgres by a way on which every word of an answer takes so
// long.
func (d *deployment) throttled(latency time.Duration) (url string) {
	d.Helper()
	proxied := d.detour()
	_, err := proxied.link.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
		`{"type": "latency", "stream": "downstream", "attributes": {"latency": %d}}`, latency.Milliseconds())))
	d.must(err)
	return proxied.url
}

type detour struct {
	link *toxiproxy.Proxy
	url  string
}

func (d *deployment) detour() detour {
	d.Helper()
	server, err := url.Parse(d.postgres)
	d.must(err)
	link := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "postgres", "127.0.0.1:0", server.Host)
	d.must(link.Start())
	d.Cleanup(link.Stop)
	server.Host = link.Listen
	return detour{link, server.String()}
}

// program is an API or a consumer in a process of its own.
type program struct {
	d        *deployment
	cmd      *exec.Cmd
	api, ops string // where it listens
	errors   lines
	stopped  sync.Once
}

// lines keeps what a program complains of.
type lines struct {
	mu  sync.Mutex
	all []string
}

// run starts a program and waits until it answers.
func (d *deployment) run(as string, settings ...string) *program {
	d.Helper()
	self, err := os.Executable()
	d.must(err)
	p := &program{d: d, cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), "SLUICE_TEST_AS="+as, "SLUICE_NAME="+as+"-"+uuid.NewString()[:8],
		"SLUICE_REDIS_URL="+d.redis, "SLUICE_POSTGRES_URL="+d.postgres, "SLUICE_JWT_KEYS="+crowdKeys,
		"SLUICE_LISTEN=127.0.0.1:0", "SLUICE_OPS_LISTEN=127.0.0.1:0", "SLUICE_IP_RATE=0", "SLUICE_PARTITIONS=16")
	p.cmd.Env = append(append(p.cmd.Env, d.settings...), settings...)
	told, err := p.cmd.StderrPipe()
	d.must(err)
	d.must(p.cmd.Start())
	d.Cleanup(p.stop)
	answers := make(chan struct{})
	go p.listen(as, told, answers)
	select {
	case <-answers:
	case <-time.After(patience):
		d.Fatalf("the %s does not come up: %q", as, p.errors.get())
	}
	return p
}

// listen reads the log of a program, and where it listens from that.
func (p *program) listen(as string, log io.Reader, answers chan struct{}) {
	said := bufio.NewScanner(log)
	for said.Scan() {
		var line struct{ Level, Message, Listen string }
		if json.Unmarshal(said.Bytes(), &line) != nil || line.Level == "warn" || line.Level == "error" {
			p.errors.add(said.Text())
		}
		if line.Listen == "" || answers == nil {
			continue
		}
		switch line.Message {
		case "API answers":
			p.api = line.Listen
		case "operations port answers":
			p.ops = line.Listen
		}
		if p.ops != "" && (p.api != "" || as != "api") {
			close(answers)
			answers = nil
		}
	}
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) < 20 {
		l.all = append(l.all, line)
	}
}

func (l *lines) get() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// stop ends a program in order.
func (p *program) stop() {
	p.stopped.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(patience/2, func() { _ = p.cmd.Process.Kill() })
		defer late.Stop()
		if err := p.cmd.Wait(); err != nil {
			p.d.Errorf("%s ended with %v: %q", p.cmd.Env[len(p.cmd.Env)-1], err, p.errors.get())
		}
	})
}

// metrics asks a program for its metrics of these names; those with labels are summed up.
func (p *program) metrics(names ...string) map[string]float64 {
	p.d.Helper()
	response, err := http.Get("http://" + p.ops + "/metrics")
	p.d.must(err)
	defer response.Body.Close()
	found := map[string]float64{}
	for said := bufio.NewScanner(response.Body); said.Scan(); {
		at := strings.LastIndexByte(said.Text(), ' ')
		if at < 0 {
			continue
		}
		name, _, _ := strings.Cut(said.Text()[:at], "{")
		if value, err := strconv.ParseFloat(said.Text()[at+1:], 64); err == nil && slices.Contains(names, name) {
			found[name] += value
		}
	}
	return found
}

// redisMemory is what Redis uses, in bytes.
func (d *deployment) redisMemory() int64 {
	d.Helper()
	c := embeddedtest.Client(d, d.redis)
	text, err := c.Info(d.ctx, "memory").Result()
	d.must(err)
	_, rest, _ := strings.Cut(text, "used_memory:")
	bytes, _, _ := strings.Cut(rest, "\r")
	n, err := strconv.ParseInt(bytes, 10, 64)
	d.must(err)
	return n
}

// door is where a crowd bids.
type door struct {
	client *fasthttp.HostClient
	sale   int64
}

func (p *program) door(sale int64, callers int) *door {
	return &door{&fasthttp.HostClient{
		Addr: p.api, MaxConns: callers, MaxConnWaitTimeout: patience,
		Dial: func(address string) (net.Conn, error) { return net.Dial("tcp", address) }, // its own one leaves a goroutine behind
	}, sale}
}

// reply is what a bidder is answered.
type reply struct {
	status  int
	receipt uuid.UUID
	verdict string        // status of the receipt
	wait    time.Duration // until it is worth asking again
	turn    string        // that he was promised
}

// bid bids for one unit, with a turn if there is one.
func (o *door) bid(token, key, turn string) (reply, error) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.SetMethod("POST")
	request.SetRequestURI(fmt.Sprintf("http://%s/v1/sales/%d/bids", o.client.Addr, o.sale))
	request.Header.SetContentType("application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Idempotency-Key", key)
	if turn != "" {
		request.Header.Set("Sluice-Turn", turn)
	}
	request.SetBodyString(`{"quantity":1,"price":10}`)
	return o.do(request, response)
}

// poll asks where a receipt stands.
func (o *door) poll(token string, receipt uuid.UUID) (reply, error) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.SetRequestURI("http://" + o.client.Addr + "/v1/receipts/" + receipt.String())
	request.Header.Set("Authorization", "Bearer "+token)
	return o.do(request, response)
}

func (o *door) do(request *fasthttp.Request, response *fasthttp.Response) (reply, error) {
	if err := o.client.Do(request, response); err != nil {
		return reply{}, err
	}
	var body struct {
		Receipt      uuid.UUID
		Status       any   // a word of a receipt, a number of a problem
		PollAfterMS  int64 `json:"poll_after_ms"`
		RetryAfterMS int64 `json:"retry_after_ms"`
	}
	if err := json.Unmarshal(response.Body(), &body); err != nil {
		return reply{}, fmt.Errorf("read %q: %w", response.Body(), err)
	}
	verdict, _ := body.Status.(string)
	return reply{
		status: response.StatusCode(), receipt: body.Receipt, verdict: verdict, turn: string(response.Header.Peek("Sluice-Turn")),
		wait: time.Duration(body.PollAfterMS+body.RetryAfterMS) * time.Millisecond,
	}, nil
}

// watched hears of settled receipts until stop is called: when each was, by Redis' clock.
func (d *deployment) watched(changed func(partition.Changes)) (stop func()) {
	d.Helper()
	ctx, cancel := context.WithCancel(d.ctx)
	ready, ended := make(chan struct{}), make(chan error, 1)
	flows := sync.OnceFunc(func() { close(ready) }) // each server of a cluster says so
	go func() { ended <- d.store.Watch(ctx, func([]int, error) { flows() }, changed) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		d.Fatal(errors.Join(err, errors.New("nobody watches")))
	}
	return func() {
		cancel()
		if err := <-ended; err != nil {
			d.Error(err)
		}
	}
}

// of is the value below which this part of the sorted values are.
func of(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
