package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/embedded/embeddedtest"
)

// beginning starts the workers of a carrier.
type beginning func(context.Context, *books, settleOne) (carry, func(), error)

// carriers are the ways to carry, by name.
var carriers = map[string]func(redis string) beginning{
	"asynq":     func(redis string) beginning { return (&asynqs{carrier{serving: serving{Redis: redis}}}).begin },
	"river":     func(string) beginning { return beginRiver },
	"watermill": func(redis string) beginning { return (&watermills{carrier{serving: serving{Redis: redis}}}).begin },
}

// TestCarriers: 200 buyers at once on 60 units, with workers that are sent away as soon
// as the last POST is answered; others do the rest. Then all of them again. Nothing is
// lost and nothing done twice.
func TestCarriers(t *testing.T) {
	for name, carrier := range carriers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			postgres := embeddedtest.Postgres(t)
			begin, client := carrier(embeddedtest.Redis(t)), caller(t)
			for _, each := range []bool{false, true} {
				b := makeBooks(t, postgres)
				var told []answer
				t.Run("first", func(t *testing.T) {
					told = crowd(t, client, open(t, b, begin, each))
				})
				url := open(t, b, begin, each)
				if queued := waitFor(t, client, url, told, patience); queued > 0 {
					t.Errorf("%d were lost: %+v", queued, look(t, postgres))
				}
				f := look(t, postgres)
				if wrong := f.complaints(testStock); wrong != "" || f.Rejected != testBuyers-testStock {
					t.Errorf("%+v %s", f, wrong)
				}
				if again := crowd(t, client, url); waitFor(t, client, url, again, patience) > 0 {
					t.Error("a repeat is not known")
				}
				late := ask202(t, client, url, "late")
				if waitFor(t, client, url, []answer{late}, patience) > 0 { // with it, the repeats before it are through
					t.Error("one that came last was lost")
				}
				if got := look(t, postgres); got.Rejected != f.Rejected+1 || got.complaints(testStock) != "" {
					t.Errorf("repeats changed the books from %+v to %+v", f, got)
				}
			}
		})
	}
}

// TestLosingCarrier is the twin: a carrier that loses one of them is found out.
func TestLosingCarrier(t *testing.T) {
	b, client := makeBooks(t, embeddedtest.Postgres(t)), caller(t)
	url := open(t, b, func(_ context.Context, _ *books, settle settleOne) (carry, func(), error) {
		return func(ctx context.Context, asked bid) error {
			if asked.Buyer == 7 {
				return nil
			}
			return settle(ctx, asked)
		}, func() {}, nil
	}, false)
	if queued := waitFor(t, client, url, crowd(t, client, url), time.Second); queued != 1 {
		t.Errorf("%d were lost", queued)
	}
}

// open serves a carrier until the test ends.
func open(t *testing.T, b *books, begin beginning, each bool) (url string) {
	t.Helper()
	door, err := newDoorkeeper(testKeys)
	must(t, err)
	settle, rest := b.settling(each)
	carry, stop, err := begin(context.WithoutCancel(t.Context()), b, settle)
	must(t, err)
	t.Cleanup(func() {
		stop()
		rest()
	})
	return start(t, carryApp(door, b, carry))
}

// waitFor polls what was accepted until none of it is queued any more, or for so long,
// and answers how many still are.
func waitFor(t *testing.T, client *http.Client, url string, told []answer, patience time.Duration) (queued int) {
	t.Helper()
	waiting := make([]string, len(told))
	for i, a := range told {
		if a.status != 202 || !strings.Contains(a.body, queuedStatus) {
			t.Fatalf("a bid is answered %d %s", a.status, a.body)
		}
		waiting[i] = a.header.Get("Location")
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var still []string
		for _, location := range waiting {
			a, err := ask(client, "GET", url+location, "", "", "")
			must(t, err)
			var body receipt
			must(t, json.Unmarshal([]byte(a.body), &body))
			switch body.Status {
			case queuedStatus:
				still = append(still, location)
			case confirmed, rejected:
			default:
				t.Fatalf("a receipt is answered %d %s", a.status, a.body)
			}
		}
		if waiting = still; len(waiting) == 0 || time.Now().After(deadline) {
			return len(waiting)
		}
	}
}

func ask202(t *testing.T, client *http.Client, url, key string) answer {
	t.Helper()
	a, err := ask(client, "POST", url+"/v1/sales/1/bids", token(t, 1), key, oneUnit)
	must(t, err)
	return a
}

// TestSettle: a batch is decided in its order, what is in it twice or known already
// once, and all of what it may be refused for is.
func TestSettle(t *testing.T) {
	postgres := embeddedtest.Postgres(t)
	b := makeBooks(t, postgres)
	of := func(receipt byte, sale, buyer, quantity, price int64) bid {
		return bid{uuid.UUID{receipt}, sale, buyer, quantity, price}
	}
	for _, batch := range []struct {
		bids []bid
		want []outcome
	}{
		{
			[]bid{of(1, 1, 1, 1, 10), of(2, 1, 1, 1, 10), of(1, 1, 1, 1, 10), of(3, 1, 1, 1, 5), of(4, 2, 1, 1, 1)},
			[]outcome{sold, shortPoints, sold, sold, {rejected, "unknown_sale"}},
		},
		{
			[]bid{of(2, 1, 2, 1, 10), of(5, 1, 999, 1, 1), of(6, 1, 3, 2, 8), of(7, 1, 3, 3, 5), of(8, 1, 4, testStock-4, 1), of(9, 1, 4, 1, 1)},
			[]outcome{shortPoints, shortPoints, shortPoints, sold, soldOut, sold},
		},
	} {
		got, err := b.settle(t.Context(), batch.bids)
		must(t, err)
		for i := range got {
			if got[i] != batch.want[i] {
				t.Errorf("%+v: %+v, not %+v", batch.bids[i], got[i], batch.want[i])
			}
		}
	}
	if f := look(t, postgres); !f.PointsOK || f.Sold != f.Counted {
		t.Errorf("the books say %+v", f)
	}
}
