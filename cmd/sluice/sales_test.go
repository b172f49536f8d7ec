package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/internal/embedded"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/process"
	"sluice/internal/sale"
)

// TestSales is what an operator does about a sale: stop it, look, let it go on; and what
// happens without him when its books do not agree.
func TestSales(t *testing.T) {
	t.Setenv("SLUICE_AUDIT_EVERY", "100ms")
	servers, run := operator(t, "sales")
	if got := run(0, "sales", "list", "--json"); got != "[]\n" {
		t.Errorf("before there are any: %q", got)
	}
	ops := serving(t)
	lamp, store := offer(t, servers)
	bid := func() error {
		r := sale.Request{Receipt: sale.NewReceiptID(lamp.Partition), Verb: sale.Bid, Sale: lamp.ID, Buyer: 2, Quantity: 1, Price: 100}
		_, err := store.Admit(t.Context(), lamp.Partition, r, partition.Selling, partition.Limits{Backlog: 100})
		return err
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain until %s", what)
			}
		}
	}
	id := fmt.Sprint(lamp.ID)
	until("it sells", func() bool { return strings.Contains(run(0, "sales", "list"), "  open ") && bid() == nil })

	// By hand.
	if got := run(0, "sales", "suspend", id); !strings.Contains(got, "sale "+id+" is suspended, receipt ") {
		t.Errorf("said %q", got)
	}
	var refusal *sale.Refusal
	if err := bid(); !errors.As(err, &refusal) || refusal.Code != sale.RefusedSuspended {
		t.Errorf("at the door: %v", err)
	}
	var listed []struct {
		Sale  int64
		State string
		Title string
	}
	if err := json.Unmarshal([]byte(run(0, "sales", "list", "--suspended", "--json")), &listed); err != nil || len(listed) != 1 ||
		listed[0].Sale != lamp.ID || listed[0].State != "suspended" || listed[0].Title != "Lamp" {
		t.Errorf("listed %+v, %v", listed, err)
	}
	var said struct{ Sale int64 }
	if got := run(0, "sales", "resume", id, "--json"); json.Unmarshal([]byte(got), &said) != nil || said.Sale != lamp.ID {
		t.Errorf("said %q", got)
	}
	if err := bid(); err != nil {
		t.Errorf("resumed, at the door: %v", err)
	}

	// By itself.
	conn, err := pgx.Connect(t.Context(), servers.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	tamper := func(with string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), with, lamp.ID); err != nil {
			t.Fatal(err)
		}
	}
	tamper(`update sales set free = free - 1, sold = sold + 1 where id = $1`)
	until("it is suspended", func() bool { return errors.As(bid(), &refusal) && refusal.Code == sale.RefusedSuspended })
	metrics := get(t, ops+"/metrics")
	for _, want := range []string{`sluice_suspensions_total 1`, `sluice_audit_rounds_total{verdict="broken"}`} {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(want)).MatchString(metrics) {
			t.Errorf("no %s among\n%s", want, regexp.MustCompile(`(?m)^sluice_(audit|susp).*$`).FindAllString(metrics, -1))
		}
	}
	if got := run(1, "sales", "resume", id); !strings.Contains(got, "BROKEN") || !strings.Contains(got, "still broken") {
		t.Errorf("resumed what is broken: %s", got)
	}
	tamper(`update sales set free = free + 1, sold = sold - 1 where id = $1`)
	run(0, "sales", "resume", id)
	if err := bid(); err != nil {
		t.Errorf("mended, at the door: %v", err)
	}

	if got := run(1, "sales", "suspend", "99"); !strings.Contains(got, "sale 99") || !strings.Contains(got, "unknown") {
		t.Errorf("of no sale: %s", got)
	}
	until("nothing is queued", func() bool {
		seen, err := store.Projection(t.Context(), lamp.Partition, nil)
		return err == nil && seen.Seq == seen.Settled
	})
	run(0, "audit")
}

// serving runs `sluice up` until the test ends, and answers where its operations port is.
func serving(t *testing.T) (ops string) {
	t.Helper()
	var log bytes.Buffer
	port := freePort(t)
	cmd := exec.Command(binary, "up", "--ops-listen", port)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("up ended: %v\n%s", err, log.String())
		}
	})
	return "http://" + port
}

// freePort is an address that nobody listens at, a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := process.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// offer records an auction of fifty lamps that is open.
func offer(t *testing.T, servers *embedded.Servers) (sale.Sale, *partition.Store) {
	t.Helper()
	var l *ledger.Ledger
	var err error
	if l, err = ledger.Open(t.Context(), ledger.Options{URL: servers.PostgresURL}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	store, err := partition.Open(t.Context(), partition.Options{URL: servers.RedisURL, Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	for _, role := range []string{"seller", "buyer"} {
		if _, err := l.CreateAccounts(t.Context(), role, 1, 100_000); err != nil {
			t.Fatal(err)
		}
	}
	now := sale.At(time.Now())
	lamp, err := l.CreateSale(t.Context(), sale.Sale{
		Kind: sale.Auction, Seller: 1, Title: "Lamp", Price: sale.Price{Policy: sale.Constant, Start: 100, Drop: 1, Period: time.Minute},
		Stock: 50_000, Limit: 50_000, OpensAt: now, ClosesAt: now.Add(time.Hour), RefundWindow: time.Hour, ShowStock: true,
	}, 2)
	if err != nil {
		t.Fatal(err)
	}
	return lamp, store
}

func get(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
