package partition

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// TestBriefSaysAsMuch: what is read of a rejection is the same, however it is kept.
func TestBriefSaysAsMuch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.Int64Range(0, sale.MaxPoints)
		r := sale.Receipt{
			ID: sale.NewReceiptID(p), Verb: rapid.SampledFrom(sale.Verbs()).Draw(t, "verb"), Status: sale.Rejected,
			Reason:      sale.Reason(rapid.IntRange(1, int(sale.Internal)).Draw(t, "reason")),
			Fingerprint: rapid.Uint64().Draw(t, "fingerprint"), Seq: count.Draw(t, "seq"), At: sale.Instant(count.Draw(t, "at")),
			Sale: count.Draw(t, "sale"), Buyer: count.Draw(t, "buyer"), Quantity: count.Draw(t, "quantity"), UnitPrice: count.Draw(t, "price"),
		}
		if r.Reason.String() == "" {
			t.Skip("no such reason")
		}
		whole := string(briefRecord(r))
		if got, err := parseRecord(r.ID, whole); err != nil || got != r {
			t.Errorf("%q is %+v, %v, and was %+v", whole, got, err, r)
		}
		if got, err := parseRecord(r.ID, whole+"more"); err != nil || got != r {
			t.Errorf("with more behind it, it is %+v, %v", got, err)
		}
		for n := range whole {
			if got, err := parseRecord(r.ID, whole[:n]); err == nil {
				t.Errorf("%d bytes of it are %+v", n, got)
			}
		}
	})
}

// TestBriefOfALaterProcess: a verb and a reason that are not known are as in words.
func TestBriefOfALaterProcess(t *testing.T) {
	r := sale.Receipt{ID: sale.NewReceiptID(p), Verb: sale.Bid, Sale: 7, Status: sale.Rejected, Reason: sale.SoldOut, Seq: 1, At: 2}
	later := briefRecord(r)
	later[0], later[1] = 31, 255
	r.Verb, r.Reason = 0, sale.Internal
	if got, err := parseRecord(r.ID, string(later)); err != nil || got != r {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestWhatIsNotBrief: of what there is more to say nothing is left out.
func TestWhatIsNotBrief(t *testing.T) {
	for name, change := range map[string]func(*sale.Receipt){
		"no rejection":   func(r *sale.Receipt) { r.Status, r.Reason = sale.Confirmed, 0 },
		"no verb":        func(r *sale.Receipt) { r.Verb = 0 },
		"no reason":      func(r *sale.Receipt) { r.Reason = 0 },
		"a target":       func(r *sale.Receipt) { r.Target = sale.NewReceiptID(p) },
		"a coupon":       func(r *sale.Receipt) { r.Coupon = sale.NewReceiptID(p) },
		"a hold":         func(r *sale.Receipt) { r.PayBy = 1 },
		"a discount":     func(r *sale.Receipt) { r.Discount = 1 },
		"others went by": func(r *sale.Receipt) { r.Passed = 1 },
		"less than none": func(r *sale.Receipt) { r.Buyer = -1 },
	} {
		r := sale.Receipt{ID: sale.NewReceiptID(p), Verb: sale.Bid, Sale: 7, Status: sale.Rejected, Reason: sale.SoldOut, Seq: 1, At: 2}
		if briefRecord(r) == nil {
			t.Fatal("nothing is brief")
		}
		if change(&r); briefRecord(r) != nil {
			t.Errorf("%s: it is brief", name)
		}
	}
}

// TestShortIDs: two IDs of a partition are short in two ways, and an ID that cannot be
// ours is not short at all.
func TestShortIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) (id uuid.UUID) {
			copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, name))
			id[6], id[7], id[8] = rapid.SampledFrom([]byte{0x70, 0x80}).Draw(t, "version of "+name), p, id[8]&0x3f|0x80
			return id
		}
		a := draw("one")
		b := a
		if rapid.Bool().Draw(t, "another version") {
			b[6] ^= 0xf0
		} else if at := rapid.IntRange(0, 15).Draw(t, "bit"); at != 6 && at != 7 {
			b[at] ^= 1
		}
		if got := shortID(a); len(got) != 14 || (got == shortID(b)) != (a == b) {
			t.Errorf("%s is %x, %s is %x", a, got, b, shortID(b))
		}
	})
	foreign := uuid.New()
	if shortID(foreign) != string(foreign[:]) {
		t.Errorf("%s is %x", foreign, shortID(foreign))
	}
}

// rejects settles so many bids that nobody can win.
func (f *fixture) rejects(n int) (ids []uuid.UUID) {
	f.t.Helper()
	for i := range n {
		r := bid(1001+int64(i), 1)
		r.Receipt = sale.KeyedReceiptID(p, r.Buyer, r.Sale, r.Verb, "key")
		f.admit(r)
		ids = append(ids, r.Receipt)
	}
	for left := n; left > 0; left -= 500 {
		b := f.batch()
		f.must(f.Apply(f.ctx, 1, b, 0))
	}
	return ids
}

// greedy is a sale of which everybody wants more than there is, so that nobody gets any,
// and it is not sold out.
func greedy() *sale.Stand {
	return lamp(func(s *sale.Stand) {
		s.Price = sale.Price{Policy: sale.Constant, Start: 1000, Drop: 1, Period: time.Hour}
	})
}

// TestRejectedBriefly: rejections are kept as their readers have agreed, and all of them are
// known to who asks after them, and to who asks again.
func TestRejectedBriefly(t *testing.T) {
	f := over(t, embeddedtest.RedisServer(t).URL) // in a cluster all are brief from the first on
	f.start()
	f.settle()
	f.load(greedy()) // a bid of 100 is below its price
	words := f.rejects(3)
	f.brief.agreed.Store(true)
	brief := []uuid.UUID{}
	for i := range 3 {
		r := bid(2001+int64(i), 1)
		f.admit(r)
		brief = append(brief, r.Receipt)
	}
	f.settle()
	sizes := map[int]int{}
	for _, field := range f.raw.HKeys(f.ctx, rejectedKey(p, 0)).Val() {
		sizes[len(field)]++
	}
	if sizes[16] != 3 || sizes[14] != 3 || len(sizes) != 2 {
		t.Errorf("sizes of IDs: %v", sizes)
	}
	for i, id := range append(words, brief...) {
		got := f.status(id)
		if got.Status != sale.Rejected || got.Reason != sale.PriceChanged || got.Sale != 7 || got.Quantity != 1 || got.Seq == 0 || got.At == 0 || got.Verb != sale.Bid {
			t.Errorf("number %d is %+v", i, got)
		}
	}
	again := sale.Request{Receipt: brief[0], Verb: sale.Bid, Sale: 7, Buyer: 2001, Quantity: 1, Price: 100}
	if standing := f.admit(again); !standing.Known || standing.Status != sale.Rejected {
		t.Errorf("the same again is %+v", standing)
	}
	again.Quantity = 2
	var refusal *sale.Refusal
	if _, err := f.Admit(f.ctx, p, again, Selling, unlimited); !errors.As(err, &refusal) || refusal.Code != sale.RefusedMismatch {
		t.Errorf("something else under its key: %v", err)
	}
}

// TestAgree: rejections are brief once everybody has been seen twice to read them, and not
// while one of the release before hears of batches.
func TestAgree(t *testing.T) {
	f := over(t, embeddedtest.RedisServer(t).URL) // of a cluster nobody hears who has not agreed
	agrees := func(what string, want bool) {
		t.Helper()
		f.must(f.Agree(f.ctx))
		if got := f.brief.agreed.Load(); got != want {
			t.Errorf("%s: agreed is %t", what, got)
		}
	}
	agrees("the first answer", false)
	agrees("the second", true)
	before := f.raw.Subscribe(f.ctx, channel(0))
	_, err := before.Receive(f.ctx)
	f.must(err)
	agrees("the release before hears", false)
	ctx, cancel := context.WithCancel(f.ctx)
	flows, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- f.Watch(ctx, func([]int, error) { close(flows) }, func(Changes) {}) }()
	<-flows
	agrees("both hear", false)
	f.must(before.Close())
	for deadline := time.Now().Add(time.Minute); f.raw.PubSubNumSub(f.ctx, channel(0)).Val()[channel(0)] != 1 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	agrees("this one alone, seen once", false)
	agrees("seen twice", true)
	cancel()
	f.must(<-ended)
}

// used is what Redis' data takes.
func (f *fixture) used() int64 {
	f.t.Helper()
	info, err := f.raw.Info(f.ctx, "memory").Result()
	f.must(err)
	sum := int64(0)
	for _, found := range regexp.MustCompile(`used_memory_dataset:(\d+)`).FindAllStringSubmatch(info, -1) {
		n, err := strconv.ParseInt(found[1], 10, 64)
		f.must(err)
		sum += n
	}
	if sum == 0 {
		f.t.Fatal("it does not tell")
	}
	return sum
}

// rejectedBound is how many bytes of Redis a rejected receipt may take.
const rejectedBound = 100

// TestMemoryOfRejections holds the bound; as words, the known-bad twin, they do not.
func TestMemoryOfRejections(t *testing.T) {
	const n = 30_000 // the table has 32,768 places
	for _, brief := range []bool{true, false} {
		t.Run(fmt.Sprint("brief ", brief), func(t *testing.T) {
			f := over(t, embeddedtest.RedisServer(t).URL) // in a cluster all are brief
			f.start()
			f.brief.agreed.Store(brief)
			start := f.used()
			args := make([]any, 0, 2*500)
			for i := range n {
				r := sale.Receipt{ID: sale.KeyedReceiptID(p, int64(i), 7, sale.Bid, "key"), Verb: sale.Bid, Sale: 12_345, Buyer: 1_000_000 + int64(i), Quantity: 1,
					Status: sale.Rejected, Reason: sale.SoldOut, Fingerprint: 1<<63 + uint64(i), Seq: 10_000_000 + int64(i), At: 1_790_000_000_000 + sale.Instant(i)}
				field, value := f.rejection(r, record(r))
				if args = append(args, field, value); len(args) == cap(args) || i == n-1 {
					f.must(f.raw.HSet(f.ctx, rejectedKey(p, 0), args...).Err())
					args = args[:0]
				}
			}
			each := float64(f.used()-start) / n
			t.Logf("%.1f bytes each", each)
			if (each <= rejectedBound) != brief {
				t.Errorf("the bound is %d", rejectedBound)
			}
		})
	}
}
