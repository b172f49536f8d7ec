package partition

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sluice/internal/sale"
)

// TestTogetherIsOneByOne: whatever requests come together, each is answered as if they had
// come one after another, and Redis holds the same afterwards.
func TestTogetherIsOneByOne(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(20) {
		for _, difference := range differences(t, seed, seen, nil) {
			t.Errorf("draw %d: %s", seed, difference)
		}
	}
	for _, word := range []string{"queued", "known", "overloaded", "rate_limited", "sold_out", "unknown_sale", "suspended", "closed"} {
		if !seen[word] {
			t.Errorf("nobody was %s: the test shows too little", word)
		}
	}
}

// TestTogetherFindsOut: a script that forgets within a call what it has decided in it is
// found out.
func TestTogetherFindsOut(t *testing.T) {
	for name, twin := range map[string][2]string{
		"the same receipt twice":      {"made[receipt] or ", ""},
		"a buyer's pace":              {"arrival_of[pace] or ", ""},
		"how many are queued already": {"local backlog = seq - applied_seq", "local backlog = tonumber(p[2]) - applied_seq"},
	} {
		t.Run(name, func(t *testing.T) {
			twist := func(f *fixture) {
				bad := f.scripts["admit"]
				if bad.source = strings.Replace(bad.source, twin[0], twin[1], 1); bad.source == f.scripts["admit"].source {
					t.Fatal("the script does not say that any more")
				}
				var err error
				bad.sha, err = f.raw.ScriptLoad(f.ctx, bad.source).Result()
				f.must(err)
				f.scripts["admit"] = bad
			}
			found := 0
			for seed := range uint64(10) {
				found += len(differences(t, seed, map[string]bool{}, twist))
			}
			if found == 0 {
				t.Error("it is not found out")
			}
		})
	}
}

// differences draws requests and admits them to two partitions, one by one to the first,
// together to the second, whose script may be twisted. It answers where they differ, and
// notes the words that were answered.
func differences(t *testing.T, seed uint64, seen map[string]bool, twist func(*fixture)) (found []string) {
	random := rand.New(rand.NewPCG(seed, 8))
	alone, together := started(t), started(t)
	if twist != nil {
		twist(together)
	}
	for id := range int64(4) {
		s := lamp(func(s *sale.Stand) {
			s.ID = id + 7
			switch id {
			case 1:
				s.Free, s.Sold = 0, 10
			case 2:
				s.ClosesAt = s.OpensAt.Add(1)
			case 3:
				s.Suspended = true
			}
		})
		alone.load(s)
		together.load(s)
	}
	var all, twins []*admitting
	for range 60 {
		r := bid(1001+random.Int64N(20), 1+random.Int64N(2))
		r.Sale = 7 + max(random.Int64N(10)-5, 0) // 11 is not there
		r.Receipt = sale.KeyedReceiptID(p, r.Buyer, r.Sale, r.Verb, fmt.Sprint(random.IntN(4)))
		gate := Selling
		if random.IntN(5) == 0 {
			gate = Anytime
		}
		one := newAdmitting(p, r, queuedReceipt(r), gate, Limits{Backlog: 25, Rate: 0.001, Burst: 2}, "keyed")
		twin := *one
		all, twins = append(all, one), append(twins, &twin)
	}
	for i := range all {
		alone.admitAll(t.Context(), p, all[i:i+1])
	}
	for rest := twins; len(rest) > 0; {
		n := 1 + random.IntN(min(len(rest), 30))
		together.admitAll(t.Context(), p, rest[:n])
		rest = rest[n:]
	}
	for i := range all {
		got, want := timeless(twins[i]), timeless(all[i])
		if all[i].err != nil || twins[i].err != nil || got != want {
			found = append(found, fmt.Sprintf("%d: %q, %v; alone %q, %v", i, got, twins[i].err, want, all[i].err))
		}
		word, _, _ := strings.Cut(want, " ")
		seen[word] = true
	}
	if a, b := shape(alone), shape(together); a != b {
		found = append(found, "together\n"+b+"\nalone\n"+a)
	}
	return found
}

// timeless is an answer without what depends on the moment.
func timeless(a *admitting) string {
	words := strings.Fields(a.answer)
	switch {
	case len(words) == 0:
		return ""
	case words[0] == "known":
		words[3] = "" // stream time
	case words[0] != "queued":
		words = words[:1]
	}
	return strings.Join(words, " ")
}

// shape is what a Redis holds, without times.
func shape(f *fixture) string {
	f.t.Helper()
	keys, err := f.raw.Keys(f.ctx, "*").Result()
	f.must(err)
	held := map[string]string{}
	for _, key := range keys {
		if strings.Contains(key, ":r:") {
			words := strings.Fields(f.raw.Get(f.ctx, key).Val())
			held[key] = words[0] + " " + words[1] + " " + strings.Join(words[3:], " ")
			continue
		}
		held[key] = "there"
	}
	part := f.raw.HGetAll(f.ctx, slot(p)).Val()
	held["seq"] = part["seq"]
	messages, err := f.raw.XRange(f.ctx, streamKey(p), "-", "+").Result()
	f.must(err)
	for i, m := range messages[1:] {
		held[fmt.Sprint("entry ", i)] = fmt.Sprint(m.Values)
	}
	return fmt.Sprint(held)
}
