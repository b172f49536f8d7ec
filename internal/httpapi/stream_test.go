package httpapi

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/news"
	"sluice/internal/sale"
)

// told is an event as a browser dispatches it; a comment is one of the name ":", the time
// to come back in one of the name "retry".
type told struct {
	name, id, data string
	at             time.Time
}

// field is one of its data.
func (e told) field(name string) string {
	var body map[string]json.RawMessage
	_ = json.Unmarshal([]byte(e.data), &body) // what is no object has no fields
	return strings.Trim(string(body[name]), `"`)
}

// listener is a client of an event stream.
type listener struct {
	status int
	header http.Header
	close  func()

	mu     sync.Mutex
	events []told
	last   string // ID, as the client would send it
	ended  bool   // the server has closed the connection
}

// listen opens a stream, which is read until the test ends, or the listener is closed.
func (h *house) listen(path, token string, headers ...string) *listener {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+h.addr+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		h.t.Fatal(err)
	}
	l := &listener{status: answer.StatusCode, header: answer.Header}
	read := make(chan struct{})
	go func() {
		defer close(read)
		l.read(answer.Body)
	}()
	l.close = sync.OnceFunc(func() { answer.Body.Close(); <-read })
	h.t.Cleanup(l.close)
	return l
}

// read is what WHATWG's "Server-sent events" has a browser do.
func (l *listener) read(body io.Reader) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	var e told
	add := func(e told) {
		l.mu.Lock()
		defer l.mu.Unlock()
		e.id, e.at = l.last, time.Now()
		l.events = append(l.events, e)
	}
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if e.data != "" {
				add(e)
			}
			e = told{}
		case name == "":
			add(told{name: ":", data: value})
		case name == "retry":
			add(told{name: "retry", data: value})
		case name == "event":
			e.name = value
		case name == "data":
			e.data += value
		case name == "id":
			l.mu.Lock()
			l.last = value
			l.mu.Unlock()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// heard are the events so far, without what browsers keep to themselves.
func (l *listener) heard() []told {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.events), func(e told) bool { return e.name == ":" || e.name == "retry" })
}

func (l *listener) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

func (l *listener) lastID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// statuses are those that were told one after the other, however often the position was.
func statuses(events []told) (all []string) {
	for _, e := range events {
		if e.name != "receipt" {
			continue
		}
		if status := e.field("status"); len(all) == 0 || all[len(all)-1] != status {
			all = append(all, status)
		}
	}
	return all
}

// course judges what a receipt's stream has told: each of these statuses once and in this
// order, no event twice, and nothing behind the end, whose reason is end; "" when it has
// none.
func course(events []told, end string, want ...string) error {
	if got := statuses(events); !slices.Equal(got, want) {
		return fmt.Errorf("statuses %v, not %v", got, want)
	}
	before := map[string]bool{}
	for i, e := range events {
		switch {
		case e.name == "end" && (end == "" || e.field("reason") != end || i != len(events)-1):
			return fmt.Errorf("event %d of %d is an end: %s", i, len(events), e.data)
		case e.name == "end":
			return nil
		case e.name != "receipt":
			return fmt.Errorf("event %d is %q", i, e.name)
		case e.id == "" || before[e.id]:
			return fmt.Errorf("event %d has the ID %q again", i, e.id)
		case i > 0 && e.field("status") == events[i-1].field("status") && e.field("position") == events[i-1].field("position"):
			return fmt.Errorf("event %d is as the one before: %s", i, e.data)
		}
		before[e.id] = true
	}
	if end != "" {
		return fmt.Errorf("no end")
	}
	return nil
}

// calm judges how often a position may be told: no two of one status within a second, but
// for how exactly a test can tell when it heard.
func calm(events []told) error {
	for i := 1; i < len(events); i++ {
		if events[i].field("status") == events[i-1].field("status") && events[i].at.Sub(events[i-1].at) < 700*time.Millisecond {
			return fmt.Errorf("position %s comes %s after %s", events[i].field("position"), events[i].at.Sub(events[i-1].at), events[i-1].field("position"))
		}
	}
	return nil
}

// TestCourseJudges is the known-bad twin of those that judge: each doctored stream is seen.
func TestCourseJudges(t *testing.T) {
	t.Parallel()
	now := time.Now()
	e := func(id, status, position string, after time.Duration) told {
		return told{"receipt", id, fmt.Sprintf(`{"status":"%s","position":%s}`, status, position), now.Add(after)}
	}
	end := told{"end", "", `{"reason":"final"}`, now.Add(time.Minute)}
	good := []told{e("1", "queued", "7", 0), e("2", "queued", "3", time.Second), e("3", "held", "0", 1100*time.Millisecond), e("4", "cancelled", "0", 2*time.Second), end}
	want := []string{"queued", "held", "cancelled"}
	if err := course(good, "final", want...); err != nil {
		t.Error(err)
	}
	if err := course(good[:3], "", want[:2]...); err != nil {
		t.Error(err)
	}
	if err := calm(good); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string][]told{
		"missed":         {good[0], good[3], end},
		"out of order":   {good[2], good[0], good[3], end},
		"twice":          {good[0], good[2], good[2], good[3], end},
		"back":           {good[0], good[2], good[1], good[3], end},
		"no news":        {good[0], e("9", "queued", "7", time.Second), good[2], good[3], end},
		"no end":         good[:4],
		"two ends":       {good[0], good[2], good[3], end, end},
		"after the end":  {good[0], good[2], end, good[3]},
		"another end":    {good[0], good[2], good[3], {"end", "", `{"reason":"shutdown"}`, now}},
		"without an ID":  {e("", "queued", "7", 0), good[2], good[3], end},
		"another's":      {good[0], {"sale", "8", `{}`, now}, good[2], good[3], end},
		"nothing at all": nil,
	} {
		if err := course(bad, "final", want...); err == nil {
			t.Errorf("%s goes through", name)
		}
	}
	if err := calm([]told{e("1", "queued", "7", 0), e("2", "queued", "3", 100*time.Millisecond)}); err == nil {
		t.Error("ten positions a second go through")
	}
}

// following is the path of a receipt's stream.
func following(receipt string) string { return receiptsPath + receipt + "/events" }

// TestReceiptStream: a receipt is followed from the queue to its end, each status once,
// and who comes back with the last ID is told what he has not.
func TestReceiptStream(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.api.streams.beatEvery = 2 * time.Second
	_, ann := h.account(accounts.Buyer, 50_000)
	_, bob := h.account(accounts.Buyer, 50_000)
	one := h.sale(-time.Second, time.Hour, chair, func(s *sale.Sale) { s.Stock, s.Limit = 1, 1 })
	lamp := h.sale(-time.Hour, 4*time.Second, func(s *sale.Sale) {
		s.Price = sale.Price{Policy: sale.Constant, Start: 1000, Drop: 1, Period: time.Hour}
	})
	first, second := h.reserve(one, ann, 1).text("receipt"), h.reserve(one, bob, 1).text("receipt")
	bought := h.bid(lamp, ann, 1, 1000).text("receipt")

	a, b, c := h.listen(following(first), ann), h.listen(following(second), bob), h.listen(following(bought), ann)
	for name, want := range map[string]string{"Content-Type": eventStreamType, "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
		if a.status != http.StatusOK || a.header.Get(name) != want || a.header.Get("X-Request-Id") == "" {
			t.Errorf("%d, %s: %q", a.status, name, a.header.Get(name))
		}
	}
	head := raw(t, h.addr, fmt.Sprintf("HEAD %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", following(first), ann), http.MethodHead)
	if len(head) != 1 || head[0].status != http.StatusOK || head[0].header.Get("Content-Type") != eventStreamType || head[0].raw != "" {
		t.Errorf("HEAD: %+v", head)
	}
	h.ask("GET", following(first), bob, "").wantProblem(t, 403, "not_yours")
	h.ask("GET", following(sale.NewReceiptID(0).String()), bob, "").wantProblem(t, 404, "unknown_receipt")
	h.ask("GET", following(first), "", "").wantProblem(t, 401, "unauthorized")

	h.until("the present state is told", func() bool { return len(b.heard()) == 1 })
	kept := b.lastID()
	b.close()

	// A comment says that the connection lives.
	h.until("there is a beat", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.ContainsFunc(c.events, func(e told) bool { return e.name == ":" && e.data == "beat" })
	})
	if retry := c.events[0]; retry.name != "retry" || len(retry.data) != 4 || retry.data < "1500" || retry.data > "3000" {
		t.Errorf("it begins with %+v", retry)
	}

	h.work()
	h.until("it is held", func() bool { return slices.Contains(statuses(a.heard()), "held") })
	b = h.listen(following(second), bob, "Last-Event-ID: "+kept)
	h.until("it waits", func() bool { return slices.Contains(statuses(b.heard()), "waiting") })
	kept = b.lastID()
	h.accepted("POST", receiptsPath+first+"/cancel", ann, "")
	h.until("both are told", func() bool { return a.over() && slices.Contains(statuses(b.heard()), "held") })
	if err := course(a.heard(), "final", "queued", "held", "cancelled"); err != nil {
		t.Error(err)
	}
	if err := course(b.heard(), "", "waiting", "held"); err != nil { // queued he had
		t.Error(err)
	}
	b.close()
	b = h.listen(following(second), bob, "Last-Event-ID: "+kept)
	h.accepted("POST", receiptsPath+second+"/pay", bob, "")
	h.until("it is paid", func() bool { return slices.Contains(statuses(b.heard()), "confirmed") })
	if err := course(b.heard(), "", "held", "confirmed"); err != nil {
		t.Error(err)
	}
	h.until("the auction is over", func() bool {
		return h.done("POST", receiptsPath+bought+"/refund", ann, "").text("status") == "confirmed"
	})
	h.until("it is refunded", c.over)
	if err := course(c.heard(), "final", "queued", "confirmed", "refunded"); err != nil {
		t.Error(err)
	}
	// Who has the end comes back no more; who has not is told it.
	if r := h.ask("GET", following(bought), ann, "", "Last-Event-ID: "+c.lastID()); r.status != http.StatusNoContent || r.raw != "" {
		t.Errorf("with the end: %d %s", r.status, r.raw)
	}
	c = h.listen(following(bought), ann)
	h.until("it has ended", c.over)
	if err := course(c.heard(), "final", "refunded"); err != nil {
		t.Error(err)
	}

	// A token that ends, ends its stream.
	who, err := h.accounts.Read(bob)
	if err != nil {
		t.Fatal(err)
	}
	brief, err := h.accounts.Token(who, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c = h.listen(following(second), brief)
	h.until("its token ends", c.over)
	if err := course(c.heard(), "token_expired", "confirmed"); err != nil {
		t.Error(err)
	}
	// The API stops: all are told, and all places are given back.
	if err := h.api.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	h.until("it is told", b.over)
	if err := course(b.heard(), "shutdown", "held", "confirmed"); err != nil {
		t.Error(err)
	}
	if n := h.waiting(eventStream); n != 0 {
		t.Errorf("%d still listen", n)
	}
}

// deafen breaks the connections of all who listen to the servers of a Redis.
func deafen(t *testing.T, url string) {
	t.Helper()
	for _, c := range embeddedtest.Masters(t, url) {
		if err := c.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPlacesAreToldCalmly: however fast the queue moves, a place in it is told once a
// second.
func TestPlacesAreToldCalmly(t *testing.T) {
	t.Parallel()
	url := embeddedtest.Redis(t)
	h := openOn(t, url)
	redis := embeddedtest.Client(t, url)
	s := h.sale(-time.Second, time.Hour)
	_, token := h.account(accounts.Buyer, 5000)
	part := fmt.Sprintf("{s%d}", s.Partition)
	const far = 9000 // fewer than may queue
	if err := redis.HIncrBy(t.Context(), part, "seq", far).Err(); err != nil {
		t.Fatal(err)
	}
	l := h.listen(following(h.bid(s, token, 1, 1000).text("receipt")), token)
	settled := uint64(100)
	h.until("its place is told twice more", func() bool {
		settled++
		news := fmt.Appendf(nil, "%d \x01", time.Now().UnixMilli()) // of a batch, as its owner announces it
		news = append(binary.AppendUvarint(news, settled), 100, 0, 0)
		if err := errors.Join(redis.Publish(t.Context(), part+":changed", news).Err(), redis.SPublish(t.Context(), part+":changed", news).Err()); err != nil {
			t.Fatal(err)
		}
		return len(l.heard()) >= 3
	})
	events := l.heard()
	if err := calm(events); err != nil {
		t.Error(err)
	}
	if err := course(events, "", "queued"); err != nil {
		t.Error(err)
	}
	for i := 1; i < len(events); i++ {
		before, _ := strconv.Atoi(events[i-1].field("position"))
		if place, err := strconv.Atoi(events[i].field("position")); err != nil || place >= before || place < far/2 {
			t.Errorf("from place %d to %s", before, events[i].field("position"))
		}
	}
}

// TestShutdownTellsStreams: also when something in hand takes all the time that there is.
func TestShutdownTellsStreams(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, token := h.account(accounts.Buyer, 5000)
	l := h.listen(following(h.bid(h.sale(-time.Second, time.Hour), token, 1, 1000).text("receipt")), token)
	h.until("the present state is told", func() bool { return len(l.heard()) == 1 })
	slow, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprintf(slow, "POST /v1/auth/signin HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	down := make(chan struct{})
	go func() {
		defer close(down)
		_ = h.api.Shutdown(t.Context()) // the other one sees whether it ends well
	}()
	h.until("it is told", l.over)
	if err := course(l.heard(), "shutdown", "queued"); err != nil {
		t.Error(err)
	}
	slow.Close()
	<-down
}

// TestMineStream: all that becomes of my receipts is told, and nothing of another's; who
// comes back is told what he has missed, or to read anew.
func TestMineStream(t *testing.T) {
	t.Parallel()
	url := embeddedtest.Redis(t)
	h := openOn(t, url)
	const path = mePath + "/receipts/events"
	_, ann := h.account(accounts.Buyer, 50_000)
	_, bob := h.account(accounts.Buyer, 50_000)
	s := h.sale(-time.Second, time.Hour, chair, func(s *sale.Sale) { s.Stock, s.Limit = 1, 1 })
	h.until("it has heard for long enough to know what somebody misses from now on", func() bool {
		_, complete, stop := h.api.news.Account(0, h.api.news.Now(), func(news.Event) {}, func() {})
		stop()
		return complete
	})
	l := h.listen(path, ann)
	h.until("it has an ID", func() bool { return l.lastID() != "" })
	h.work()
	of := func(l *listener, receipt string) []string {
		return statuses(slices.DeleteFunc(l.heard(), func(e told) bool { return e.field("receipt") != receipt }))
	}
	first := h.reserve(s, ann, 1).text("receipt")
	h.becomes(ann, first, "held")
	second := h.reserve(s, bob, 1).text("receipt")
	h.becomes(bob, second, "waiting")
	bid := h.bid(h.sale(-time.Second, time.Hour), ann, 3, 1000).text("receipt")
	h.until("both are told", func() bool { return len(of(l, first)) == 1 && len(of(l, bid)) == 1 })
	l.close()
	missed := h.accepted("POST", receiptsPath+first+"/cancel", ann, "").text("receipt")
	h.becomes(bob, second, "held")
	h.becomes(ann, first, "cancelled")

	back := h.listen(path, ann, "Last-Event-ID: "+l.lastID())
	h.until("it is told what was missed", func() bool { return len(of(back, first)) > 0 && len(of(back, missed)) > 0 })
	if !slices.Equal(of(back, first), []string{"cancelled"}) || !slices.Equal(of(back, missed), []string{"confirmed"}) || back.heard()[0].name != "receipt" {
		t.Errorf("missed %+v", back.heard())
	}
	back.close()
	for name, id := range map[string]string{"long ago": "1", "no ID of ours": "abc.1", "less than nothing": "-5"} {
		back := h.listen(path, ann, "Last-Event-ID: "+id)
		h.until(name+": it is told to read anew", func() bool { return len(back.heard()) > 0 })
		if e := back.heard()[0]; e.name != "reset" || e.data != "{}" || e.id == "" {
			t.Errorf("%s: %+v", name, e)
		}
		back.close()
	}
	for _, e := range l.heard() {
		if e.name != "receipt" || e.field("receipt") == second {
			t.Errorf("told %+v", e)
		}
	}
	// The connection to Redis breaks: nobody knows what was missed.
	l = h.listen(path, bob)
	h.until("it has an ID", func() bool { return l.lastID() != "" })
	deafen(t, url)
	h.until("it is told to read anew", func() bool {
		return slices.ContainsFunc(l.heard(), func(e told) bool { return e.name == "reset" })
	})
	l.close()
}

// narrow is a listener whose connections have room for hardly anything: what their clients
// do not read soon stands.
type narrow struct{ net.Listener }

func (n narrow) Accept() (net.Conn, error) {
	conn, err := n.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(1) // as little as the system allows
	}
	return conn, err
}

// TestDeafClient: one who does not read is dropped, and the others are told meanwhile.
func TestDeafClient(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, token := h.account(accounts.Buyer, 1_000_000)
	s := h.sale(-time.Second, time.Hour, chair, func(s *sale.Sale) { s.Stock, s.Limit, s.Price.Start = 1000, 1000, 1 })
	other := h.second(narrow{somewhere(t)})

	const deaf = 2 * writers
	for range deaf {
		conn, err := (&net.Dialer{}).Dial("tcp", other.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.(*net.TCPConn).SetReadBuffer(1); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s/receipts/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", mePath, token)
	}
	hearing := other.listen(mePath+"/receipts/events", token)
	h.until("all listen", func() bool { return other.waiting(eventStream) == deaf+1 })
	var mine []string
	for range 300 {
		mine = append(mine, h.reserve(s, token, 1).text("receipt"))
	}
	h.work()
	h.until("who reads is told all", func() bool {
		found := map[string]bool{}
		for _, e := range hearing.heard() {
			found[e.field("receipt")] = true
		}
		return !slices.ContainsFunc(mine, func(id string) bool { return !found[id] })
	})
	h.until("who does not is dropped", func() bool { return other.waiting(eventStream) == 1 })
	if hearing.over() {
		t.Error("who reads is dropped")
	}
}

// TestStreamsCostNoGoroutines: a crowd that waits adds those who write, and nobody else;
// and when it has gone, its places are free.
func TestStreamsCostNoGoroutines(t *testing.T) {
	const crowd = 500
	h := open(t)
	h.api.streams.beatEvery = time.Second
	_, token := h.account(accounts.Buyer, 5000)
	receipt := h.bid(h.sale(-time.Second, time.Hour), token, 1, 1000).text("receipt")
	h.client.CloseIdleConnections()
	before := runtime.NumGoroutine()
	conns, buffer := make([]net.Conn, crowd), make([]byte, 4096)
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", h.addr); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		fmt.Fprintf(conns[i], "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", following(receipt), token)
		if _, err := conns[i].Read(buffer); err != nil { // one after the other, or fasthttp keeps a crowd of its own for a while
			t.Fatal(err)
		}
	}
	h.until("all listen", func() bool { return h.waiting(eventStream) == crowd })
	const beside = 20 // of the drivers, and who serves idle connections
	h.until("nobody but the writers is there", func() bool { return runtime.NumGoroutine() <= before+writers+1+beside })
	h.work()
	for _, conn := range conns {
		text := ""
		for !strings.Contains(text, "event: end\ndata: {\"reason\":\"final\"}") && !strings.Contains(text, `"status":"confirmed"`) {
			n, err := conn.Read(buffer)
			if err != nil {
				t.Fatalf("%v after %s", err, text)
			}
			text += string(buffer[:n])
		}
	}
	for _, conn := range conns {
		conn.Close()
	}
	h.until("their places are free", func() bool { return h.waiting(eventStream) == 0 })
}

// TestLastPlace: of many who come at once over the last places, as many are let in, and
// all others are refused in so many words.
func TestLastPlace(t *testing.T) {
	t.Parallel()
	const places, crowd = 3, 40
	h := open(t, func(o *Options) { o.Waiters = places })
	_, token := h.account(accounts.Buyer, 5000)
	receipt := h.bid(h.sale(-time.Second, time.Hour), token, 1, 1000).text("receipt")
	var come sync.WaitGroup
	answers := make([]string, crowd)
	for i := range answers {
		come.Go(func() {
			conn, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Error(err)
				return
			}
			h.t.Cleanup(func() { conn.Close() })
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", following(receipt), token)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Error(err)
				return
			}
			if answers[i] = answer.Status; answer.StatusCode == http.StatusOK && (!answer.Close || answer.ContentLength != -1 || len(answer.TransferEncoding) > 0) {
				t.Errorf("it is no stream until the connection closes: %+v", answer)
			}
		})
	}
	come.Wait()
	in := 0
	for _, answer := range answers {
		switch answer {
		case "200 OK":
			in++
		case "503 Service Unavailable":
		default:
			t.Errorf("answered %q", answer)
		}
	}
	if in != places {
		t.Errorf("%d were let in", in)
	}
}
