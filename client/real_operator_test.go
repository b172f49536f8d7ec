package client_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/client"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/redisurl"
	"sluice/internal/sale"
)

// admin speaks for an admin.
func (h *house) admin() *client.Client {
	h.Helper()
	ids, err := h.inside.Accounts.Create(h.Context(), "admin", 1, 0)
	h.must(err)
	token, err := h.inside.Token(ids[0], "admin", time.Minute)
	h.must(err)
	return h.client(client.WithToken(token))
}

// TestRealOperator: what an admin asks is answered as it is, and nobody else is.
func TestRealOperator(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	ada, tokens := h.join("ada@example.com", client.Buyer)
	admin := h.admin()
	_, err := ada.Operations(ctx)
	h.refused("a buyer at the desk", err, client.CodeForbidden)

	var seen client.Operations
	owned := func() bool {
		seen, err = admin.Operations(ctx)
		h.must(err)
		for _, p := range seen.Partitions {
			if !p.Known || p.Owner == "" || p.Loading {
				return false
			}
		}
		return len(seen.Partitions) == 16
	}
	for deadline := time.Now().Add(time.Minute); !owned(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nobody owns them all: %+v", seen)
		}
	}
	kind, err := redisurl.Parse(h.redis)
	h.must(err)
	if seen.Version == "" || time.Since(seen.At) > time.Hour || seen.DeadLetters != 0 || seen.Redis == nil || seen.Redis.Mode != string(kind.Mode) || *seen.Redis.Memory == 0 ||
		seen.Postgres == nil || seen.Postgres.Size == 0 || seen.Sales == nil {
		t.Errorf("it all is %+v", seen)
	}

	// A bid that Postgres has refused, one that cannot be read.
	bury := func(p int, entry string) {
		_, err := embeddedtest.Client(t, h.redis).XAdd(ctx, &redis.XAddArgs{Stream: fmt.Sprintf("{s%d}:dead", p),
			Values: []any{"q", "5", "g", "1", "e", entry, "entry", "1700000000000-0", "cause", "too poisonous", "attempts", "5"}}).Result()
		h.must(err)
	}
	poison := sale.Request{Receipt: sale.NewReceiptID(1), Verb: sale.Bid, Sale: 1 << 40, Buyer: tokens.Account, Quantity: 2, Price: 10}
	bury(1, string(poison.Encode()))
	bury(2, "\x63later")
	letters := collect(h, admin.DeadLetters(ctx))
	if len(letters) != 2 || letters[0].Receipt != poison.Receipt.String() || letters[0].Buyer != tokens.Account || letters[0].Verb != client.VerbBid || letters[0].Attempts != 5 || letters[1].Partition != 2 {
		t.Fatalf("dead are %+v", letters)
	}
	whole, err := admin.DeadLetter(ctx, letters[0].ID)
	h.must(err)
	if whole.Cause != "too poisonous" || whole.Payload["q"] != "5" || whole.AdmittedAt.IsZero() || whole.DiedAt.IsZero() {
		t.Errorf("one is %+v", whole)
	}
	replayed, err := admin.ReplayDeadLetter(ctx, letters[0].ID)
	h.must(err)
	owner, err := admin.ReceiptOwner(ctx, replayed)
	h.must(err)
	if owner.Receipt.ID != replayed || owner.Receipt.Buyer != tokens.Account || owner.Account == nil || owner.Account.Email != "ada@example.com" || owner.Account.Role != client.Buyer {
		t.Errorf("the owner is %+v", owner)
	}
	_, err = admin.ReplayDeadLetter(ctx, letters[0].ID)
	h.refused("replayed twice", err, client.CodeUnknownLetter)
	_, err = admin.ReplayDeadLetter(ctx, letters[1].ID)
	h.refused("what nobody can read", err, client.CodeLetterUnreadable)
	h.must(admin.DropDeadLetter(ctx, letters[1].ID))
	_, err = admin.DeadLetter(ctx, letters[1].ID)
	h.refused("dropped", err, client.CodeUnknownLetter)

	var report client.AuditReport
	calm := func() bool {
		report, err = admin.Audit(ctx, 0)
		h.must(err)
		return report.Verdict != client.VerdictBusy && report.Unfinished == 0
	}
	for deadline := time.Now().Add(time.Minute); !calm(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still busy: %+v", report)
		}
	}
	if report.Verdict != client.VerdictOK || report.Partitions != 16 || len(report.Broken) != 0 || report.Breaches != 0 {
		t.Errorf("the audit says %+v", report)
	}
	_, err = admin.Audit(ctx, 1<<40)
	h.refused("an audit of nothing", err, client.CodeUnknownSale)
}
