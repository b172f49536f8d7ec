package receipts_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/admission"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/housetest"
	"sluice/internal/ledger"
	"sluice/internal/receipts"
	"sluice/internal/sale"
)

// TestReadOverARebuild: a rejection is asked for while Redis is empty, and Postgres
// answers only when Redis is rebuilt. What was rejected is not lost.
func TestReadOverARebuild(t *testing.T) {
	redisURL := embeddedtest.Redis(t)
	h := housetest.Over(t, redisURL)
	s := h.Offer(sale.Sale{Kind: sale.Reservation, Hold: time.Minute, Price: sale.Price{Start: 10}})
	rejected := h.Outcome(h.Admission.Reserve(h.Ctx, admission.Asker{Account: h.Buyers[0]}, s.ID, 2, uuid.Nil))
	if rejected.Status != sale.Rejected {
		t.Fatalf("%+v", rejected)
	}
	// The reader has a slow way to Postgres.
	u, err := url.Parse(h.URL)
	h.Must(err)
	link := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "postgres", "127.0.0.1:0", u.Host)
	h.Must(link.Start())
	defer link.Stop()
	u.Host = link.Listen
	slow, err := ledger.Open(h.Ctx, ledger.Options{URL: u.String()})
	h.Must(err)
	defer slow.Close()
	reader := receipts.New(h.Partitions, slow, prometheus.NewRegistry())
	_, err = reader.Get(h.Ctx, rejected.Buyer, rejected.ID)
	h.Must(err)
	_, err = link.Toxics.AddToxicJson(strings.NewReader(`{"name": "late", "type": "latency", "stream": "upstream", "attributes": {"latency": 60000}}`))
	h.Must(err)

	raw := embeddedtest.Client(t, redisURL)
	h.Must(raw.FlushAll(h.Ctx).Err())
	answers := make(chan error, 1)
	go func() {
		_, err := reader.Get(h.Ctx, rejected.Buyer, rejected.ID)
		answers <- err
	}()
	h.Until("Redis is rebuilt", func() bool {
		p, _ := sale.PartitionOf(rejected.ID)
		_, err := h.Partitions.Receipt(h.Ctx, p, rejected.ID)
		return err == nil
	})
	h.Must(link.Toxics.RemoveToxic(context.Background(), "late"))
	if err := <-answers; errors.Is(err, sale.ErrLost) {
		t.Errorf("what was rejected is said to be lost: %v", err)
	}
	if r := h.Receipt(rejected.Buyer, rejected.ID); r.Status != sale.Rejected {
		t.Errorf("%+v", r)
	}
}

// TestIdlePartitionIsRebuilt: Redis is emptied while nobody asks for anything.
func TestIdlePartitionIsRebuilt(t *testing.T) {
	redisURL := embeddedtest.Redis(t)
	h := housetest.Over(t, redisURL)
	raw := embeddedtest.Client(t, redisURL)
	s := h.Offer(sale.Sale{Kind: sale.Reservation, Hold: time.Minute, Price: sale.Price{Start: 10}})
	h.Outcome(h.Admission.Reserve(h.Ctx, admission.Asker{Account: h.Buyers[0]}, s.ID, 1, uuid.Nil))
	h.Must(raw.FlushAll(h.Ctx).Err())
	h.Until("the partition is rebuilt", func() bool {
		_, err := h.Partitions.Projection(h.Ctx, s.Partition, nil)
		return err == nil
	})
}
