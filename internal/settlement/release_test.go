package settlement

import (
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/receipts"
)

var freezes = flag.String("freeze", "", "write the story of the releases, as this one lives it, to that file in testdata/releases")

// The files in testdata/releases were written by the releases that they are called
// after: each is both stores in the middle of the story of release_story_test.go, and
// what came of it. To freeze one, at its commit:
//
//	go test -run TestReleaseWrites ./internal/settlement -freeze NAME
//
// Then it is the lastRelease, and nothing is unlike it. (5bfd087 had no such test yet:
// there the release_*_test.go files of today were laid beside its own.) A file is never
// changed afterwards: somewhere its bytes are stored.

// lived is a frost and what everybody is told before and after the rest is settled.
func lived(h *house) (frost []string) {
	h.t.Helper()
	r := newReleased(h)
	r.tell()
	frost = h.freeze()
	for _, line := range r.lines {
		frost = append(frost, "ask "+line)
	}
	for _, line := range r.told() {
		frost = append(frost, "before "+line)
	}
	for _, line := range r.finish() {
		frost = append(frost, "after "+line)
	}
	return frost
}

// releases answers the frosts of former releases, by name.
func releases(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("testdata/releases/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no releases", err)
	}
	all := map[string][]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".txt")] = strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	return all
}

// goOnFrom has this release take over where a former one was frozen, and answers what
// is not as that one would have had it.
func goOnFrom(t *testing.T, frost []string) []finding {
	t.Helper()
	h := newHouse(t)
	j := &jury{TB: t}
	h.t = j
	r := newReleased(h)
	compare := func(when string, told []string) {
		var want []string
		for _, line := range frost {
			if line, ok := strings.CutPrefix(line, when+" "); ok {
				want = append(want, line)
			}
		}
		if diff := cmp.Diff(want, told); diff != "" {
			j.Errorf("told otherwise (-as it was +now):\n%s", diff)
		}
	}
	j.part("thaw", func() {
		h.thaw(frost)
		r.know()
		for _, line := range frost {
			if line, ok := strings.CutPrefix(line, "ask "); ok {
				r.request(line)
			}
		}
	})
	if len(j.found) > 0 {
		return j.found
	}
	j.part("receipts as they stood", func() { compare("before", r.told()) })
	j.part("settlement of the rest", func() { compare("after", r.finish()) })
	j.part("agreement", func() {
		for _, s := range r.sales {
			s.Partition = 0
			h.open(s)
			h.agree(s)
		}
	})
	return j.found
}

// TestReleasesGoOn: whatever a former release has left in Redis and in Postgres is
// read, applied and settled by this one as by itself.
func TestReleasesGoOn(t *testing.T) {
	for name, frost := range releases(t) {
		t.Run(name, func(t *testing.T) {
			for _, f := range goOnFrom(t, frost) {
				t.Error(f)
			}
		})
	}
}

// lastRelease is the one that may run beside this one.
const lastRelease = "ddd3f3f"

// unlike is what this release writes and the last one did not, or otherwise, as patterns
// within lines: each with the reason why processes of both get along. The next release
// begins with none.
var unlike = map[string]string{}

// measured are the fields that say when something was written; the rest of a line is
// told by the story alone.
var measured = regexp.MustCompile(`"(applied_at|since|line_since)" "[0-9.]+"`)

// TestReleaseWritesWhatTheOneBeforeReads: of all that the last release knows this one
// writes the same bytes, so that it can be read by its processes, which are still up
// while this one's come.
func TestReleaseWritesWhatTheOneBeforeReads(t *testing.T) {
	is := lived(houseOver(t, embeddedtest.RedisServer(t).URL, embeddedtest.Postgres(t), nil)) // of the kind that the one before knew
	if *freezes != "" {
		if err := os.WriteFile(filepath.Join("testdata", "releases", *freezes+".txt"), []byte(strings.Join(is, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was := releases(t)[lastRelease]
	for _, frost := range [][]string{was, is} {
		for i, line := range frost {
			frost[i] = measured.ReplaceAllString(line, `"$1" "then"`)
		}
	}
	for pattern, reason := range unlike {
		found := false
		for _, frost := range [][]string{was, is} {
			for i, line := range frost {
				frost[i] = regexp.MustCompile(pattern).ReplaceAllString(line, "")
				found = found || frost[i] != line
			}
		}
		if !found || reason == "" {
			t.Errorf("%s is in no line, or for no reason", pattern)
		}
	}
	left := func(line string) bool { return line == "" }
	if diff := cmp.Diff(slices.DeleteFunc(was, left), slices.DeleteFunc(is, left)); diff != "" {
		t.Errorf("it writes something else (-last release +this one):\n%s", diff)
	}
}

// TestReleasesAreSeen is the known-bad twin: bytes that this release would not read
// rightly, each where only one form stands, are found out.
func TestReleasesAreSeen(t *testing.T) {
	frost := releases(t)[lastRelease]
	for name, wrong := range map[string]struct{ line, from, to string }{
		"a queued request of another version": {`stream "{s0}:log"`, `"e" "\x01`, `"e" "\x04`},
		"a record with another status":        {`string "{s0}:r:`, `"held `, `"waiting `},
		"a sale with other units":             {`hash "{s0}:sale:1"`, `"free" "3"`, `"free" "4"`},
		"a committed batch, not applied":      {`row batches`, `"effects":"\\x02`, `"effects":"\\x04`},
		"a watermark":                         {`hash "{s0}"`, `"applied_seq" "25"`, `"applied_seq" "24"`},
		"the points of a buyer":               {`row wallets`, `"balance":1000`, `"balance":1001`},
	} {
		t.Run(name, func(t *testing.T) {
			changed, last := slices.Clone(frost), -1
			for i, line := range changed {
				if strings.HasPrefix(line, wrong.line) && strings.Contains(line, wrong.from) {
					last = i
				}
			}
			if last < 0 {
				t.Fatalf("no line has %q", wrong.from)
			}
			changed[last] = strings.Replace(changed[last], wrong.from, wrong.to, 1)
			if len(goOnFrom(t, changed)) == 0 {
				t.Error("nobody sees it")
			}
		})
	}
}

// TestLaterReleaseBeside: what a release to come adds harms nothing that this one knows,
// and of what it asks anew everybody is told. It has a verb more, words behind a record,
// fields in every hash and entry.
func TestLaterReleaseBeside(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	h.drain(o)
	buyers := h.buyers(3, 1000)
	var ids []uuid.UUID
	for _, buyer := range buyers {
		ids = append(ids, h.bid(s, buyer, 2))
	}
	slot := fmt.Sprintf("{s%d}", s.Partition)
	h.must(h.plain.HSet(h.ctx, slot, "colour", "green").Err())
	h.must(h.plain.HSet(h.ctx, fmt.Sprintf("%s:sale:%d", slot, s.ID), "vip_most", 3).Err())
	for _, id := range ids {
		key := slot + ":r:" + base64.RawURLEncoding.EncodeToString(id[:])
		record, err := h.plain.Get(h.ctx, key).Result()
		h.must(err)
		record += " 0 - 0 0 vip 7"
		if id == ids[1] {
			record = strings.Replace(record, " bid ", " swap_seats ", 1)
		}
		h.must(h.plain.Set(h.ctx, key, record, 0).Err())
	}
	queued, err := h.plain.XRange(h.ctx, slot+":log", "-", "+").Result()
	h.must(err)
	h.must(h.plain.Del(h.ctx, slot+":log").Err())
	for _, e := range queued {
		form, _ := e.Values["e"].(string)
		if strings.Contains(form, string(ids[1][:])) {
			e.Values["e"] = "\x04" + form[1:] + "seats"
		}
		e.Values["v"] = "4"
		h.must(h.plain.XAdd(h.ctx, &redis.XAddArgs{Stream: slot + ":log", ID: e.ID, Values: e.Values}).Err())
	}
	reader := receipts.New(h.store, h.ledger, prometheus.NewRegistry())
	told := func(when string, want ...string) {
		t.Helper()
		for i, id := range ids {
			r, err := reader.Get(h.ctx, buyers[i], id)
			h.must(err)
			if got := strings.TrimSpace(r.Verb.String() + " " + r.Status.String() + " " + r.Reason.String()); got != want[i] || r.Quantity != 2 || r.Sale != s.ID {
				t.Errorf("%s: number %d is %q, %d units of sale %d", when, i, got, r.Quantity, r.Sale)
			}
		}
	}
	told("before", "bid queued", "queued", "bid queued")
	h.drain(o)
	told("after", "bid confirmed", "rejected internal", "bid confirmed")
	h.agree(s)
	dead, err := h.plain.XLen(h.ctx, slot+":dead").Result()
	if h.must(err); dead != 1 {
		t.Errorf("%d dead letters", dead)
	}
}
