package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"sluice/internal/accounts"
	"sluice/internal/deadletters"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// letter makes a dead letter in a partition, of a bid of nobody in no sale, and answers
// its name.
func (h *house) letter(p int) string {
	h.t.Helper()
	return bury(h.t, h.redis, p)
}

// bury is letter, as the owner of the partition at that Redis would make it.
func bury(t testing.TB, redisURL string, p int) string {
	t.Helper()
	id := sale.NewReceiptID(p)
	entry := sale.Request{Receipt: id, Verb: sale.Bid, Sale: 1 << 40, Buyer: 1 << 40, Quantity: 1, Price: 10}.Encode()
	return buried(t, redisURL, p, "e", string(entry))
}

// buried puts a letter with this entry into Redis.
func buried(t testing.TB, redisURL string, p int, name, entry string) string {
	t.Helper()
	id, err := embeddedtest.Client(t, redisURL).XAdd(t.Context(), &redis.XAddArgs{
		Stream: fmt.Sprintf("{s%d}:dead", p),
		Values: []any{"q", "5", "g", "1", name, entry, "entry", "1700000000000-0", "cause", "value too long", "attempts", "5"},
	}).Result()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d-%s", p, id)
}

const lettersPath = operationsPath + "/dead-letters"

// listed turns the pages of the dead letters and answers their names.
func (h *house) listed(admin string, limit int) (names []string) {
	h.t.Helper()
	for path := fmt.Sprintf("%s?limit=%d", lettersPath, limit); path != ""; {
		r := h.ask("GET", path, admin, "")
		letters, _ := r.body["letters"].([]any)
		if r.status != http.StatusOK || len(letters) > limit {
			h.t.Fatalf("%s: %d %s", path, r.status, r.raw)
		}
		for _, one := range letters {
			names = append(names, fmt.Sprint(one.(map[string]any)["letter"]))
		}
		if path = ""; r.text("next_cursor") != "" {
			path = fmt.Sprintf("%s?limit=%d&cursor=%s", lettersPath, limit, r.text("next_cursor"))
		}
	}
	return names
}

// TestDeadLetters: an admin lists them, looks at one, has it asked once more, and drops
// another; what is gone is gone, and who did it stands in the log.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	h := open(t)
	admin := h.person(accounts.Admin)
	if got := h.listed(admin.Access, 5); len(got) > 0 {
		t.Errorf("before any has died: %v", got)
	}
	buyer := h.rich(accounts.Buyer, 1_000_000)
	s := h.sale(-1, 1<<40)
	old := sale.NewReceiptID(s.Partition)
	request := sale.Request{Receipt: old, Verb: sale.Bid, Sale: s.ID, Buyer: buyer.Account, Quantity: 2, Price: 1000, Trace: "edge"}
	want := []string{h.letter(0), h.letter(0), buried(t, h.redis, 2, "e", "\x63later")}
	good := buried(t, h.redis, s.Partition, "e", string(request.Encode()))
	want = append(want, good)
	slices.SortStableFunc(want, func(a, b string) int {
		var p, q int
		fmt.Sscanf(a, "%d-", &p)
		fmt.Sscanf(b, "%d-", &q)
		return p - q
	})
	for limit := 1; limit <= 5; limit++ {
		if got := h.listed(admin.Access, limit); !slices.Equal(got, want) {
			t.Errorf("by %d: %v, want %v", limit, got, want)
		}
	}

	r := h.ask("GET", lettersPath+"/"+good, admin.Access, "")
	if r.status != 200 || r.text("letter") != good || r.text("receipt") != old.String() || r.text("buyer") != fmt.Sprint(buyer.Account) || r.text("verb") != "bid" ||
		r.text("quantity") != "2" || r.text("price") != "1000" || r.text("request_id") != "edge" || r.text("cause") != "value too long" || r.text("attempts") != "5" ||
		r.text("admitted_at") != "2023-11-14T22:13:20Z" || r.body["payload"].(map[string]any)["q"] != "5" {
		t.Errorf("one: %d %s", r.status, r.raw)
	}
	_, unread, _ := strings.Cut(strings.Join(want, " "), " 2-")
	unread, _, _ = strings.Cut("2-"+unread, " ")
	r = h.ask("GET", lettersPath+"/"+unread, admin.Access, "")
	if r.status != 200 || r.body["verb"] != nil || r.body["payload"].(map[string]any)["e"] != `clater` {
		t.Errorf("what cannot be read: %d %s", r.status, r.raw)
	}
	h.ask("POST", lettersPath+"/"+unread+"/replay", admin.Access, "").wantProblem(t, 409, "letter_unreadable")

	h.work()
	h.until("it can be asked again", func() bool {
		r = h.ask("POST", lettersPath+"/"+good+"/replay", admin.Access, "{}")
		return r.status != http.StatusServiceUnavailable
	})
	again := r.text("receipt")
	if r.status != http.StatusAccepted || again == old.String() || r.header.Get("Location") != seenReceiptsPath+again {
		t.Fatalf("replayed: %d %s", r.status, r.raw)
	}
	if r := h.settled(buyer.Access, again); r.text("status") != "confirmed" || r.text("quantity") != "2" {
		t.Errorf("it became %s", r.raw)
	}
	h.ask("POST", lettersPath+"/"+good+"/replay", admin.Access, "").wantProblem(t, 404, "unknown_letter")

	if r := h.ask("DELETE", lettersPath+"/"+unread, admin.Access, ""); r.status != http.StatusNoContent {
		t.Errorf("dropped: %d %s", r.status, r.raw)
	}
	h.ask("DELETE", lettersPath+"/"+unread, admin.Access, "").wantProblem(t, 404, "unknown_letter")
	if got := h.listed(admin.Access, 100); len(got) != 2 || slices.Contains(got, good) || slices.Contains(got, unread) {
		t.Errorf("left are %v", got)
	}
	for _, line := range []string{"an admin replayed a dead letter", "an admin dropped a dead letter"} {
		if !strings.Contains(h.log.String(), line) {
			t.Errorf("the log does not say that %s", line)
		}
	}
	for _, name := range []string{"16-1-1", "9999999999999-1-1", "x", "-1-1-1", "01-1-1", "1-01-1", "1-1", "1-1-1-1", "+1-1-1"} {
		h.ask("GET", lettersPath+"/"+name, admin.Access, "").wantProblem(t, 404, "unknown_letter")
	}
}

// FuzzLetterName: what is read is written the same again, and no partition is negative.
func FuzzLetterName(f *testing.F) {
	for _, seed := range []string{"3-1769882400125-0", "0-0-0", "-1-2-3", "1-1", "01-1-1", "1--1-0", "4294967296-1-1", "", "1-9223372036854775807-9223372036854775807"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		place, err := parseLetter(word)
		if err != nil {
			return
		}
		if place.String() != word || place.Partition < 0 || place.ID.At < 0 || place.ID.No < 0 {
			t.Errorf("%q is %+v", word, place)
		}
		if again := positionOf(place).letter(); place.Partition <= sale.MaxPartitions && again != place {
			t.Errorf("%+v comes back from a cursor as %+v", place, again)
		}
	})
}

// TestLetterOf: a letter that says nothing of itself has no receipt and no times but its own.
func TestLetterOf(t *testing.T) {
	t.Parallel()
	body := letterOf(deadletters.Letter{Partition: 1, Asked: sale.Instant(0).Time(), Died: sale.Instant(7).Time()})
	if body.Letter != "1-0-0" || body.Receipt != uuid.Nil || !body.AdmittedAt.IsZero() || body.DiedAt.UnixMilli() != 7 {
		t.Errorf("%+v", body)
	}
}
