package survey

import (
	"strings"
	"testing"
	"time"

	"sluice/internal/sale"
)

// TestGlances: an operator sees what a scrape sees, and who owns what; and a server that
// does not answer is missing, and back when it is.
func TestGlances(t *testing.T) {
	h := newHouse(t)
	stop := h.consume()
	auction := h.offer(sale.Sale{Kind: sale.Auction})
	h.sees("it is loaded", map[string]float64{"sluice_partition_loading{0}": 0, "sluice_partition_loading{1}": 0})
	h.ask(auction, sale.Bid, h.buyers[0], 3)
	g := NewGlances(h.store, h.ledger)
	g.fresh = 0
	h.until("the bid is seen", func() bool {
		g.looker.countAt = time.Time{}
		p, _ := g.Look()
		return p.Redis != nil && p.Postgres != nil && p.Postgres.Open == 1 && len(p.Postgres.Sales) == 1 && p.Postgres.Sales[0].Sold == 3
	})
	p, at := g.Look()
	if p.Redis.Mode != "server" || p.Redis.Masters != 1 || p.Redis.Reached != 1 || time.Since(at) > longest {
		t.Errorf("Redis is %+v at %s", p.Redis, at)
	}
	for i, c := range p.Redis.Partitions {
		if !c.Held || !strings.HasPrefix(c.Owner, "consumer/") {
			t.Errorf("partition %d is %+v", i, c)
		}
	}
	if r := p.Postgres; r.Size <= 0 || r.Connections < 1 || r.MaxConnections < r.Connections {
		t.Errorf("Postgres is %+v", r)
	}
	stop()
	h.until("nobody owns anything", func() bool {
		p, _ := g.Look()
		return !p.Redis.Partitions[0].Held && p.Redis.Partitions[0].Owner == "" && p.Redis.Partitions[1].Owner == ""
	})
	h.redis.Kill()
	if p, _ := g.Look(); p.Redis != nil || p.Postgres == nil {
		t.Errorf("without Redis: %+v", p)
	}
	h.redis.Restart()
	h.until("Redis is seen again", func() bool { p, _ := g.Look(); return p.Redis != nil })
}

// TestGlancesAreKept: however many operators ask, the servers are asked once.
func TestGlancesAreKept(t *testing.T) {
	h := newHouse(t)
	kept, twin := NewGlances(h.store, h.ledger), NewGlances(h.store, h.ledger)
	kept.fresh, twin.fresh = longest, 0
	for name, test := range map[string]struct {
		g    *Glances
		same bool
	}{"kept": {kept, true}, "the twin that is never fresh": {twin, false}} {
		first, at := test.g.Look()
		second, again := test.g.Look()
		if (first == second) != test.same || at.Equal(again) != test.same {
			t.Errorf("%s: the same picture is %v", name, first == second)
		}
	}
}
