package httpapi

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/accounts"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

func ofSale(id int64) string { return fmt.Sprintf("%s%d/events", salesPath, id) }

// TestSaleStream: a sale is followed through its day: it opens, its price drops, units go,
// it closes, each when it does; and nobody sees a stock that is not shown but its seller.
func TestSaleStream(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	seller, selling := h.account(accounts.Seller, 0)
	_, buying := h.account(accounts.Buyer, 50_000)
	lamp := h.sale(3*time.Second, 7*time.Second, of(seller), func(s *sale.Sale) {
		s.Price = sale.Price{Policy: sale.Constant, Start: 1000, Drop: 100, Period: time.Second}
		s.ShowStock = false
	})
	chairs := h.sale(-time.Second, time.Hour, chair)
	public, own, stock := h.listen(ofSale(lamp.ID), ""), h.listen(ofSale(lamp.ID), selling), h.listen(ofSale(chairs.ID), buying)
	h.until("all are told", func() bool { return len(public.heard()) > 0 && len(own.heard()) > 0 && len(stock.heard()) > 0 })
	h.until("it opens", func() bool { e := public.heard(); return e[len(e)-1].field("state") == "open" })
	h.bid(lamp, buying, 3, 1000)
	h.reserve(chairs, buying, 2)
	h.until("it closes", func() bool { return public.over() && own.over() })
	h.ask("GET", ofSale(404), "", "").wantProblem(t, 404, "unknown_sale")

	var states, prices []string
	for i, e := range public.heard() {
		if i == len(public.heard())-1 {
			if e.name != "end" || e.field("reason") != "closed" {
				t.Errorf("it ends with %+v", e)
			}
			break
		}
		if e.name != "sale" || e.id == "" || strings.Contains(e.data, `"stock"`) || strings.Contains(e.data, `"free"`) {
			t.Errorf("everybody is told %+v", e)
		}
		if state := e.field("state"); len(states) == 0 || states[len(states)-1] != state {
			states = append(states, state)
		}
		if price := e.field("price"); len(prices) == 0 || prices[len(prices)-1] != price {
			prices = append(prices, price)
		}
		now, err := time.Parse(time.RFC3339Nano, e.field("now"))
		if due := lamp.OpensAt.Time(); err != nil || e.field("state") == "open" && (now.Before(due) || now.Sub(due)%time.Second > 900*time.Millisecond) {
			t.Errorf("told at %s of a change that is due with a second of %s", now, due)
		}
	}
	if !slices.Equal(states, []string{"scheduled", "open", "closed"}) || !slices.Equal(prices, []string{"1000", "900", "800", "700"}) {
		t.Errorf("states %v, prices %v", states, prices)
	}
	if !slices.ContainsFunc(own.heard(), func(e told) bool { return strings.Contains(e.data, `"free":7`) }) {
		t.Errorf("its seller is told %+v", own.heard())
	}
	h.until("the chairs are held", func() bool {
		return slices.ContainsFunc(stock.heard(), func(e told) bool { return strings.Contains(e.data, `"free":8,"held":2`) })
	})
	if shown := h.ask("GET", salesPath+strconv.FormatInt(chairs.ID, 10), buying, ""); shown.text("title") != stock.heard()[0].field("title") {
		t.Errorf("told %+v, shown %s", stock.heard()[0], shown.raw)
	}
	// Who has that it is closed comes back no more, who has it not is told; and who has how
	// it stands is told what comes next.
	if r := h.ask("GET", ofSale(lamp.ID), "", "", "Last-Event-ID: "+public.lastID()); r.status != http.StatusNoContent {
		t.Errorf("with the end: %d %s", r.status, r.raw)
	}
	public = h.listen(ofSale(lamp.ID), "")
	h.until("it has ended", public.over)
	if e := public.heard(); len(e) != 2 || e[0].field("state") != "closed" || e[1].field("reason") != "closed" {
		t.Errorf("told %+v", e)
	}
	known := stock.lastID()
	stock.close()
	stock = h.listen(ofSale(chairs.ID), buying, "Last-Event-ID: "+known)
	h.reserve(chairs, buying, 1)
	h.until("another is held", func() bool { return len(stock.heard()) > 0 })
	if e := stock.heard()[0]; !strings.Contains(e.data, `"free":7,"held":3`) {
		t.Errorf("told again %+v", e)
	}
	stock.close()
}

// TestEmptyRoom: when the last one has left, nobody looks any more, not even one who was
// about to.
func TestEmptyRoom(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.sale(-time.Second, time.Hour, func(s *sale.Sale) {
		s.Price = sale.Price{Policy: sale.Constant, Start: 1000, Drop: 1, Period: 10 * time.Second}
	})
	key := roomKey{sale: s.ID}
	v := h.api.rooms.enter(key, "", func() {}).(*visitor)
	h.until("it is looked at", func() bool { events, _ := v.next(t.Context()); return len(events) > 0 })
	v.leave()
	v.room.look() // which was under way when he left
	v.room.soon(0)
	if v.room.timer.Stop() {
		t.Error("it will be looked at again")
	}
	h.api.rooms.mu.Lock()
	defer h.api.rooms.mu.Unlock()
	if len(h.api.rooms.open) != 0 {
		t.Errorf("%d rooms are open", len(h.api.rooms.open))
	}
}

// TestThousandsInOneRoom: however many follow a sale, each change of it is read once.
func TestThousandsInOneRoom(t *testing.T) {
	const crowd = 1000
	url := embeddedtest.Redis(t)
	h := openOn(t, url)
	masters := embeddedtest.Masters(t, url)
	_, token := h.account(accounts.Buyer, 1_000_000)
	s := h.sale(-time.Second, time.Hour, chair, func(s *sale.Sale) { s.Stock, s.Limit = 100, 100 })
	conns := make([]net.Conn, crowd)
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", h.addr); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		fmt.Fprintf(conns[i], "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", ofSale(s.ID))
	}
	h.until("all follow", func() bool { return h.waiting(eventStream) == crowd })
	buffer := make([]byte, 4096)
	hear := func(word string) {
		t.Helper()
		for i, conn := range conns {
			_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
			for text := ""; !strings.Contains(text, word); {
				n, err := conn.Read(buffer)
				if err != nil {
					t.Fatalf("%d waits for %s: %v after %s", i, word, err, text)
				}
				text += string(buffer[:n])
			}
		}
	}
	hear(`"free":100`)
	h.work()
	before := wholeReads(t, masters)
	const changes = 5
	for i := range changes {
		h.reserve(s, token, 1)
		hear(fmt.Sprintf(`"free":%d,`, 99-i))
	}
	// Beside the reading of this sale a consumer, the news and the test read hashes, the
	// longer all this takes the more often; but by far not one for each who follows.
	if n := wholeReads(t, masters) - before; n < changes || n > changes*crowd/50 {
		t.Errorf("%d changes were read %d times", changes, n)
	}
}

var hgetalls = regexp.MustCompile(`cmdstat_hgetall:calls=(\d+)`)

// wholeReads counts how often a whole hash was read, which only who shows a sale, or settles
// one, does.
func wholeReads(t *testing.T, masters []*redis.Client) (count int) {
	t.Helper()
	for _, c := range masters {
		info, err := c.Info(t.Context(), "commandstats").Result()
		if err != nil {
			t.Fatal(err)
		}
		if found := hgetalls.FindStringSubmatch(info); found != nil {
			n, _ := strconv.Atoi(found[1])
			count += n
		}
	}
	return count
}
