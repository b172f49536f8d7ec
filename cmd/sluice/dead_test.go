package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// TestDead is what an operator does with letters that are there: list, show, replay
// and drop them.
func TestDead(t *testing.T) {
	servers, run := operator(t, "dead")
	if got := run(0, "dead", "list", "--json"); got != "[]\n" {
		t.Errorf("before anything died: %q", got)
	}

	raw := embeddedtest.Client(t, servers.RedisURL)
	plant := func(p string, cause string, r sale.Request) {
		t.Helper()
		if err := raw.XAdd(t.Context(), &redis.XAddArgs{Stream: "{s" + p + "}:dead", ID: "170000000000" + p + "-0", Values: []any{
			"q", "1", "g", "1", "e", r.Encode(), "entry", "1700000000000-0", "cause", cause, "attempts", "5",
		}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	bid := sale.Request{Receipt: sale.NewReceiptID(1), Verb: sale.Bid, Sale: 7, Buyer: 11, Quantity: 2, Price: 100}
	plant("1", "ERROR: too\nlong (SQLSTATE 22001)", bid)
	plant("0", "x", sale.Request{Receipt: sale.NewReceiptID(0), Verb: sale.Join, Sale: 8, Buyer: 12, Quantity: 1})

	var letters []struct {
		ID        string
		Partition int
		Receipt   uuid.UUID
		Verb      string
	}
	if err := json.Unmarshal([]byte(run(0, "dead", "list", "--json")), &letters); err != nil || len(letters) != 2 || letters[1].Receipt != bid.Receipt || letters[1].Verb != "bid" {
		t.Fatalf("letters %+v, %v", letters, err)
	}
	table := run(0, "dead", "list", "--partition", "1")
	for _, want := range []string{"ID", letters[1].ID, bid.Receipt.String(), "bid", `too\nlong`, "5"} {
		if !strings.Contains(table, want) || strings.Contains(table, "join") {
			t.Errorf("the list lacks %q:\n%s", want, table)
		}
	}
	id := letters[1].ID
	shown := run(0, "dead", "show", id)
	for _, want := range []string{"receipt     " + bid.Receipt.String(), "quantity    2", "price       100", "attempts    5", "payload e", "22001"} {
		if !strings.Contains(shown, want) {
			t.Errorf("it is shown without %q:\n%s", want, shown)
		}
	}
	if got := run(1, "dead", "replay", id); !strings.Contains(got, "loading") { // no consumer has opened the partition
		t.Errorf("replayed into nothing: %s", got)
	}
	if err := raw.HSet(t.Context(), "{s1}", "generation", "1").Err(); err != nil {
		t.Fatal(err)
	}
	said := run(0, "dead", "replay", id, "--partition", "1")
	receipt, err := uuid.Parse(strings.TrimSpace(strings.TrimPrefix(said, "queued as receipt ")))
	if err != nil || receipt == bid.Receipt {
		t.Fatalf("%v in %q", err, said)
	}
	queued, err := raw.XRange(t.Context(), "{s1}:log", "-", "+").Result()
	if err != nil || len(queued) != 1 {
		t.Fatalf("queued %+v, %v", queued, err)
	}
	bid.Receipt = receipt
	if request, err := sale.DecodeRequest([]byte(queued[0].Values["e"].(string))); err != nil || request != bid {
		t.Errorf("queued %+v, %v", request, err)
	}
	if got := run(1, "dead", "show", id); !strings.Contains(got, "no such dead letter") {
		t.Errorf("it is still there: %s", got)
	}
	if got := run(0, "dead", "drop", letters[0].ID); !strings.Contains(got, "dropped "+letters[0].ID) {
		t.Errorf("dropped: %s", got)
	}
	run(1, "dead", "drop", letters[0].ID)
	run(1, "dead", "list", "--partition", "2")
	run(2, "dead", "show")
	if got := run(0, "dead", "list", "--json"); got != "[]\n" {
		t.Errorf("in the end: %q", got)
	}
}
