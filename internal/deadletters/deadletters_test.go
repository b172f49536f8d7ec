package deadletters

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

const partitions = 4

// house is a real Redis with its partitions open, and an owner's hand.
type house struct {
	t       testing.TB
	ctx     context.Context
	store   *partition.Store
	raw     redis.UniversalClient
	letters *Letters
	applied map[int]sale.EntryID
}

func open(t testing.TB) *house {
	t.Helper()
	url := embeddedtest.Redis(t)
	h := &house{t: t, ctx: t.Context(), applied: map[int]sale.EntryID{}}
	var err error
	h.store, err = partition.Open(h.ctx, partition.Options{URL: url, Partitions: partitions})
	h.must(err)
	h.raw = embeddedtest.Client(t, url)
	t.Cleanup(func() { h.store.Close() })
	for p := range partitions {
		_, err := h.store.Lead(h.ctx, p, 1, 1)
		h.must(err)
		h.must(h.store.Rebuild(h.ctx, p, 1, 1, sale.EntryID{}, 0))
		h.settle(p, nil)
	}
	h.letters = New(h.store, 10)
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) admit(p int, r sale.Request) uuid.UUID {
	h.t.Helper()
	r.Receipt = sale.NewReceiptID(p)
	_, err := h.store.Admit(h.ctx, p, r, partition.Anytime, partition.Limits{Backlog: 10})
	h.must(err)
	return r.Receipt
}

// settle makes everything that is queued poison, of this death; nothing of it when
// there is none.
func (h *house) settle(p int, death *partition.Death) {
	h.t.Helper()
	entries, err := h.store.Read(h.ctx, p, h.applied[p], 100)
	h.must(err)
	b := sale.Batch{Partition: p, Epoch: 1, Prev: h.applied[p], Last: entries[len(entries)-1].ID, Entries: entries}
	deaths := map[sale.EntryID]partition.Death{}
	for i, e := range entries {
		b.Seq = max(b.Seq, e.Seq)
		if death != nil {
			entries[i].Request = sale.Request{Receipt: e.Receipt, Sale: e.Sale, Buyer: e.Buyer}
			deaths[e.ID] = *death
		}
	}
	b.Decision = sale.Decide(b.State, b.Facts, b.Entries)
	_, err = h.store.Bury(h.ctx, 1, b, 0, deaths)
	h.must(err)
	h.applied[p] = b.Last
}

func (h *house) list(p int) []Letter {
	h.t.Helper()
	letters, err := h.letters.List(h.ctx, p)
	h.must(err)
	return letters
}

func TestLetters(t *testing.T) {
	h := open(t)
	if letters := h.list(All); len(letters) != 0 || letters == nil {
		t.Fatalf("before anything died: %#v", letters)
	}
	bid := sale.Request{Verb: sale.Bid, Sale: 7, Buyer: 11, Quantity: 2, Price: 100, Trace: "edge"}
	first := h.admit(1, bid)
	h.settle(1, &partition.Death{Cause: "too poisonous", Attempts: 5})
	second := h.admit(2, sale.Request{Verb: sale.Cancel, Sale: 8, Buyer: 12, Target: sale.NewReceiptID(2)})
	h.settle(2, &partition.Death{}) // by an owner that took over
	torn := sale.NewReceiptID(1)
	h.must(h.raw.XAdd(h.ctx, &redis.XAddArgs{Stream: "{s1}:log", Values: []any{"q", "x", "e", "\x63" + string(torn[:]) + "later", "cause", "a lie"}}).Err())
	h.settle(1, nil)

	all := h.list(All)
	if len(all) != 3 || len(h.list(1)) != 2 || len(h.list(0)) != 0 {
		t.Fatalf("letters %+v", all)
	}
	if l := all[0]; l.Receipt != first || l.Partition != 1 || l.Sale != 7 || l.Buyer != 11 || l.Verb != "bid" || l.Quantity != 2 || l.Price != 100 ||
		l.Trace != "edge" || l.Cause != "too poisonous" || l.Attempts != 5 || l.Payload["e"] == "" || len(l.Payload) != 3 || time.Since(l.Asked) > time.Minute || l.AgeMS > 60_000 {
		t.Errorf("poison is told as %+v", l)
	}
	if l := all[1]; l.Receipt != torn || l.Verb != "" || l.Cause != causeUnreadable || l.Attempts != 0 {
		t.Errorf("what cannot be read is told as %+v", l)
	}
	if l := all[2]; l.Receipt != second || l.Partition != 2 || l.Verb != "cancel" || l.Cause != causeUnknown {
		t.Errorf("a cause that is forgotten is told as %+v", l)
	}
	h.pages(all)
	for _, want := range all {
		got, err := h.letters.Show(h.ctx, want.Partition, want.ID)
		if err != nil || got.Receipt != want.Receipt {
			t.Errorf("%+v, %v", got, err)
		}
	}

	// The request of a poisonous one goes back as it was, under one new receipt
	// however often it is replayed.
	id := all[0].ID
	kept, err := h.raw.Dump(h.ctx, "{s1}:dead").Result()
	h.must(err)
	again, err := h.letters.Replay(h.ctx, 1, id)
	h.must(err)
	h.must(h.raw.RestoreReplace(h.ctx, "{s1}:dead", 0, kept).Err()) // as if the letter had not been dropped
	if repeated, err := h.letters.Replay(h.ctx, 1, id); err != nil || repeated != again || again == first {
		t.Errorf("replayed as %s, then as %s, %v", again, repeated, err)
	}
	entries, err := h.store.Read(h.ctx, 1, h.applied[1], 100)
	h.must(err)
	bid.Receipt = again
	if len(entries) != 1 || entries[0].Request != bid {
		t.Errorf("queued %+v, not %+v", entries, bid)
	}
	if old, err := h.store.Receipt(h.ctx, 1, first); err != nil || old.Reason != sale.Internal {
		t.Errorf("the old receipt is %+v, %v", old, err)
	}
	if len(h.list(1)) != 1 {
		t.Error("a replayed letter is still there")
	}

	for what, err := range map[string]error{
		"replay what cannot be read": fault(h.letters.Replay(h.ctx, 1, all[1].ID)),
		"drop it":                    h.letters.Drop(h.ctx, 1, all[1].ID),
		"drop it again":              h.letters.Drop(h.ctx, 1, all[1].ID),
		"show it":                    fault(h.letters.Show(h.ctx, 1, all[1].ID)),
		"show nonsense":              fault(h.letters.Show(h.ctx, All, "nonsense")),
		"look elsewhere":             fault(h.letters.Show(h.ctx, 0, all[2].ID)),
		"look nowhere":               fault(h.letters.Show(h.ctx, partitions, all[2].ID)),
		"list nowhere":               fault(h.letters.List(h.ctx, -2)),
	} {
		want := map[string]error{"replay what cannot be read": ErrUnreadable, "drop it": nil, "look nowhere": ErrPartition, "list nowhere": ErrPartition}
		is, ok := want[what]
		if !ok {
			is = ErrNone
		}
		if !errors.Is(err, is) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func fault[T any](_ T, err error) error { return err }

// TestSameIDTwice: partitions count their letters each by itself.
func TestSameIDTwice(t *testing.T) {
	h := open(t)
	for _, stream := range []string{"{s1}:dead", "{s3}:dead"} {
		h.must(h.raw.XAdd(h.ctx, &redis.XAddArgs{Stream: stream, ID: "1700000000000-0", Values: []any{"entry", "nonsense", "from", stream}}).Err())
	}
	if _, err := h.letters.Show(h.ctx, All, "1700000000000-0"); !errors.Is(err, ErrWhich) {
		t.Errorf("of two it shows one: %v", err)
	}
	if err := h.letters.Drop(h.ctx, All, "1700000000000-0"); !errors.Is(err, ErrWhich) {
		t.Errorf("of two it drops one: %v", err)
	}
	h.must(h.raw.XAdd(h.ctx, &redis.XAddArgs{Stream: "{s0}:dead", ID: "1700000000001-0", Values: []any{"entry", "nonsense"}}).Err())
	if l, err := h.letters.Show(h.ctx, All, "1700000000001-0"); err != nil || l.Partition != 0 {
		t.Errorf("the only one: %+v, %v", l, err)
	}
	l, err := h.letters.Show(h.ctx, 3, "1700000000000-0")
	if err != nil || l.Payload["from"] != "{s3}:dead" || l.Cause != causeUnreadable {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestReplayRefused: the letter stays.
func TestReplayRefused(t *testing.T) {
	h := open(t)
	h.admit(1, sale.Request{Verb: sale.Bid, Sale: 7, Buyer: 11, Quantity: 1, Price: 100})
	h.settle(1, &partition.Death{Cause: "x", Attempts: 3})
	for range 10 {
		h.admit(1, sale.Request{Verb: sale.Bid, Sale: 7, Buyer: 11, Quantity: 1, Price: 100})
	}
	id := h.list(1)[0].ID
	var refusal *sale.Refusal
	if _, err := h.letters.Replay(h.ctx, 1, id); !errors.As(err, &refusal) || refusal.Code != sale.RefusedOverload {
		t.Errorf("replayed over the bound: %v", err)
	}
	if len(h.list(1)) != 1 {
		t.Error("the letter is gone")
	}
}

// TestManyLetters are listed page by page, each once.
func TestManyLetters(t *testing.T) {
	h := open(t)
	pipe := h.raw.Pipeline()
	for range 2*pageMost + 1 {
		pipe.XAdd(h.ctx, &redis.XAddArgs{Stream: "{s2}:dead", Values: []any{"e", "x"}})
	}
	_, err := pipe.Exec(h.ctx)
	h.must(err)
	seen := map[string]bool{}
	for _, l := range h.list(All) {
		seen[l.ID] = true
	}
	if len(seen) != 2*pageMost+1 {
		t.Errorf("%d letters", len(seen))
	}
}
