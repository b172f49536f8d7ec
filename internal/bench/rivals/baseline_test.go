package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/internal/embedded/embeddedtest"
)

const (
	testStock  = 60
	testBuyers = 200
)

// makeBooks makes books with a sale of testStock units in a database, where it may have
// made some before.
func makeBooks(t *testing.T, postgres string) *books {
	t.Helper()
	must(t, (&setup{Postgres: postgres, Sale: 1, Stock: testStock, Buyers: testBuyers, Balance: 15}).Run(t.Context()))
	b, err := openBooks(context.WithoutCancel(t.Context()), postgres, 16)
	must(t, err)
	t.Cleanup(b.close)
	return b
}

// baselines are the ways to sell, by name.
var baselines = map[string]func(*testing.T, *books) sell{
	"nolock":     func(_ *testing.T, b *books) sell { return b.sellUnlocked },
	"optimistic": func(_ *testing.T, b *books) sell { return b.sellVersioned },
	"rowlock":    func(_ *testing.T, b *books) sell { return b.sellLocked },
	"redlock": func(t *testing.T, b *books) sell {
		client, err := openRedis(embeddedtest.Redis(t), redisConnections)
		must(t, err)
		t.Cleanup(func() { client.Close() })
		return b.sellUnder(client)
	},
	"lua": func(t *testing.T, b *books) sell {
		client, err := openRedis(embeddedtest.Redis(t), redisConnections)
		must(t, err)
		t.Cleanup(func() { client.Close() })
		must(t, b.stockRedis(t.Context(), client))
		return b.sellFromRedis(client)
	},
}

func TestBaselines(t *testing.T) {
	door, err := newDoorkeeper(testKeys)
	must(t, err)
	for name, selling := range baselines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := shop{name: name, selling: selling, door: door, postgres: embeddedtest.Postgres(t), client: caller(t)}
			t.Run("a crowd", shop.crowd)
			t.Run("short of points", shop.short)
			t.Run("repeats at once", shop.repeats)
		})
	}
}

// shop is a baseline under test.
type shop struct {
	name     string
	selling  func(*testing.T, *books) sell
	door     *doorkeeper
	postgres string
	client   *http.Client
}

// open begins anew.
func (s shop) open(t *testing.T) (sell sell, url string) {
	books := makeBooks(t, s.postgres)
	sell = s.selling(t, books)
	return sell, start(t, sellApp(s.door, books, sell))
}

// crowd: 200 buyers at once on 60 units, and then all of them again under the same keys.
// All but the one without a lock sell exactly what there is, once.
func (s shop) crowd(t *testing.T) {
	_, url := s.open(t)
	first := crowd(t, s.client, url)
	f := look(t, s.postgres)
	won := int64(0)
	for buyer, a := range first {
		switch a.status {
		case 201:
			won++
		case 409:
		default:
			t.Fatalf("buyer %d: %d %s", buyer, a.status, a.body)
		}
	}
	if won != f.Receipts {
		t.Errorf("%d were told that they have a unit, and %d have", won, f.Receipts)
	}
	if s.name == "nolock" { // the twin: what is asked of all others can be wrong, and is found
		if f.Oversold == 0 || f.complaints(testStock) == "" {
			t.Errorf("without a lock nothing was oversold: %+v", f)
		}
		return
	}
	if wrong := f.complaints(testStock); wrong != "" {
		t.Error(wrong)
	}
	for buyer, again := range crowd(t, s.client, url) {
		if again.status != first[buyer].status || again.body != first[buyer].body {
			t.Errorf("buyer %d is told %s, and then %s", buyer, first[buyer].body, again.body)
		}
	}
	if again := look(t, s.postgres); again != f {
		t.Errorf("repeats changed the books from %+v to %+v", f, again)
	}
}

// short: who cannot pay gets nothing, and his units go to others.
func (s shop) short(t *testing.T) {
	_, url := s.open(t)
	bid := func(buyer int64, key string, quantity int) answer {
		a, err := ask(s.client, "POST", url+"/v1/sales/1/bids", token(t, buyer), key, fmt.Sprintf(`{"quantity":%d,"price":10}`, quantity))
		must(t, err)
		return a
	}
	for i, want := range []string{`"reason":"short_points"`, `"status":"confirmed"`, `"reason":"short_points"`} {
		quantity := 1 // of 15 points one takes 10
		if i == 0 {
			quantity = testStock
		}
		if a := bid(1, fmt.Sprint("key ", i), quantity); !strings.Contains(a.body, want) {
			t.Errorf("bid %d: %d %s", i, a.status, a.body)
		}
	}
	if f := look(t, s.postgres); f.complaints(1) != "" {
		t.Errorf("the books say %+v", f)
	}
	for buyer := int64(2); buyer <= testStock; buyer++ {
		if a := bid(buyer, "key", 1); a.status != 201 {
			t.Fatalf("buyer %d: %d %s", buyer, a.status, a.body)
		}
	}
	if wrong := look(t, s.postgres).complaints(testStock); wrong != "" {
		t.Error(wrong)
	}
}

// repeats: the same key many times at the same moment is one bid.
func (s shop) repeats(t *testing.T) {
	sell, _ := s.open(t)
	var all sync.WaitGroup
	asked := bid{Receipt: [16]byte{1}, Sale: 1, Buyer: 1, Quantity: 1, Price: 5}
	for range 20 {
		all.Go(func() {
			if o, err := sell(t.Context(), asked); err != errRepeated && (err != nil || o != sold) {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
	all.Wait()
	if f := look(t, s.postgres); f.complaints(1) != "" {
		t.Errorf("the books say %+v", f)
	}
}

// crowd lets every buyer bid at once, and answers what each was told.
func crowd(t *testing.T, client *http.Client, url string) []answer {
	t.Helper()
	tokens, answers := make([]string, testBuyers), make([]answer, testBuyers)
	for i := range tokens {
		tokens[i] = token(t, int64(i+1))
	}
	var all sync.WaitGroup
	for i := range tokens {
		all.Go(func() {
			var err error
			if answers[i], err = ask(client, "POST", url+"/v1/sales/1/bids", tokens[i], "key", oneUnit); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	return answers
}

func look(t *testing.T, url string) finding {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(t.Context())
	f, err := examine(t.Context(), conn, 1)
	must(t, err)
	return f
}

// complaints says what is wrong with books in which so many units must be sold.
func (f finding) complaints(units int64) string {
	if f.Sold != units || f.Oversold != 0 || f.Counted != units || f.Entries != units || f.Receipts != units || !f.PointsOK {
		return fmt.Sprintf("%d units should be sold, and the books say %+v", units, f)
	}
	return ""
}
